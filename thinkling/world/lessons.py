"""What a textbook says about each family of problems: how it is done, with an example worked in words.

Examples stay within the range that the family trains on: what lies beyond it is there to be tested later.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction

from thinkling.tasks.family import Draft, pose
from thinkling.tasks.words import FRUITS, NOUNS, plural
from thinkling.world import drills
from thinkling.world.grammar import cap, fill, listed, pick, variants
from thinkling.world.numerals import spell

Lesson = Callable[[random.Random, Sequence[str]], str]

# Many short forms, since a page says this of a dozen words and must not repeat itself.
SPELLED = (
    "{w} is spelled {d}. The last letter is {z}.",
    "The word {w} has {n} letters: {d}. It ends with {z}.",
    "To spell {w}, take {d}. At the end stands {z}.",
    "{w}, letter by letter: {d}. It begins with {a}, it ends with {z}.",
    "Which letter does {w} end in? Spell it: {d}. It is {z}.",
    "The last letter of {w} is {z}, for it is written {d}.",
    "{d} spells {w}, with {z} at the end.",
    "{w}: {d}, ending in {z}.",
    "With the letters {d} we write {w}. Last comes {z}.",
    "First {a} and last {z}: that is {w}, or {d}.",
    "How is {w} written? As {d}, and {z} closes it.",
    "{w} has {z} as its end: {d}.",
    "Write {d}, and you have {w}. Its end is {z}.",
    "Look at {w}. Its {n} letters are {d}, and {z} is the last of them.",
    "From {a} to {z}, the letters of {w} are {d}.",
    "Say {w} slowly: {d}. You hear {z} last.",
    "If we take {w} apart, we find {d}. The final letter is {z}.",
    "{w} ends in {z}, because {d} ends so.",
    "Here comes {w}: {d}. Behind all others is {z}.",
    "There are {n} letters in {w}, namely {d}; the last is {z}.",
    "Whoever writes {w} begins with {a} and stops after {z}: {d}.",
    "In {d}, which means {w}, the letter {z} is last.",
    "Do you see {z} at the end of {w}? It goes {d}.",
    "The name or word {w} is made of {d}. What ends it is {z}.",
    "{w} begins like this: {a}. In full it is {d}. The end is {z}.",
    "Try to spell {w} yourself. It should be {d}, with the last letter {z}.",
)
JOINED = variants(
    "To join the last letters of {names}, look at each name in turn. {each} Put together, that is {join}.",
    "Take the names {names}. {each} If we write these letters next to each other, we get {join}.",
    "{each} So for {names}, the last letters together make {join}.",
)
OCCURS = variants(
    "How [often|many times] does {z} [occur|appear] in {w}? Spell it, {d}, and [count|look]: {times}.",
    "In {w}, which is spelled {d}, the letter {z} [can be found|appears|is used] {times}.",
    "[Count|Look for] the letter {z} in {w}: go through {d} and find it {times}.",
    "The letter {z} stands {times} in {w}, as {d} shows.",
    "{w} is {d}. [How often|Where] do you see {z}? {Times} in all.",
    "Take {d}, that is, {w}. It has {z} {times}.",
)
COINS = variants(
    "[A coin has two sides.|Remember that a coin has only two sides.|Heads and tails are the two sides of a coin.] "
    "After one flip, heads becomes tails. After the next flip, tails becomes heads again.",
    "[Two flips bring|Every second flip brings] the coin back to where it was. That is why only the number of flips "
    "matters, and not who flips.",
    "If the number of flips is even, the coin [shows|is] heads up again. If it is odd, tails is up.",
    "People who do not touch the coin [change nothing|can be left out], so count only those who flip it.",
)
COIN_STORY = variants(
    "Say that {yes} flip the coin and {no} does not. That makes {n} flips, which is {parity}, and so the coin ends "
    "with {side} up.",
    "Here is an example: the coin starts heads up, {yes} turn it over, and {no} leaves it alone. {N} is "
    "{parity}, so we "
    "see {side} at the end.",
    "With heads up at the start and flips by {yes}, but not by {no}, there are {n} flips. The number is "
    "{parity}: {side}.",
)
PARITY = variants(
    "{N} is an {parity} number, so after {n} flips the coin [shows|is] {side} up.",
    "After {n} flips we have {side}, because {n} is {parity}.",
)
SORTING = variants(
    "To sort a list, [look for|find] the smallest number, write it down, and cross it out. Then [do the "
    "same with|look "
    "at] what is left, until [nothing is left|every number has been used].",
    "[Numbers are easy to sort by their tens.|A quick way is to look at the tens first.] All numbers in the twenties "
    "come before all numbers in the thirties. [Within|Among] the same tens, the ones decide.",
    "If a list has to go down instead of up, take the largest number each time. In the end, [count the numbers|check "
    "that no number was lost].",
)
SORTED = variants(
    "Take the numbers {words}. The smallest of them is {first}, then comes {then}. From low to high this is {up}.",
    "Of {words} the largest is {last}, and the smallest is {first}. Written from high to low, that is {down}.",
    "Let us sort {words}. We begin with {first}, go on with {then}, and end with {last}. In figures: {up}.",
)
DECIMALS = variants(
    "[To compare|If you compare] two decimals, look at the whole parts first. If they are equal, "
    "[compare|look at] the "
    "first place after the point, and only then [the next one|the second place].",
    "A decimal with more digits is not [always|for that reason] larger. [Fill up|Add zeros to] the shorter one until "
    "both have the same length, and then compare.",
)
COMPARED = variants(
    "Which is larger, {a} or {b}? Both begin with {whole}. After the point, write {short} as {long}, so "
    "that both have "
    "two places. Since {hi} is more than {lo}, the larger number is {big}.",
    "Many people think that {small} is larger than {big}, because it looks longer. But {short} is the "
    "same as {long}, and "
    "{lo} is less than {hi}. So {big} is the larger one.",
    "Compare {a} with {b}. The tenths decide: {bt} is more than {st}, so {big} is larger and {small} is smaller.",
)
PRICES = variants(
    "If you know the price of one kind of fruit and the total, you can find the price of the other kind. "
    "First find what "
    "the known fruit costs, then take it away from the total, and at last divide by the number of the others.",
    "In such problems there are always three steps: multiply, subtract and divide. [Do not mix them up.|Take them in "
    "this order.|Write each step down.]",
    "Call the price that we do not know x. All fruit together must cost as much as the total says, and this gives an "
    "equation for x.",
)
PRICED = variants(
    "Say that {a} {xs} and {b} {ys} cost {t} dollars, and that one {y} costs {p}. The {ys} cost {b} "
    "times {p}, which is "
    "{m}. What is left for the {xs} is {r}, and {r} divided by {a} is {x}.",
    "For example, somebody pays {t} dollars for {a} {xs} and {b} {ys}, and the {ys} are {p} dollars "
    "each. Then {m} dollars "
    "go for the {ys} and {r} for the {xs}, so that one {x1} is {x}.",
)
STEPS = variants(
    "A long problem is only a row of short ones. Read one sentence, [work out|write down] what it does "
    "to the number, and "
    "then go on to the next one.",
    "[When somebody gets more|If things are added], we add, and [when something is given away|if things "
    "are lost], we "
    "subtract. When there are several boxes with the same number in each, we multiply first.",
    "Keep the number that you have now in mind. [Each step|Every event] changes it, and the last number is the answer.",
    "At the end it is good to check: go back from the answer to the start, and do the opposite of each step.",
)


def trains(family: str, canonical: str) -> bool:
    """Whether a problem of this content may be shown: an example is a problem too, and none is tested later."""
    return pose(family, Draft("", "", canonical)).split == "train"


def spelling(word: str, form: str) -> str:
    """How one word is spelled, in one of the forms of ``SPELLED``."""
    slots = {"w": word, "d": "-".join(word), "z": word[-1], "a": word[0].lower(), "n": spell(len(word))}
    return _opened(form.format_map(slots))


def _opened(sentence: str) -> str:
    """The sentence with "The word" before it where it begins with a small letter."""
    return f"The word {sentence}" if sentence[0].islower() and sentence[1] != "-" else sentence


def letters(rng: random.Random, names: Sequence[str]) -> str:
    chosen = rng.sample(names, 2 + int(rng.random() * 3))
    if not trains("letters", " ".join(chosen)):
        return letters(rng, names)
    form = pick(rng, ("{n} ends in {z}.", "The name {n} ends with {z}.", "{n} has {z} at the end."))
    each = " ".join(form.format(n=name, z=name[-1]) for name in chosen)
    joined = "".join(name[-1] for name in chosen)
    return fill(rng, JOINED, {"names": listed(chosen), "each": each, "join": joined})


def count(rng: random.Random, names: Sequence[str]) -> str:
    word = pick(rng, NOUNS) if rng.random() < 0.7 else pick(rng, tuple(names))
    letter = pick(rng, tuple(word.lower()))
    if not trains("count", f"{word.lower()} {letter}"):
        return count(rng, names)
    many = word.lower().count(letter)
    times = ("once", "twice")[many - 1] if many < 3 else f"{spell(many)} times"
    return _opened(
        fill(rng, OCCURS, {"w": word, "d": "-".join(word), "z": letter, "times": times, "Times": cap(times)})
    )


def coin(rng: random.Random, names: Sequence[str]) -> str:
    if rng.random() < 0.3:
        return fill(rng, COINS, {})
    flips = 2 + int(rng.random() * 3)
    people = rng.sample(names, flips + 1)
    if not trains("coin", " ".join([*(f"{name}1" for name in people[1:]), f"{people[0]}0"])):
        return coin(rng, names)
    even = flips % 2 == 0
    slots = {"n": spell(flips), "N": cap(spell(flips)), "yes": listed(people[1:]), "no": people[0]}
    slots |= {"parity": "even" if even else "odd", "side": "heads" if even else "tails"}
    return fill(rng, PARITY if rng.random() < 0.2 else COIN_STORY, slots)


def sort(rng: random.Random, names: Sequence[str]) -> str:
    if rng.random() < 0.3:
        return fill(rng, SORTING, {})
    numbers = rng.sample(range(10, 100), 3 + int(rng.random() * 2))
    up = sorted(numbers)
    if not trains("sort", " ".join(map(str, up))):
        return sort(rng, names)
    slots = {"words": listed(map(spell, numbers)), "first": spell(up[0]), "then": spell(up[1]), "last": spell(up[-1])}
    slots |= {"up": ", ".join(map(str, up)), "down": ", ".join(map(str, reversed(up)))}
    return fill(rng, SORTED, slots)


def decimals(rng: random.Random, names: Sequence[str]) -> str:
    if rng.random() < 0.25:
        return fill(rng, DECIMALS, {})
    whole = int(rng.random() * 20)
    tenth, tenth2 = rng.sample(range(1, 10), 2)
    one, two = f"{whole}.{tenth}", f"{whole}.{tenth2}{1 + int(rng.random() * 9)}"
    if not trains("decimals", " ".join(sorted((one, two)))):
        return decimals(rng, names)
    first, second = (one, two) if rng.random() < 0.5 else (two, one)
    big, small = (one, two) if Fraction(one) > Fraction(two) else (two, one)
    parts = sorted((int(f"{tenth}0"), int(two.split(".")[1])))
    tens = sorted((tenth, tenth2))
    slots = {
        "a": first,
        "b": second,
        "whole": spell(whole),
        "short": one,
        "long": f"{one}0",
        "big": big,
        "small": small,
    }
    slots |= {"lo": spell(parts[0]), "hi": spell(parts[1]), "st": spell(tens[0]), "bt": spell(tens[1])}
    forms = COMPARED if big == one else tuple(form for form in COMPARED if not form.startswith("Many"))
    return fill(rng, forms, slots)


def equation(rng: random.Random, names: Sequence[str]) -> str:
    if rng.random() < 0.3:
        return fill(rng, PRICES, {})
    a, b = 2 + int(rng.random() * 8), 2 + int(rng.random() * 8)
    x, p = 2 + int(rng.random() * 11), 2 + int(rng.random() * 11)
    if not trains("equation", f"{a} {b} {p} {a * x + b * p}"):
        return equation(rng, names)
    fruit, other = rng.sample(FRUITS, 2)
    numbers = {"a": a, "b": b, "x": x, "p": p, "m": b * p, "r": a * x, "t": a * x + b * p}
    slots = {name: spell(number) for name, number in numbers.items()}
    slots |= {"xs": plural(fruit), "ys": plural(other), "y": other, "x1": fruit}
    return fill(rng, PRICED, slots)


def chain(rng: random.Random, names: Sequence[str]) -> str:
    return fill(rng, STEPS, {}) if rng.random() < 0.3 else drills.mixed(rng)


LESSONS: dict[str, Lesson] = {
    "chain": chain,
    "equation": equation,
    "letters": letters,
    "coin": coin,
    "sort": sort,
    "decimals": decimals,
    "count": count,
}
