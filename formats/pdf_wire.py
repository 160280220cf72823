"""What crosses from a PDF's child process to its parent: pages, and the entries of the outline."""

from typing import Annotated, Literal

import msgspec

_NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class Page(msgspec.Struct, tag="page"):
    """One page.

    Attributes:
        text: As the library gives it.
        label: The number that is printed on it, "" where the file says none.
        failed: Why it could not be read, or None.
        cells: Offsets into the text where a line's next cell begins, sorted.
        shows: Of a page without text: whether a picture covers it, or it shows others, or nothing.
    """

    text: str
    label: str
    failed: str | None
    cells: list[_NotNegative] = []
    shows: Literal["", "pictures", "scan"] = ""


class Entry(msgspec.Struct, tag="entry"):
    """One entry of the outline, in the order of the outline.

    Attributes:
        level: 0 for the outermost.
        title: As the outline has it.
        page: The index of the page that it leads to, or None.
    """

    level: _NotNegative
    title: str
    page: int | None


class Boxes(msgspec.Struct, tag="boxes"):
    """Where stretches of one page's text are printed.

    Attributes:
        page: Its index.
        digest: Of the text that the stretches were counted in.
        boxes: x0, y0, x1, y1 for each that was asked for, or None.
    """

    page: int
    digest: str
    boxes: list[tuple[float, float, float, float] | None]


class Hidden(msgspec.Struct, tag="hidden"):
    """What cannot be seen on one page.

    Attributes:
        page: Its index.
        digest: Of the text that the ranges were counted in; "" where there are none.
        ranges: Half-open, sorted, apart.
    """

    page: int
    digest: str
    ranges: list[tuple[_NotNegative, _NotNegative]]


class Field(msgspec.Struct):
    """One form field that holds something.

    Attributes:
        name: What a person is shown, or the field's own name.
        value: As text.
        is_hidden: Whether a viewer shows it nowhere.
    """

    name: str
    value: str
    is_hidden: bool


class Note(msgspec.Struct):
    """What a person wrote beside a page's text.

    Attributes:
        kind: "Note", "Highlight" and the like.
        author: "" where it does not say.
        text: All of it.
        is_hidden: Whether a viewer shows it nowhere.
    """

    kind: str
    author: str
    text: str
    is_hidden: bool


class PageFile(msgspec.Struct):
    """A file that hangs on a page, by the number of its annotation there."""

    number: _NotNegative
    name: str


class Extras(msgspec.Struct, tag="extras"):
    """What lies on one page beside its text.

    Attributes:
        page: Its index.
        links: Half-open ranges of the page's text, sorted, and where they lead.
        fields: In the order of the page's annotations.
        notes: The same.
        files: The same.
        is_cut: Whether there was more than is read of one page.
    """

    page: _NotNegative
    links: list[tuple[_NotNegative, _NotNegative, str]]
    fields: list[Field]
    notes: list[Note]
    files: list[PageFile]
    is_cut: bool = False


class Attachment(msgspec.Struct, tag="attachment"):
    """A file that is attached to the document."""

    number: _NotNegative
    name: str


class XfaForm(msgspec.Struct, tag="xfa"):
    """The document is a form of a kind that only few programs show."""


class File(msgspec.Struct, tag="file"):
    """The bytes of one attached file.

    Attributes:
        size: In bytes.
        content: All of them, or nothing where there are more than may be read.
    """

    size: _NotNegative
    content: bytes
