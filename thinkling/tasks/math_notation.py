"""Answers in LaTeX as people write them: one spelling for the trivial differences, and exact values for plain ones.

A plain answer is a number (decimal, fraction, mixed number, power of ten, in a base), or numbers in a tuple, an
interval, a set or a list. Two plain answers are compared here, exactly and at once; everything else is
algebra, and left to others. The conventions are those of the MATH data set (Hendrycks et al. 2021, appendix on
grading): dollar, degree and percent signs and units do not count, nor does the order in a list of solutions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_SPACES = re.compile(r"(?<!\\)\\[,:;!> ]|~|\\q?quad(?![a-zA-Z])")
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits)(?![a-zA-Z])\.?")
_DELIMITERS = ((r"\[", r"\]"), (r"\(", r"\)"), ("$$", "$$"), ("$", "$"))
_WORDS = re.compile(r"\\(?:text(?:bf|it|rm|sf|normal)?|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degrees?(?![a-zA-Z])|\u00b0")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_SLOPPY_ROOT = re.compile(r"(\\sqrt)\s*(\d+)")
_SLOPPY_FRACTION = re.compile(r"(\\frac\{(?:[^{}]|\{[^{}]*\})*\})\s*(\d+)")
_BRACED = re.compile(r"([_^])\{(\w)\}")
_SHORT_FRACTION = re.compile(r"\\frac(\d)(?:(\d)|\{(\d+)\})")
_MIXED = re.compile(r"^([-+]?\s*\d+)\s+(\d+)/(\d+)$")
_LONG_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|\\,)\s*(?=\d{3}(?!\d))")
_CONNECTED = re.compile(r"\s*(?:,\s*)?(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])\s*")
_NAME = re.compile(r"\\?[a-zA-Z]+(?:_\{?\w+\}?)?(?:\([a-zA-Z]\))?\s*(?:=|\\in(?![a-zA-Z]))\s*(?!.*(?<![<>!\\])=)")

_INTEGER = r"\d+|\d{1,3}(?:,\d{3})+"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)(?:"
    rf"(?:(?P<whole>{_INTEGER})?\\frac\{{(?P<inner>[-+]?)(?P<num>\d+)\}}\{{(?P<den>\d+)\}})"
    rf"|(?P<plain>(?:{_INTEGER})(?:\.\d*)?|\.\d+)(?:/(?P<over>\d+))?"
    rf"(?:(?:\\times|\\cdot|\*|x)10\^(?:\{{(?P<power>[-+]?\d{{1,3}})\}}|(?P<digit>\d)))?"
    rf")(?P<percent>%?)"
)
_BASED = re.compile(r"\(?(?P<digits>[0-9A-Z]+(?:\.[0-9A-Z]+)?)\)?_(?:\{(?P<long>\d\d?)\}|(?P<base>\d))")

# Spellings of one unit stand together; a number with a unit that is not here is a number all the same.
_UNITS = (
    "cm centimeter centimetre", "mm millimeter millimetre", "km kilometer kilometre", "m meter metre",
    "in inch inche", "ft foot feet", "yd yard", "mi mile", "g gram", "kg kilogram", "lb pound", "oz ounce",
    "s sec second", "min minute", "h hr hour", "day", "week", "month", "year", "cent", "dollar", "unit", "degree",
    "radian rad", "percent", "l liter litre", "mph", "kph", "gallon", "people person", "way", "time", "point",
)  # fmt: skip
_UNIT_OF = {spelling: group.split()[0] for group in _UNITS for spelling in group.split()}
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
_UNIT_PART = re.compile(
    r"(?P<number>.*\S)(?:\s*\\(?:text(?:rm)?|mathrm|mbox)\s*\{(?P<set>[^{}]*)\}"
    r"|(?<=[\d}%.])\s+(?P<bare>[a-zA-Z.]{2,}(?:\s+[a-zA-Z.]{2,})*))(?:\s*\^\{?(?P<power>\d)\}?)?"
)
_UNIT_WORD = re.compile(r"[a-zA-Z.]+")
# In \text{...} after a number nearly anything is a unit; these are not.
_NO_UNITS = frozenset(("or", "and", "if", "for", "base", "to", "pi", "mod", "not"))


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number. ``unit`` is "" where there is none or an unknown one; it never decides alone."""

    value: Fraction
    percent: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Based:
    """Digits written in a base: 2516_8."""

    digits: str
    base: str


@dataclass(frozen=True, slots=True)
class Infinite:
    sign: str


@dataclass(frozen=True, slots=True)
class Group:
    """Plain entries between two brackets; "" on both sides for a bare list of solutions."""

    opening: str
    closing: str
    entries: tuple[Plain, ...]

    @property
    def unordered(self) -> bool:
        return self.opening in ("", "{")


Plain = Number | Based | Infinite | Group


def cleaned(text: str) -> str:
    """``text`` without what only typesets it: dollar signs around it, sizes of brackets, spacing, degree signs."""
    text = text.strip().replace("\u2212", "-").replace("\n", " ")
    text = re.sub(r"\\\$|\\mathdollar(?![a-zA-Z])", "", text)
    for opening, closing in _DELIMITERS:
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening + closing):
            text = text[len(opening) : len(text) - len(closing)].strip()
            break
    text = text.replace("$", "").replace("\\%", "%").replace("\\lbrace", "\\{").replace("\\rbrace", "\\}")
    text = _FRACTION.sub(r"\\frac", _DEGREES.sub("", _SIZES.sub("", text)))
    text = _SPACES.sub(" ", _LONG_THOUSANDS.sub("", text))
    # \sqrt21 is typeset as the root of 2 times 1, and meant as the root of 21; so with a denominator.
    text = _SLOPPY_FRACTION.sub(r"\1{\2}", _SLOPPY_ROOT.sub(r"\1{\2}", text))
    text = _BRACED.sub(r"\1\2", text)
    return text.strip().removesuffix(".").strip()


def spelling(text: str) -> str:
    """One spelling for what differs only in spaces, in \\text{} around words and in brackets around a letter."""
    text = _WORDS.sub(lambda match: match[1], cleaned(text))
    text = re.sub(r"(?<=\d)\s+(?=\d)", "\0", text)  # "3 4" is not 34
    text = re.sub(r"\s+", "", text).replace("\0", " ")
    letter = re.fullmatch(r"\(([A-Za-z])\)", text)
    return letter[1] if letter else text


def words(text: str) -> str | None:
    """The lower-case words that an answer is ("\\text{Monday}", "neither"); None where it is mathematics."""
    text = cleaned(text)
    bare = _WORDS.sub(lambda match: match[1], text)
    if not re.fullmatch(r"[A-Za-z][A-Za-z' -]*", bare.strip()):
        return None
    # "ab" may be a product; what was set as text, or is longer, is a word.
    whole = bare.strip().lower()
    return " ".join(whole.split()) if bare != text or max(map(len, whole.split())) >= 4 else None


def read(text: str) -> Plain | None:
    """The exact value of a plain answer; None where it is not plain."""
    text = _WORDS.sub(_without_braces, cleaned(text))
    text = _CONNECTED.sub(", ", text)
    return _read(_NAME.sub("", text, count=1) if _NAME.match(text) else text)


def canonical(text: str) -> str:
    """One spelling per plain value, whatever its units and the order of a list; of anything else its `spelling`."""
    plain = read(text) if text else None
    if plain is None:
        return words(text) or spelling(text)
    return _spelled(plain)


def _spelled(plain: Plain) -> str:
    match plain:
        case Number():
            return str(plain.value)
        case Based():
            return f"{plain.digits}_{plain.base}"
        case Infinite():
            return f"{plain.sign}oo"
        case Group():
            entries = [_spelled(entry) for entry in plain.entries]
            return f"{plain.opening}{', '.join(sorted(entries) if plain.unordered else entries)}{plain.closing}"


def equal(said: Plain, gold: Plain) -> bool | None:
    """Whether two plain answers are the same; None for a list against a tuple, which depends on the question."""
    if isinstance(said, Number) and isinstance(gold, Number):
        return _equal_numbers(said, gold)
    if isinstance(said, Number) and isinstance(gold, Based):
        # The question named the base, and only its digits were written.
        return said.value.denominator == 1 and str(said.value) == gold.digits
    if not isinstance(said, Group) or not isinstance(gold, Group):
        return said == gold
    if said.unordered and gold.unordered:
        return _same_entries(said.entries, gold.entries)
    if said.unordered != gold.unordered:
        return None if "" in (said.opening, gold.opening) else False
    same = (said.opening, said.closing, len(said.entries)) == (gold.opening, gold.closing, len(gold.entries))
    return same and all(equal(one, other) for one, other in zip(said.entries, gold.entries, strict=True))


def _equal_numbers(said: Number, gold: Number) -> bool:
    if said.unit and gold.unit and said.unit != gold.unit:
        return False
    if said.value == gold.value:  # whether or not the percent sign was written
        return True
    return said.percent != gold.percent and _value(said) == _value(gold)


def _value(number: Number) -> Fraction:
    return number.value / 100 if number.percent else number.value


def _same_entries(said: tuple[Plain, ...], gold: tuple[Plain, ...]) -> bool:
    """Equal as multisets."""
    left = list(gold)
    for entry in said:
        match = next((place for place, other in enumerate(left) if equal(entry, other)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _without_braces(match: re.Match[str]) -> str:
    """\\text{ and }, and a text with digits, as plain text; other words stay, for a unit is looked for there."""
    plain = match[1].strip(" ,") in ("and", "or") or re.search(r"\d", match[1])
    return f" {match[1].strip()} " if plain else match[0]


def _read(text: str) -> Plain | None:
    text = text.strip()
    while text.startswith("{") and text.endswith("}") and text.count("{") == 1:  # braces that only group
        text = text[1:-1].strip()
    if (single := _single(text)) is not None:
        return single
    if text.startswith("\\{") and text.endswith("\\}"):
        return _group("{", "}", text[2:-2], ",")
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        return _group(text[0], text[-1], text[1:-1], ",")
    # In a bare list, a comma between digits is one of thousands: "1,234" is a number, "1, 234" a list.
    return _group("", "", text, r",(?!\d{3}(?!\d))|,\s+")


def _group(opening: str, closing: str, inner: str, comma: str) -> Group | None:
    entries = [_single(_NAME.sub("", entry.strip(), count=1)) for entry in re.split(comma, inner)]
    if any(entry is None for entry in entries) or (len(entries) < 2 and opening != "{"):
        return None
    return Group(opening, closing, tuple(entry for entry in entries if entry is not None))


def _single(text: str) -> Number | Based | Infinite | None:
    if (number := _number(text)) is not None:
        return number
    if re.fullmatch(r"[-+]?\s*\\infty", text):
        return Infinite("-" if text.startswith("-") else "+")
    if based := _BASED.fullmatch(text):
        digits, base = based["digits"], based["long"] or based["base"]
        return Number(Fraction(digits)) if base == "10" and digits.isdecimal() else Based(digits, base)
    return None


def _number(text: str) -> Number | None:
    text, unit = split_unit(text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    bare = text.replace(" ", "")
    bare = _SHORT_FRACTION.sub(_long_fraction, bare)
    match = _NUMBER.fullmatch(bare)
    if not match or re.search(r"\d\s+[\d.]", text):  # "3 4" is not 34
        return None
    if match["den"]:
        if int(match["den"]) == 0 or (match["whole"] and match["inner"]):
            return None
        value = Fraction(int(match["num"]), int(match["den"])) + int((match["whole"] or "0").replace(",", ""))
        value = -value if match["inner"] == "-" else value
    else:
        over = int(match["over"] or 1)
        if over == 0:
            return None
        value = Fraction(match["plain"].replace(",", "").rstrip(".")) / over
        value *= Fraction(10) ** int(match["power"] or match["digit"] or 0)
    value = -value if match["sign"] == "-" else value
    return Number(value, bool(match["percent"]) or unit == "percent", "" if unit == "percent" else unit)


def _long_fraction(match: re.Match[str]) -> str:
    above, below = filter(None, match.groups())
    return f"\\frac{{{above}}}{{{below}}}"


def split_unit(text: str) -> tuple[str, str]:
    """A cleaned answer without its unit, and that ("cm", "cm^2"; "" for none, or one that is not known).

    After a number nearly any words set as text are a unit; after algebra, and where they are not set as text, only
    known ones.
    """
    match = _UNIT_PART.fullmatch(text)
    if not match:
        return text, ""
    told = [word.rstrip(".") for word in _UNIT_WORD.findall((match["bare"] or match["set"]).lower())]
    known = [name for name in map(_unit, told) if name]
    sure = known or (match["set"] and re.search(r"[\d}%.]$", match["number"]))
    if not sure or any(word in _NO_UNITS for word in told):
        return text, ""
    power = match["power"] or next((_POWERS[word] for word in told if word in _POWERS), "")
    return match["number"], f"{known[0]}^{power}" if len(known) == 1 and power else "".join(known)


def _unit(word: str) -> str:
    return _UNIT_OF.get(word, _UNIT_OF.get(word.removesuffix("s"), ""))
