"""Word files for the tests, written part by part, so that each holds exactly what its test is about."""

import io
import zipfile

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT_W = "http://purl.oclc.org/ooxml/wordprocessingml/main"
RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_OFFICE = "http://purl.oclc.org/ooxml/officeDocument/relationships"
NAMESPACES = (
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)


def paragraph(text: str, *, style: str | None = None, properties: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f'<w:p><w:pPr>{named}{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(*rows: tuple[str, ...]) -> str:
    """A table whose cells hold the given XML, or a paragraph of the given text."""

    def cell(content: str) -> str:
        return f"<w:tc>{content if content.startswith('<') else paragraph(content)}</w:tc>"

    written = "".join(f"<w:tr>{''.join(cell(content) for content in row)}</w:tr>" for row in rows)
    return f"<w:tbl>{written}</w:tbl>"


def root(name: str, content: str, namespace: str = W) -> str:
    return f'<w:{name} xmlns:w="{namespace}" {NAMESPACES}>{content}</w:{name}>'


def relationships(*entries: tuple[str, str], base: str = OFFICE) -> str:
    listed = "".join(
        f'<Relationship Id="r{number}" Type="{base}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(entries)
    )
    return f'<Relationships xmlns="{RELATIONSHIPS}">{listed}</Relationships>'


def packed(parts: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def word_file(body: str, *, strict: bool = False, **parts: str) -> bytes:
    """A file whose body holds `body`; `parts` are further ones by kind: styles, numbering, header, footnotes…"""
    base = STRICT_OFFICE if strict else OFFICE
    related = [(kind, f"{kind}.xml") for kind in parts]
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relationships(("officeDocument", "word/document.xml"), base=base),
            "word/_rels/document.xml.rels": relationships(*related, base=base),
            "word/document.xml": root("document", f"<w:body>{body}</w:body>", STRICT_W if strict else W),
            **{f"word/{kind}.xml": content for kind, content in parts.items()},
        }
    )
