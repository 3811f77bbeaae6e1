"""Word documents (DOCX): headings, lists, tables and quotes by their styles, and formulas."""

import re
import zipfile
from contextlib import suppress
from io import BytesIO
from typing import Any
from xml.parsers.expat import ExpatError

from twin.crawl.formats.docx_formulas import put_formulas, take_formulas
from twin.crawl.formats.html_text import to_markdown
from twin.crawl.formats.markdown import language, published, tags, take_title, title_from_url
from twin.crawl.page import Article, Page, UnusableError

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
# What a document of this many bytes unpacked takes to read is seconds, not minutes.
_MAX_UNPACKED_BYTES = 200_000_000
_STYLES = """
p[style-name='Title'] => h1.title:fresh
p[style-name='Subtitle'] => p.subtitle:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='Quotations'] => blockquote > p:fresh
p[style-name='Block Text'] => blockquote > p:fresh
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Preformatted Text'] => pre:separator('\\n')
p[style-name='Code'] => pre:separator('\\n')
p[style-name='macro'] => pre:separator('\\n')
r[style-name='Verbatim Char'] => code
r[style-name='HTML Code'] => code
"""
_NO_TITLE = re.compile(
    r"(word document|document\d*|microsoft word - .*|untitled.*|.*\.docx?)", re.I
)
_DC = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_CORE = "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}"


def read_docx(page: Page) -> Article:
    """Read a Word document; title, author and dates are those of its core properties.

    Without a title there, it is the first heading of level 1, else the file's name.

    Raises:
        UnusableError: encrypted, no such document, or unpacking to too much.
    """
    properties = _properties(page.body)
    tree = _tree(page.body)
    subtitle = tree.xpath("//p[@class='subtitle']")
    title = properties.get("title")
    heading, content = take_title(to_markdown(tree), title)
    return Article(
        title=title or heading or title_from_url(page.url),
        content=content.strip("\n") + "\n" if content.strip() else "",
        subtitle=" ".join(subtitle[0].text_content().split()) if subtitle else None,
        byline=properties.get("creator"),
        published=published(properties.get("created")),
        modified=published(properties.get("modified")),
        language=language(properties.get("language")),
        tags=tags(properties.get("keywords", "").replace(";", ",")),
    )


def _tree(body: bytes) -> Any:
    import mammoth
    from lxml.html import document_fromstring

    def only_words(_image: Any) -> dict[str, str]:
        return {"src": ""}

    try:
        body, formulas = take_formulas(body)
        converted = mammoth.convert_to_html(
            BytesIO(body),
            style_map=_STYLES,
            include_embedded_style_map=False,
            convert_image=mammoth.images.img_element(only_words),
        )
    except (KeyError, OSError, ValueError, zipfile.BadZipFile, AttributeError, ExpatError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UnusableError(f"not a Word document that can be read: {reason}") from None
    if not converted.value.strip():
        raise UnusableError("a Word document without text")
    tree = document_fromstring(put_formulas(converted.value, formulas))
    for back in tree.xpath(
        "//a[starts-with(@href, '#footnote-ref') or starts-with(@href, '#endnote-ref')]"
    ):
        back.drop_tree()
    return tree


def _properties(body: bytes) -> dict[str, str]:
    """Core properties by name, those that say something.

    Raises:
        UnusableError: see `read_docx`.
    """
    from defusedxml.ElementTree import fromstring

    if body.startswith(_OLE):
        raise UnusableError("encrypted, or a Word document of before 2007 (.doc)")
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > _MAX_UNPACKED_BYTES:
                raise UnusableError(f"unpacks to {unpacked:,} bytes, more than is read")
            if "word/document.xml" not in archive.namelist():
                raise UnusableError("not a Word document: a ZIP file of something else")
            with suppress(KeyError, ValueError, SyntaxError):
                root = fromstring(archive.read("docProps/core.xml"))
                return _named(root)
    except zipfile.BadZipFile:
        raise UnusableError("not a Word document: no ZIP file") from None
    return {}


def _named(root: Any) -> dict[str, str]:
    names = {
        "title": f"{_DC}title",
        "creator": f"{_DC}creator",
        "language": f"{_DC}language",
        "created": f"{_TERMS}created",
        "modified": f"{_TERMS}modified",
        "keywords": f"{_CORE}keywords",
    }
    found = {name: " ".join((root.findtext(path) or "").split()) for name, path in names.items()}
    if _NO_TITLE.fullmatch(found["title"]):
        del found["title"]
    return {name: text for name, text in found.items() if text}
