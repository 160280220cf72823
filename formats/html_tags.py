"""What single tags and attributes of HTML mean to somebody who looks at the page."""

import re
from urllib.parse import urljoin

# Nothing of the unseen is shown, with scripts running (HTML 15.3.1) or without a player for it.
_TAGS = {
    "unseen": """script style template noscript iframe video audio canvas noembed noframes datalist meta link
        param source track object applet rp desc metadata defs annotation annotation-xml""",
    "block": """address article aside blockquote body caption center details dialog div dl fieldset figcaption
        figure footer form frameset header hgroup hr html legend main nav optgroup option p plaintext search
        section summary tbody tfoot thead""",
    "heading": "h1 h2 h3 h4 h5 h6",
    "list": "ul ol menu dir",
    "item": "li dt dd",
    "code": "pre textarea listing xmp",
    "table": "table",
    "row": "tr",
    "cell": "td th",
    "link": "a",
    "foreign": "svg math",
    "title": "title",
}
ROLES = {tag: role for role, tags in _TAGS.items() for tag in tags.split()}
"""What an element does to the text in it, by its name; all others let it run on."""
HEADING = re.compile(r"h[1-6]")
"""The names of headings."""
TYPED = frozenset(
    {"", "text", "search", "tel", "url", "email", "number", "date", "submit", "button", "reset"}
)
"""The types of <input> that show their value."""

_NO_ADDRESS = re.compile(r"(?:javascript|data|vbscript|blob):|#", re.IGNORECASE)
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_MOST_ROMAN = 3999


def address_of(written: str, base: str) -> str | None:
    """Where a link leads; None where it leads nowhere else, or is a script.

    Args:
        written: The link's `href`.
        base: What the page says that its addresses are relative to, or nothing.
    """
    address = "".join(filter(str.isprintable, written)).strip()
    if not address or _NO_ADDRESS.match(address):
        return None
    try:
        return urljoin(base, address) if base else address
    except ValueError:  # a broken name of a host
        return address


def number_of(written: str | None, otherwise: int) -> int:
    """A small whole number, as browsers read them from attributes."""
    found = re.match(r"\s*([+-]?\d{1,9})", written or "", re.ASCII)
    return int(found[1]) if found else otherwise


def ordinal(number: int, style: str) -> str:
    """`number` as the items of an ordered list of that type show it: "3", "c", "C", "iii" or "III"."""
    shown = str(number)
    if style in {"a", "A"} and number > 0:
        shown = ""
        while number > 0:
            number, letter = divmod(number - 1, 26)
            shown = chr(ord("a") + letter) + shown
    elif style in {"i", "I"} and 0 < number <= _MOST_ROMAN:
        shown = ""
        for value, sign in _ROMAN:
            count, number = divmod(number, value)
            shown += sign * count
    return shown.upper() if style in {"A", "I"} else shown
