"""What lies on a PDF's pages beside their text: links, form fields, notes. Runs in the child, beside pdfium.

A page that has no annotations costs one call.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lctx.core.errors import LimitError
from lctx.formats.pdf_functions import Box, FormFillInfo, floats, functions
from lctx.formats.pdf_link_places import text_under

MAX_ANNOTATIONS = 20_000
"""Annotations of one page after this one are left out."""
MAX_VALUE_CHARS = 100_000
"""No more is read of one value or note than this."""
MAX_CHARS = 20_000_000
"""More than this in the fields and notes of a document is not read."""
MAX_ATTACHMENTS = 10_000
"""Attached files after this one are not even named."""
_MAX_BYTES = 4_000_000
_MAX_TARGET_CHARS = 2_000
_MAX_LOOKS = 200_000_000
"""pdfium looks through all characters of a page for each end of a link: more would take seconds."""
_HELD = ("links", "fields", "notes", "files", "is_cut")

# FPDF_ANNOT_…
_LINK, _POPUP, _FILE, _WIDGET = 2, 16, 17, 20
_KINDS = {9: "Highlight", 10: "Underline", 11: "Underline", 12: "Strikeout", 13: "Stamp"}
_WITHOUT_WORDS = {_LINK, _POPUP, _WIDGET}
_UNSEEN_FLAGS = (1 << 1) | (1 << 5)  # hidden, no view
# FPDF_FORMFIELD_…
_CHECKBOX, _RADIO, _COMBOBOX, _LISTBOX, _TEXT_FIELD = 2, 3, 4, 5, 6
_PASSWORD_FIELD = 1 << 13  # §12.7.5.3 of the PDF 2.0 specification
_XFA_FORMS = {2, 3}  # FORMTYPE_XFA_…
_URI, _GOTO, _REMOTE, _LAUNCH = 3, 1, 2, 4  # PDFACTION_…


class Annotations:
    """The annotations of one document's pages, read page by page.

    Args:
        document: pdfium's handle.
    """

    def __init__(self, document: int) -> None:
        self._document = document
        self._form: tuple[int, FormFillInfo] | None = None
        self._page = 0  # the one whose buttons the form knows
        self._num_chars = 0

    def of_page(
        self, index: int, page: int, textpage: int, text: str, origins: Sequence[int] | None = None
    ) -> dict[str, Any] | None:
        """A record of the links, fields, notes and attached files of a page; None where it has none.

        It depends on nothing but the page: other pages may be read by other processes.

        Args:
            index: The page's.
            page: pdfium's handle.
            textpage: pdfium's handle.
            text: The page's text as it is read.
            origins: Where each character of `text` stands in pdfium's own text, -1 for nowhere; None where
                `text` is that text.

        Raises:
            LimitError: The fields and notes of all pages so far hold more text than is read.
        """
        pdfium = functions()
        count = pdfium.FPDFPage_GetAnnotCount(page)
        if count <= 0:
            return None
        record: dict[str, Any] = {
            "type": "extras", "page": index, "links": [], "fields": [], "notes": [], "files": [],
            "is_cut": count > MAX_ANNOTATIONS,
        }  # fmt: skip
        links: list[tuple[Box, str]] = []
        for number in range(min(count, MAX_ANNOTATIONS)):
            annotation = pdfium.FPDFPage_GetAnnot(page, number)
            if not annotation:
                continue
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            if kind == _LINK:
                links += self._link(annotation)
            elif kind == _WIDGET:
                record["fields"] += self._field(annotation, page)
            else:
                if kind == _FILE:
                    record["files"] += _attached(annotation, number)
                if kind not in _WITHOUT_WORDS:
                    record["notes"] += _note(annotation, kind)
            pdfium.FPDFPage_CloseAnnot(annotation)
        self._leave_page()
        if links and len(links) * len(text) <= _MAX_LOOKS:
            record["links"] = text_under(links, textpage, text, origins)
        elif links:
            record["is_cut"] = True
        self._num_chars += sum(len(one["value"]) for one in record["fields"])
        self._num_chars += sum(len(one["text"]) for one in record["notes"])
        if self._num_chars > MAX_CHARS:
            raise LimitError("", f"more than {MAX_CHARS:,} characters in its fields and notes")
        return record if any(record[name] for name in _HELD) else None

    def _link(self, annotation: Any) -> Iterator[tuple[Box, str]]:
        """The areas of a link, with its target."""
        pdfium = functions()
        link = pdfium.FPDFAnnot_GetLink(annotation)
        target = self._target(link) if link else ""
        if not target:
            return
        corners = floats(8)
        num_quads = pdfium.FPDFLink_CountQuadPoints(link)
        for number in range(max(num_quads, 0)):
            if pdfium.FPDFLink_GetQuadPoints(link, number, corners):
                yield _box(corners), target
        edges = floats(4)
        if num_quads <= 0 and pdfium.FPDFLink_GetAnnotRect(link, edges):
            yield _box(edges), target

    def _target(self, link: Any) -> str:
        """Where a link leads: an address, a file's name, or "#page=N"."""
        pdfium = functions()
        action = pdfium.FPDFLink_GetAction(link)
        kind = pdfium.FPDFAction_GetType(action) if action else _GOTO
        if kind == _URI:
            return _cleaned(_bytes_of(pdfium.FPDFAction_GetURIPath, self._document, action))[
                :_MAX_TARGET_CHARS
            ]
        if kind in {_REMOTE, _LAUNCH}:
            return _cleaned(_bytes_of(pdfium.FPDFAction_GetFilePath, action))[:_MAX_TARGET_CHARS]
        goal = pdfium.FPDFLink_GetDest(self._document, link)
        if not goal and action:
            goal = pdfium.FPDFAction_GetDest(self._document, action)
        page = pdfium.FPDFDest_GetDestPageIndex(self._document, goal) if goal else -1
        return f"#page={page + 1}" if page >= 0 else ""

    def _field(self, annotation: int, page: int) -> list[dict[str, Any]]:
        """A form field with its value; nothing where it is empty, a button or a signature."""
        pdfium = functions()
        form = self._form_on(page)
        if not form or pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FIELD:
            return []
        value = _value(form, annotation)
        name = _text_of(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or _text_of(
            pdfium.FPDFAnnot_GetFormFieldName, form, annotation
        )
        return [{"name": name, "value": value, "is_hidden": _is_hidden(annotation)}] if value else []

    def _form_on(self, page: int) -> int:
        """The handle of the document's form, ready for the buttons of a page; 0 where pdfium sees none."""
        if self._form is None:
            form = FormFillInfo(version=2)
            handle = functions().FPDFDOC_InitFormFillEnvironment(self._document, ctypes.byref(form))
            self._form = handle or 0, form
        if self._page != page:
            self._page = page
            functions().FORM_OnAfterLoadPage(page, self._form[0])
        return self._form[0]

    def _leave_page(self) -> None:
        if self._form and self._page:
            functions().FORM_OnBeforeClosePage(self._page, self._form[0])
            self._page = 0


def _note(annotation: int, kind: int) -> list[dict[str, Any]]:
    """What a person wrote beside the text; nothing where that is nothing."""
    pdfium = functions()
    words = _text_of(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")
    if not words.strip():
        return []
    author = _text_of(pdfium.FPDFAnnot_GetStringValue, annotation, b"T")
    named = _KINDS.get(kind, "Note")
    return [{"kind": named, "author": author, "text": words, "is_hidden": _is_hidden(annotation)}]


def _box(numbers: Any) -> Box:
    """The box of the points whose coordinates these are, in turn across and up."""
    across, up = numbers[0::2], numbers[1::2]
    return min(across), min(up), max(across), max(up)


def _value(form: int, annotation: Any) -> str:
    """What a form field holds; "" for nothing, for buttons and signatures."""
    pdfium = functions()
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind == _CHECKBOX:
        return "checked" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "not checked"
    if kind == _RADIO:
        if not pdfium.FPDFAnnot_IsChecked(form, annotation):
            return ""
        return _text_of(pdfium.FPDFAnnot_GetFormFieldExportValue, form, annotation) or "checked"
    if kind in {_COMBOBOX, _LISTBOX}:
        count = min(pdfium.FPDFAnnot_GetOptionCount(form, annotation), MAX_ANNOTATIONS)
        chosen = [
            _text_of(pdfium.FPDFAnnot_GetOptionLabel, form, annotation, number)
            for number in range(count)
            if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, number)
        ]
        if any(chosen):
            return ", ".join(filter(None, chosen))
    if kind in {_COMBOBOX, _LISTBOX, _TEXT_FIELD}:
        return _text_of(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation).strip()
    return ""


def _attached(annotation: Any, number: int) -> list[dict[str, Any]]:
    """The file that hangs on a page, by the number of its annotation."""
    pdfium = functions()
    attachment = pdfium.FPDFAnnot_GetFileAttachment(annotation)
    if not attachment:
        return []
    return [{"number": number, "name": _text_of(pdfium.FPDFAttachment_GetName, attachment)}]


def extras_of(document: int) -> Iterator[dict[str, Any]]:
    """A record for each file that is attached to the document itself, and one if it is an XFA form.

    Args:
        document: pdfium's handle.
    """
    pdfium = functions()
    if pdfium.FPDF_GetFormType(document) in _XFA_FORMS:
        yield {"type": "xfa"}
    for number in range(min(pdfium.FPDFDoc_GetAttachmentCount(document), MAX_ATTACHMENTS)):
        attachment = pdfium.FPDFDoc_GetAttachment(document, number)
        if attachment:
            name = _text_of(pdfium.FPDFAttachment_GetName, attachment)
            yield {"type": "attachment", "number": number, "name": name}


def _is_hidden(annotation: Any) -> bool:
    pdfium = functions()
    return bool(pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN_FLAGS)


def _text_of(call: Callable[..., int], *arguments: Any) -> str:
    """What one of pdfium's functions writes in UTF-16, without its closing zero; "" beyond all bounds."""
    size = call(*arguments, None, 0)
    if not 0 < size <= _MAX_BYTES:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    call(*arguments, buffer, size)
    words = bytes(buffer)[:size].decode("utf-16-le", "replace")
    return words.rstrip("\0")[:MAX_VALUE_CHARS]


def _bytes_of(call: Callable[..., int], *arguments: Any) -> str:
    """The same for a function that writes bytes, which ought to be UTF-8."""
    size = call(*arguments, None, 0)
    if not 0 < size <= _MAX_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(size)
    call(*arguments, buffer, size)
    return buffer.raw.rstrip(b"\0").decode("utf-8", "replace")


def _cleaned(address: str) -> str:
    """An address without what no address holds: control characters and the like."""
    return "".join(filter(str.isprintable, address)).strip()
