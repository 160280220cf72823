"""A Python process of lctx's own: started bare, with the import paths of this one."""

import sys
from pathlib import Path


def interpreter(*, site: bool = False) -> list[str]:
    """The command that runs a text of Python in isolation, up to where the text follows.

    Args:
        site: Whether `site` is imported; without it the interpreter starts in a third of the time.
    """
    options = ["-I", *([] if site else ["-S"]), *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *options, "-c"]


def import_paths() -> list[str]:
    """Where such a process finds what this one found, lctx included.

    A path that is relative would follow the current directory into a repository under review.
    """
    places = [place for place in sys.path if Path(place).is_absolute()]
    return [*places, str(Path(__file__).absolute().parents[2])]
