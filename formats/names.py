"""Names of files as they can be shown: on one line, as UTF-8, without anything that steers a terminal."""

_ESCAPED_BYTES = range(0xDC80, 0xDD00)
"""How Python keeps the bytes of a file name that are no UTF-8."""


def printable(name: str) -> str:
    r"""`name` with what cannot be shown escaped as git does it: "a\nb", "caf\xe9"."""
    if name.isprintable():
        return name
    return "".join(_escaped(character) for character in name)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if ord(character) in _ESCAPED_BYTES:
        return f"\\x{ord(character) - _ESCAPED_BYTES.start + 0x80:02x}"
    return character.encode("unicode_escape").decode("ascii")
