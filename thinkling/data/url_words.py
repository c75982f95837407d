"""Words that give a page away by its address: adult sites, gambling, pill spam.

FineWeb takes the UT1 blocklist (millions of hosts) and word lists beside it; these short lists are
our own. Real host lists can be given in the recipe.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# One of these as a whole word of the URL (between characters that are no letters or digits) suffices.
HARD_WORDS = _words(
    """
    porn porno pornos xxx xnxx xvideos hentai milf camgirl camgirls nsfw escort escorts viagra cialis
    casino casinos slots blackjack roulette poker betting sportsbook warez keygen crackz
    """
)

# Two of these together suffice; alone they are innocent.
SOFT_WORDS = _words(
    """
    adult sex sexy nude naked hot cam cams girls dating singles bet bets odds jackpot bonus pills
    pharmacy cheap replica loan loans payday torrent crack serial free win prize lottery
    """
)

# Nowhere inside the URL, with its punctuation taken out; long enough to hit no innocent word.
FORBIDDEN_PARTS = ("pornhub", "xvideos", "freeporn", "sexcam", "onlinecasino", "buyviagra", "cheapviagra")
