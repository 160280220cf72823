"""The container of a Word file: a ZIP of XML parts, opened with every ceiling that a hostile one needs.

The parts are found by their relationships and parsed here rather than through python-docx, which loads every
part of a package, images too, cannot open Strict files, and fails as a whole on one dangling relationship.
"""

import io
import posixpath
import zipfile
import zlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lctx.core.errors import DamagedSourceError, EncryptedSourceError, LimitError

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_ENTRIES = 20_000
"""The most files that the container may list."""
MAX_PART_BYTES = 128 * 1024 * 1024
"""The largest that one part may inflate to; the longest novels are under 20 MB of XML."""
MAX_PACKAGE_BYTES = 256 * 1024 * 1024
"""The most that all parts that are read may inflate to."""

_READ_BYTES = 256 * 1024
_ENCRYPTED_FLAG = 0x1
# ISO/IEC 29500 Strict uses other names for the same things (part 1, annex A against part 4).
_STRICT = (
    (b"http://purl.oclc.org/ooxml/wordprocessingml/main", b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"),
    (b"http://purl.oclc.org/ooxml/officeDocument/math", b"http://schemas.openxmlformats.org/officeDocument/2006/math"),
    (b"http://purl.oclc.org/ooxml/drawingml/main", b"http://schemas.openxmlformats.org/drawingml/2006/main"),
    (b"http://purl.oclc.org/ooxml/drawingml/chart", b"http://schemas.openxmlformats.org/drawingml/2006/chart"),
    (b"http://purl.oclc.org/ooxml/drawingml/diagram", b"http://schemas.openxmlformats.org/drawingml/2006/diagram"),
    (
        b"http://purl.oclc.org/ooxml/officeDocument/relationships",
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    ),
)  # fmt: skip


class Package:
    """The parts of one Word file, inflated and parsed when they are asked for."""

    def __init__(self, path: str, content: bytes) -> None:
        """Open the container.

        Raises:
            DamagedSourceError: It is no ZIP, or a truncated one.
            LimitError: It lists more than `MAX_ENTRIES` files.
        """
        self._path = path
        self._inflated = 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise self.damaged("it is not a complete Word file") from error
        if len(self._zip.filelist) > MAX_ENTRIES:
            raise LimitError(path, f"it lists more than {MAX_ENTRIES:,} parts", "save it anew from Word")
        # Part names are told apart without case (ECMA-376 part 2, 6.2.2.3).
        self._names = {entry.filename.lower(): entry for entry in self._zip.filelist}

    def damaged(self, why: str) -> DamagedSourceError:
        """The error that says that this file cannot be made sense of."""
        return DamagedSourceError(self._path, why, "open it in Word or LibreOffice and save it anew")

    def main_part(self) -> str:
        """The name of the part that holds the body."""
        for kind, target, _ in self.relationships(""):
            if kind == "officeDocument" and target.lower() in self._names:
                return target
        if "word/document.xml" in self._names:
            return "word/document.xml"
        raise self.damaged("it holds no Word document")

    def relationships(self, part: str) -> list[tuple[str, str, str]]:
        """(kind, name of the target, id) of what `part` refers to inside the file; "" is the whole file.

        A relationship file that cannot be read counts as empty: the body can still be read without it.
        """
        folder = posixpath.dirname(part)
        found = []
        for entry in self._relationships_of(part):
            kind, target = entry.get("Type", ""), entry.get("Target", "")
            if entry.get("TargetMode") != "External" and target:
                joined = posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")
                found.append((kind.rpartition("/")[2], joined, entry.get("Id", "")))
        return found

    def addresses(self, part: str) -> dict[str, str]:
        """The addresses outside the file that `part` refers to, by id; nothing ever opens them."""
        return {
            entry.get("Id", ""): entry.get("Target", "")
            for entry in self._relationships_of(part)
            if entry.get("TargetMode") == "External"
        }

    def _relationships_of(self, part: str) -> "list[_Element]":
        folder, name = posixpath.split(part)
        try:
            root = self.xml(posixpath.join(folder, "_rels", f"{name}.rels"))
        except DamagedSourceError:
            return []
        return [] if root is None else list(root)

    def xml(self, part: str) -> "_Element | None":
        """The root element of `part`, or None where there is no such part.

        Raises:
            DamagedSourceError: It cannot be inflated or is not well-formed.
            EncryptedSourceError: It is encrypted as ZIP does it.
            LimitError: It inflates beyond a ceiling.
        """
        entry = self._names.get(part.lower())
        if entry is None:
            return None
        from lxml import etree

        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            root = etree.fromstring(_transitional(self._inflate(entry)), parser)
        except etree.XMLSyntaxError as error:
            raise self.damaged(f"its part {part} is not well-formed XML") from error
        if root.getroottree().docinfo.internalDTD is not None:
            raise self.damaged(f"its part {part} declares entities, which no Word file does")
        return root

    def _inflate(self, entry: zipfile.ZipInfo) -> bytes:
        """The bytes of one part; sizes are counted as they come, never taken from the container's word."""
        if entry.flag_bits & _ENCRYPTED_FLAG:
            raise EncryptedSourceError(
                self._path, "it opens with a password only", "save a copy without the password"
            )
        pieces: list[bytes] = []
        size = 0
        try:
            with self._zip.open(entry) as stream:
                while piece := stream.read(_READ_BYTES):
                    size += len(piece)
                    if size > MAX_PART_BYTES or self._inflated + size > MAX_PACKAGE_BYTES:
                        ceiling = (MAX_PART_BYTES if size > MAX_PART_BYTES else MAX_PACKAGE_BYTES) // 2**20
                        why = f"its part {entry.filename} inflates to more than {ceiling} MiB"
                        raise LimitError(self._path, why, "save it in several files")
                    pieces.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as error:
            raise self.damaged(f"its part {entry.filename} cannot be inflated") from error
        self._inflated += size
        return b"".join(pieces)


def _transitional(xml: bytes) -> bytes:
    if b"purl.oclc.org/ooxml" in xml:
        for strict, transitional in _STRICT:
            xml = xml.replace(strict, transitional)
    return xml
