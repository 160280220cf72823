"""Passwords of protected sources: the one that was given, and those that a person types at the terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from lctx.cli.arguments import STDIN
from lctx.cli.clean import one_line
from lctx.cli.notes import Notes
from lctx.cli.sources import Reading, read_each, reading_of
from lctx.core.document_cache import DocumentCache
from lctx.core.errors import EncryptedSourceError, SourceError
from lctx.formats.reader import ReadOptions
from lctx.formats.sources import Found, SourceFile

if TYPE_CHECKING:
    from collections.abc import Generator

    from lctx.cli.reading_batch import Result

MAX_TRIES = 3
_TERMINAL = "/dev/tty"


class Passwords:
    """Reads sources, and has a password for each that needs one. None of them is ever shown or kept."""

    def __init__(self, given: str | None, notes: Notes) -> None:
        """Begin with `given`, from the command line or the environment; None where there is none."""
        self._given = given
        self._notes = notes
        self._typed: list[str] = []
        self._of: dict[str, str] = {}

    def options_for(self, path: str) -> ReadOptions:
        """What the reader of the source called `path` was told."""
        return ReadOptions(password=self._of.get(path, self._given))

    def read(
        self,
        found: Found,
        *,
        stdin: bool,
        cache: DocumentCache,
        on_progress: Callable[[int, int, str], None] | None = None,
    ) -> Reading:
        """All of `found` together; whoever is at the terminal is asked for the passwords that are missing.

        Raises:
            KeyboardInterrupt: Instead of a password.
        """
        contents: dict[str, bytes] = {}
        results = self.read_each(found, stdin=stdin, cache=cache, on_progress=on_progress, contents=contents)
        return reading_of(found, results, stdin=stdin, contents=contents)

    def read_each(
        self,
        found: Found,
        *,
        stdin: bool,
        cache: DocumentCache,
        on_progress: Callable[[int, int, str], None] | None = None,
        contents: dict[str, bytes] | None = None,
    ) -> "Iterator[Result]":
        """As `read_each` of the sources, in the same order; whoever is at the terminal is asked on the way.

        Raises:
            KeyboardInterrupt: Instead of a password.
        """
        options = ReadOptions(password=self._given)
        results = read_each(
            found, stdin=stdin, cache=cache, on_progress=on_progress, options=options, contents=contents
        )
        # Closing it ends the processes that read ahead.
        with closing(cast("Generator[Result]", results)):
            for number, result in enumerate(results):
                if isinstance(result, SourceError) and _needs_password(result) and _somebody_is_there():
                    self._notes.clear()
                    yield self._open(found.files[number - stdin], cache) or result
                else:
                    yield result

    def _open(self, file: SourceFile, cache: DocumentCache) -> "Result | None":
        """What comes of it with a password: one that opened another, else one that is typed now."""
        for password in self._typed:
            if opened := self._try(file, password, cache):
                return opened
        for number in range(MAX_TRIES):
            again = " (that was not it)" if number else ""
            password = _typed_password(f"password for {one_line(file.path)}{again}: ")
            if not password:
                return None  # left out, as it would be without anybody there
            if opened := self._try(file, password, cache):
                self._typed.append(password)
                return opened
        return None

    def _try(self, file: SourceFile, password: str, cache: DocumentCache) -> "Result | None":
        """What came of it, readable or not; None where the password is the wrong one."""
        alone = Found((file,), (), ())
        options = ReadOptions(password=password)
        (result,) = read_each(alone, stdin=False, cache=cache, options=options)
        if isinstance(result, SourceError) and _needs_password(result):
            return None
        self._of[file.path] = password
        return result


def _needs_password(error: SourceError) -> bool:
    """Whether a password could open it: other protection cannot be opened here, and its hint says so."""
    is_open_to_one = "--password" in (error.hint or "")
    return isinstance(error, EncryptedSourceError) and is_open_to_one and error.path != STDIN


def _somebody_is_there() -> bool:
    try:
        if sys.stderr is None or not sys.stderr.isatty():
            return False
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except (OSError, ValueError):
        return False
    return True


def _typed_password(prompt: str) -> str:
    """What is typed without being shown; empty where nothing is."""
    from getpass import getpass

    try:
        return getpass(prompt)  # of /dev/tty: standard input may be a source
    except EOFError:
        return ""
