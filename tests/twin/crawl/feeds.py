"""Feeds that sites might have."""

from html import escape

TEXT = "This is a sentence that an author might have said, on the whole, of pods. " * 12


def rss_item(
    title: str,
    link: str,
    content: str,
    *,
    description: str = "What it is about.",
    creator: str | None = None,
    categories: tuple[str, ...] = (),
) -> str:
    tags = "".join(f"<category>{tag}</category>" for tag in categories)
    by = f"<dc:creator><![CDATA[{creator}]]></dc:creator>" if creator else ""
    whole = f"<content:encoded><![CDATA[{content}]]></content:encoded>" if content else ""
    return (
        f"<item><title>{title}</title><link>{escape(link)}</link>{by}{tags}"
        "<pubDate>Sun, 01 Mar 2026 08:00:00 GMT</pubDate>"
        f"<description>{escape(description)}</description>{whole}</item>"
    )


def rss(*items: str, built: str = "Mon, 02 Mar 2026 08:00:00 GMT") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>The Feed</title>'
        f"<link>https://e.org/</link><language>en-us</language><lastBuildDate>{built}"
        f"</lastBuildDate>{''.join(items)}</channel></rss>"
    )


def atom(title: str, link: str, content: str, kind: str = "html") -> str:
    inner = (
        f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'
        if kind == "xhtml"
        else escape(content)
    )
    return (
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Feed</title>'
        "<updated>2026-03-09T08:00:00Z</updated><author><name>Guest Writer</name></author>"
        f'<entry><title>{title}</title><link rel="alternate" href="{link}"/>'
        "<published>2026-03-01T08:00:00Z</published><updated>2026-03-02T08:00:00Z</updated>"
        f'<category term="ops"/><content type="{kind}">{inner}</content></entry></feed>'
    )
