"""Formats of other distributions, found through the entry point group `lctx.formats`.

They are somebody else's code: what goes wrong in it becomes an error that names the distribution, and costs
the one source that was being read.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.errors import DamagedSourceError, EmptySourceError, SourceError
from lctx.formats.format import Format
from lctx.formats.names import printable
from lctx.formats.reader import DEFAULTS, Reader, ReadOptions, sha256_of

GROUP = "lctx.formats"
"""The entry point group. Each is named as its format, and leads to a `Format` or to what returns one."""

_NAME = re.compile(r"[a-z][a-z0-9.+_-]*")
_READER = re.compile(r"[a-z][a-z0-9.+_-]*/\w+")
_SUFFIX = re.compile(r"\.[^\sA-Z./\\]+")
_MAX_WHY_CHARS = 200


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """An entry point that leads to no format.

    Attributes:
        name: Of the entry point, which should be the format's.
        origin: The distribution and its version.
        why: What went wrong, one line.
    """

    name: str
    origin: str
    why: str


@dataclass(frozen=True, slots=True)
class Plugins:
    """What the installed distributions offer, in the order of their formats' names."""

    formats: tuple[Format, ...] = ()
    broken: tuple[BrokenPlugin, ...] = ()

    def by_suffix(self, suffix: str) -> Format | None:
        """The format that means files with this suffix."""
        return next((one for one in self.formats if suffix in one.suffixes), None)

    def by_content(self, head: bytes) -> Format | None:
        """The first format that recognises a source by its first bytes."""
        return next((one for one in self.formats if _recognises(one, head)), None)


_lock = threading.Lock()
_found: Plugins | None = None


def installed_plugins(built_in: Sequence[Format], is_built_in: Callable[[str], bool]) -> Plugins:
    """The formats of all installed distributions; looked up once a process.

    Args:
        built_in: The formats of lctx, whose names and readers nobody else can have.
        is_built_in: Whether a suffix means one of those; others may claim it, and are not asked.
    """
    global _found  # noqa: PLW0603 - what is installed does not change while a command runs
    with _lock:
        if _found is None:
            from importlib.metadata import entry_points

            entries = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _origin_of(entry)))
            _found = load_plugins(entries, built_in, is_built_in)
    return _found


def load_plugins(
    entries: Sequence[EntryPoint], built_in: Sequence[Format], is_built_in: Callable[[str], bool]
) -> Plugins:
    """The formats that `entries` lead to; of several with one name, reader or suffix the first has it."""
    formats: list[Format] = []
    broken: list[BrokenPlugin] = []
    names = {one.name: one.origin for one in built_in}
    readers = {one.reader.partition("/")[0]: one.origin for one in built_in}
    claimed: set[str] = set()
    for entry in entries:
        origin = _origin_of(entry)
        try:
            loaded = _checked(_loaded(entry))
            reader = loaded.reader.partition("/")[0]
            owner = names.get(loaded.name) or readers.get(reader)
            if owner:
                raise ValueError(f"{loaded.name} ({loaded.reader}) is taken by {owner}")  # noqa: TRY301 - told below
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever another's code raises
            broken.append(BrokenPlugin(printable(entry.name), origin, _told(error)))
            continue
        names[loaded.name] = readers[reader] = origin
        suffixes = tuple(
            suffix for suffix in loaded.suffixes if suffix not in claimed and not is_built_in(suffix)
        )
        claimed.update(suffixes)
        found = replace(loaded, suffixes=suffixes, origin=origin, runs_in="process")
        formats.append(replace(found, read=_guarded(found)))
    return Plugins(tuple(formats), tuple(broken))


def _loaded(entry: EntryPoint) -> Format:
    loaded = entry.load()
    if not isinstance(loaded, Format) and callable(loaded):
        loaded = loaded()
    if not isinstance(loaded, Format):
        raise TypeError(f"{entry.value} is of type {type(loaded).__name__}, not a Format")
    return loaded


def _checked(loaded: Format) -> Format:
    if not (isinstance(loaded.name, str) and _NAME.fullmatch(loaded.name)):
        raise ValueError(f"the format's name {loaded.name!r} is not in small letters")
    if not (isinstance(loaded.reader, str) and _READER.fullmatch(loaded.reader)):
        raise ValueError(f"the reader {loaded.reader!r} is not written as name/version")
    if not isinstance(loaded.suffixes, tuple) or not all(
        isinstance(suffix, str) and _SUFFIX.fullmatch(suffix) for suffix in loaded.suffixes
    ):
        raise ValueError(f"the suffixes {loaded.suffixes!r} are not a tuple of small endings with their dot")
    if not callable(loaded.read) or not (loaded.sniff is None or callable(loaded.sniff)):
        raise TypeError("its read or its sniff is no function")
    return loaded


def _origin_of(entry: EntryPoint) -> str:
    """The distribution of an entry point and its version: "lctx-epub 1.0"."""
    if entry.dist is None:
        return "an unnamed distribution"
    return printable(f"{entry.dist.name} {entry.dist.version}")


def _recognises(one: Format, head: bytes) -> bool:
    """Whether the format takes a source for its own; one that fails at the question does not."""
    try:
        return one.sniff is not None and bool(one.sniff(head))
    except (Exception, SystemExit):  # noqa: BLE001 - whatever another's code raises
        return False


def _guarded(plugin: Format) -> Reader:
    """A reader that keeps its promise: a document that can be cited from, or an error of a source."""
    blame = f"report it to the authors of {plugin.origin}, or uninstall it"

    def read(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
        try:
            document = _whole(plugin.read(path, content, options))
        except SourceError:
            raise
        except (Exception, SystemExit) as error:
            why = f"the reader of {plugin.origin} failed ({_told(error)})"
            raise DamagedSourceError(path, why, blame) from error
        if not document.text.strip():
            raise EmptySourceError(path, "it holds no text", "name a file that holds something")
        # What lctx knows itself is not left to the reader; built anew, the document is checked again.
        return replace(document, path=path, kind=plugin.name, reader=plugin.reader, sha256=sha256_of(content))

    return read


def _whole(document: object) -> Document:
    """The document, if all of it is what its type says."""
    if not isinstance(document, Document):
        raise TypeError(f"it returned {type(document).__name__}, not a Document")
    document.text.encode("utf-8")
    end = len(document.text)
    for part, kind in ((document.spans, Span), (document.blocks, Block), (document.links, Link)):
        if not isinstance(part, tuple) or not all(isinstance(one, kind) for one in part):
            raise TypeError(f"its {kind.__name__.lower()}s are not a tuple of {kind.__name__}")
        if not all(0 <= one.start <= one.end <= end for one in part):
            raise ValueError(f"a {kind.__name__.lower()} lies outside the text")
    if not all(isinstance(span.location, Location) for span in document.spans):
        raise TypeError("a span's location is no Location")
    if not all(isinstance(warning, str) for warning in document.warnings):
        raise TypeError("a warning is no text")
    return document


def _told(error: BaseException) -> str:
    """An exception on one line that can be shown."""
    said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return printable(said[:_MAX_WHY_CHARS])
