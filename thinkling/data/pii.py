"""Step 10: replace personal data: e-mail and public IP addresses as FineWeb does, and phone numbers.

Replacements are placeholders reserved for documentation (RFC 2606, RFC 5737, the 555-01xx numbers),
so that the text stays natural and no replacement can be somebody's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

EMAIL = "email@example.com"
IP = "192.0.2.1"
PHONE = "555-0100"

_EMAIL = re.compile(r"\b[a-zA-Z0-9._%+'-]+@(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)+[a-zA-Z]{2,24}\b")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IP = re.compile(rf"(?<![\d.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\d]|\.\d)")
# North American numbers and international ones with +: those are numbers and nothing else. Bare runs
# of digits are left alone, since in textbooks they are mostly quantities.
_PHONE = re.compile(
    r"(?<![\w.,/+-])(?:"
    r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[ .-]\d{4}"
    r"|\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}"
    r")(?![\w/-]|[.,]\d)"
)
# Most texts hold neither, which a search for these in the text with all digits made 0 tells at once.
_ANY_DIGIT = str.maketrans("123456789", "000000000")
_IP_HINT = "0.0"
_PHONE_HINTS = ("+0", "0 0000", "0.0000", "0-0000")
_MIN_PHONE_DIGITS, _MAX_PHONE_DIGITS = 7, 15


@dataclass(frozen=True, slots=True)
class Scrubbed:
    text: str
    emails: int
    ips: int
    phones: int

    @property
    def count(self) -> int:
        return self.emails + self.ips + self.phones


def scrub(text: str) -> Scrubbed:
    """The text with its personal data replaced, and how many of each were found."""
    emails = ips = phones = 0
    if "@" in text:
        text, emails = _EMAIL.subn(EMAIL, text)
    shape = text.translate(_ANY_DIGIT)
    if _IP_HINT in shape:
        text, ips = _replace(_IP, IP, text, _is_public)
    if any(hint in shape for hint in _PHONE_HINTS):
        text, phones = _replace(_PHONE, PHONE, text, _is_phone)
    return Scrubbed(text, emails, ips, phones)


def _replace(pattern: re.Pattern[str], replacement: str, text: str, valid: Callable[[str], bool]) -> tuple[str, int]:
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        if not valid(match.group()):
            return match.group()
        count += 1
        return replacement

    return pattern.sub(one, text), count


def _is_public(address: str) -> bool:
    return ipaddress.ip_address(address).is_global


def _is_phone(number: str) -> bool:
    return _MIN_PHONE_DIGITS <= sum(c.isdigit() for c in number) <= _MAX_PHONE_DIGITS
