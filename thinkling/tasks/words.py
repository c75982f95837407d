"""The pool of names and common words that every problem and every page draws from.

The pool is kept small on purpose: a tokenizer with two thousand entries then learns most of these
words as one to three tokens, and a model of two million parameters can know how each is spelled.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN: tuple[str, ...] = _words("""
    Ada Agnes Alice Amber Amy Anna April Astrid Audrey Ava Beatrix Bella Beth Bridget Carmen Carol Celeste
    Chloe Clara Cora Daisy Dawn Delia Diana Dora Edith Eleanor Eliza Ellen Elsa Emily Emma Erin Esther Eve
    Faith Fern Flora Frances Freya Gemma Gloria Grace Greta Hannah Harriet Hazel Heather Helen Hope Ida
    Imogen Ingrid Irene Iris Isabel Ivy Jane Jasmin Jill Joan Joy Judith Julia June Karen Kate Kim Kirsten
    Laura Lily Linda Lois Lucy Lydia Mabel Mara Margot Marion May Megan Mia Miriam Molly Nadia Nancy Naomi
    Nell Nina Nora Olga Olive Opal Pam Pearl Penny Petra Phoebe Polly Rachel Robin Rosa Rose Ruby Ruth Sally
    Sarah Scarlet Sibyl Sofia Stella Susan Sylvia Tamar Tess Thea Tina Una Vera Violet Wendy Willow Zoe
    """)
MEN: tuple[str, ...] = _words("""
    Aaron Adam Alan Albert Alec Alfred Andrew Angus Arthur Axel Barnaby Basil Ben Bernard Bjorn Boris Brian
    Bruno Caleb Carl Cecil Clark Claude Colin Conrad Cyril Daniel David Dean Dennis Derek Dominic Duncan
    Edgar Edmund Edward Eli Eric Ernest Ethan Felix Finn Floyd Frank Fred Gareth George Gilbert Glen Gordon
    Graham Gus Harold Harry Hector Henrik Henry Herbert Hugh Hugo Ian Igor Isaac Ivan Jack Jacob James
    Jasper Jerome Joel John Jonas Joseph Karl Keith Kurt Lars Leo Leon Lewis Lloyd Louis Luke Magnus Mark
    Martin Max Miles Nathan Ned Neil Noah Oliver Omar Oscar Otto Owen Patrick Paul Percy Peter Philip Quentin
    Ralph Raymond Rex Roger Roland Ross Rupert Samuel Saul Scott Silas Simon Stefan Sven Ted Theo Thomas
    Tim Toby Tom Victor Vincent Walter Wes Will Yusuf Zack
    """)
FIRST_NAMES: tuple[str, ...] = tuple(sorted(WOMEN + MEN))

# Things one can own by the dozen: every plural here is regular (an s, or es after ch, sh, x).
OBJECTS: tuple[str, ...] = _words("""
    acorn badge ball balloon banner basket bead bell biscuit block book bottle bowl brick brush bucket button
    cake candle card carrot chair coin cookie crayon cup drum egg feather flag flower glove hat helmet hook
    jar kite ladder lamp lantern lemon letter magnet map marble mask medal mirror muffin mug nail needle nut
    onion paddle pebble pen pencil pillow pin plate potato poster pumpkin puzzle ribbon ring rocket rope ruler
    sandwich saucer seed shell shovel spoon stamp star sticker stick stone string ticket tile token towel
    toy turnip umbrella vase whistle
    """)
FRUITS: tuple[str, ...] = _words("""
    apple apricot banana coconut fig grape guava kiwi lemon lime mango melon nectarine olive orange papaya
    pear plum quince tangerine
    """)
CONTAINERS: tuple[str, ...] = _words("bag basket bowl box bundle crate jar pack sack tin tray")
PLACES: tuple[str, ...] = _words("""
    bakery barn bay beach bridge camp canal castle cave chapel cliff court dock farm ferry field forest fort
    garden gate harbor hill hotel inn island kitchen lake library lighthouse market meadow mill mine mountain
    museum office orchard palace park pier pond port prison river road school shore square stable station
    street temple theater tower tunnel valley village wharf windmill zoo
    """)
ANIMALS: tuple[str, ...] = _words("""
    badger bear beaver crow donkey duck eagle frog goat hamster horse lizard otter owl parrot pigeon rabbit
    robin seal spider squirrel swan tiger turtle
    """)
NOUNS: tuple[str, ...] = tuple(sorted({*OBJECTS, *FRUITS, *CONTAINERS, *PLACES, *ANIMALS}))

_WOMEN = frozenset(WOMEN)


def pronoun(name: str) -> str:
    """ "She" or "he" for a first name of the pool."""
    return "she" if name in _WOMEN else "he"


def plural(noun: str) -> str:
    """The plural of a noun of the pool (all are regular)."""
    return noun + ("es" if noun.endswith(("ch", "sh", "s", "x", "ato")) else "s")
