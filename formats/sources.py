"""From the names that a user gave to the files behind them."""

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lctx.core.errors import EmptySourceError, MissingSourceError, SourceError
from lctx.formats.attributes import Attributes
from lctx.formats.choice import Choice
from lctx.formats.listing import Listing, list_folder
from lctx.formats.names import printable
from lctx.formats.noise import noise_of_name
from lctx.formats.pages import Pages, pages_of, split_pages
from lctx.formats.source_file import (
    MAX_SOURCE_BYTES,
    STDIN,
    Skipped,
    SourceFile,
    noise_in,
    not_regular,
    read_bytes,
    read_stdin,
    read_with_status,
    told,
)

__all__ = [
    "MAX_SOURCE_BYTES",
    "STDIN",
    "Folder",
    "Found",
    "Skipped",
    "SourceFile",
    "find_sources",
    "names_source",
    "read_bytes",
    "read_stdin",
    "read_with_status",
]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was named, and what is to be read of it.

    Attributes:
        path: As the user named it.
        files: The `SourceFile.file` of each.
        num_entries: How many files and folders it holds.
    """

    path: str
    files: tuple[str, ...]
    num_entries: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the names led to.

    Attributes:
        files: In the order of the names, sorted within a folder; no file twice.
        skipped: What was passed over on purpose, by the user's wish or for being no text.
        errors: One for each name, or file in a folder, that could not be looked at.
        warnings: What the user should know of the search, one sentence each.
        folders: The folders among the names that bring files of their own.
    """

    files: tuple[SourceFile, ...]
    skipped: tuple[Skipped, ...]
    errors: tuple[SourceError, ...]
    warnings: tuple[str, ...] = ()
    folders: tuple[Folder, ...] = ()

    def passing_over(self, reasons: Mapping[str, str]) -> "Found":
        """The same without the files that nobody would read, as became clear when they were opened.

        Args:
            reasons: Why, by `SourceFile.file`.
        """
        if not reasons:
            return self
        late = [Skipped(one.path, reasons[one.file]) for one in self.files if one.file in reasons]
        left = tuple(one for one in self.files if one.file not in reasons)
        empty = [
            _nothing_in(folder.path, folder.num_entries)
            for folder in self.folders
            if all(file in reasons for file in folder.files)
        ]
        return replace(self, files=left, skipped=(*self.skipped, *late), errors=(*self.errors, *empty))


def find_sources(
    names: Sequence[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    use_ignores: bool = True,
    look_inside: bool = True,
) -> Found:
    """The files behind `names`.

    A file that is named is taken as it is; of a folder what git would keep is taken, less what nobody would
    read. Symbolic links are followed where the user names them, never inside a folder.

    Args:
        names: Files, folders, and "-" for standard input; "report.pdf#10-40" is a part of a file.
        include: Patterns as in .gitignore; where there are any, only what matches is taken from a folder.
        exclude: Patterns of what is not taken from a folder.
        use_ignores: Whether git and .gitignore files have a say in what belongs to a folder.
        look_inside: Whether a folder's files are opened to see whether anybody would read them. Without, only
            their names are judged: `read_with_status` does the rest, and `Found.passing_over` notes it.

    Raises:
        UsageError: A pattern, or a range of pages, cannot be read.
    """
    search = _Search(Choice(include, exclude), use_ignores=use_ignores, look_inside=look_inside)
    for name in names:
        try:
            search.take(name)
        except SourceError as error:
            search.errors.append(error)
    return Found(
        _without_doubles(search.files),
        tuple(one for file, one in search.skipped if not search.knows(file)),
        tuple(search.errors),
        tuple(dict.fromkeys(search.warnings)),
        tuple(search.folders),
    )


def names_source(name: str) -> bool:
    """Whether `name` leads to something that is there: a path, or a path with a range of pages behind it."""
    if os.path.lexists(name):
        return True
    parts = split_pages(name)
    return parts is not None and os.path.isfile(parts[0])  # noqa: PTH113 - a text of any length is asked


class _Search:
    def __init__(self, choice: Choice, *, use_ignores: bool, look_inside: bool) -> None:
        self.files: list[SourceFile] = []
        self.skipped: list[tuple[str, Skipped]] = []
        self.errors: list[SourceError] = []
        self.warnings: list[str] = []
        self.folders: list[Folder] = []
        self._choice = choice
        self._use_ignores = use_ignores
        self._look_inside = look_inside
        self._places: dict[tuple[str, Pages | None], int] = {}

    def take(self, name: str) -> None:
        if name == STDIN:
            self._keep(SourceFile(STDIN, STDIN))
            return
        name, pages = _parted(name)
        shown = printable(name)
        file, mode = _resolved(name, shown)
        if stat.S_ISDIR(mode):
            self._take_folder(name, shown, file)
        elif stat.S_ISREG(mode):
            self._keep(SourceFile(shown, file, pages))
        else:
            raise not_regular(shown)

    def knows(self, file: str) -> bool:
        """Whether `file` is to be read whole."""
        return (file, None) in self._places

    def _keep(self, source: SourceFile) -> bool:
        """Whether `source` is new. What was found in a folder and is named too is read whatever it holds."""
        place = self._places.setdefault((source.file, source.pages), len(self.files))
        if place == len(self.files):
            self.files.append(source)
            return True
        if source.is_judged:
            self.files[place] = replace(self.files[place], is_judged=True)
        return False

    def _take_folder(self, name: str, shown: str, root: str) -> None:
        listing = list_folder(shown, root, self._choice, use_ignores=self._use_ignores)
        prefix, below = _prefix(name), root.rstrip("/")
        num_files, num_errors = len(self.files), len(self.errors)
        self.errors += listing.errors
        self.warnings += listing.warnings
        is_known = self._take_files(prefix, below, listing)
        self.skipped += [
            (f"{below}/{path}", Skipped(printable(prefix + path), reason))
            for path, reason in sorted(listing.left_out, key=lambda one: _order(one[0]))
        ]
        new = tuple(source.file for source in self.files[num_files:])
        if new:
            self.folders.append(Folder(shown, new, listing.num_entries))
        elif not is_known and len(self.errors) == num_errors:
            raise _nothing_in(shown, len(listing.left_out) and listing.num_entries)

    def _take_files(self, prefix: str, root: str, listing: Listing) -> bool:
        """Keep what is worth reading, and note the rest as left out; whether any had been named before."""
        attributes = Attributes(root, [*listing.files, *(path for path, _ in listing.left_out)])
        is_known = False
        for path in sorted(listing.files, key=_order):
            source = SourceFile(printable(prefix + path), f"{root}/{path}", is_judged=self._look_inside)
            if self.knows(source.file):
                is_known = True
                continue
            reason = noise_of_name(path)
            if reason is None and attributes.say_generated(path):
                reason = "generated (.gitattributes)"
            try:
                if reason is None and self._look_inside:
                    reason = noise_in(source)
            except SourceError as error:
                self.errors.append(error)
                continue
            if reason:
                listing.left_out.append((path, reason))
            else:
                self._keep(source)
        return is_known


def _parted(name: str) -> tuple[str, Pages | None]:
    """A name without the range of pages behind it; a file whose own name has a "#" is meant as it stands."""
    parts = None if os.path.lexists(name) else split_pages(name)
    if parts is None or not os.path.isfile(parts[0]):  # noqa: PTH113 - as in `names_source`
        return name, None
    return parts[0], pages_of(printable(name), parts[1])


def _resolved(name: str, shown: str) -> tuple[str, int]:
    """The file behind `name` without links, and its mode."""
    if not name:
        raise MissingSourceError("''", "no such file", "check the path")
    try:
        file = os.path.realpath(name, strict=True)
        return file, os.stat(file).st_mode  # noqa: PTH116 - a Path for each of many files takes long
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise MissingSourceError(shown, "no such file", "check the path") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            hint = "name the file itself"
            raise SourceError(shown, "its symbolic links form a circle", hint) from error
        raise SourceError(shown, told(error), "check the path and its permissions") from error


def _without_doubles(files: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
    """`files`, but a file that is named whole and in parts is read once, whole."""
    whole = {one.file: one for one in files if one.pages is None}
    return tuple(dict.fromkeys(whole.get(one.file, one) for one in files))


def _order(path: str) -> str:
    """What paths are sorted by: folder by folder, so that what stands in "a" comes before "a.txt"."""
    return path.replace("/", "\0")


def _prefix(name: str) -> str:
    """What goes in front of a path below the folder `name`: nothing for the current one."""
    parts = Path(name).as_posix()
    return "" if parts == "." else f"{parts.rstrip('/')}/"


def _nothing_in(shown: str, num_entries: int) -> EmptySourceError:
    if num_entries:
        why = f"no file that lctx reads among its {num_entries:,}"
        return EmptySourceError(shown, why, "widen --include and --exclude, or name a file")
    hint = "check the path; --no-ignore takes what git ignores too"
    return EmptySourceError(shown, "the folder holds no file that is not ignored", hint)
