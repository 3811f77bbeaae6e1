"""What addresses are relative to, and where images are."""

# ruff: noqa: E501 - markup as it is written

import pytest

from tests.twin.crawl.formats.prose import between
from twin.crawl.formats.html import read_fragment

LINK = '<p>The plan is on <a href="plan.html">another page</a> of the same old book of mine.</p>'


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://mill.example/book/", "https://mill.example/book/plan.html"),
        ("/book/", "https://ada.example/book/plan.html"),
        ("book/x.html", "https://ada.example/posts/book/plan.html"),
        ("http://[broken", "https://ada.example/posts/plan.html"),
    ],
)
def test_base_href(base: str, address: str) -> None:
    assert f"]({address})" in between(LINK, head=f'<base href="{base}">')


def test_xml_base_of_an_element_and_of_one_in_it() -> None:
    markup = f'<div xml:base="https://mill.example/a/"><div xml:base="b/">{LINK}</div></div>'
    assert "](https://mill.example/a/b/plan.html)" in read_fragment(
        markup, "https://e.org/", links=True
    )


@pytest.mark.parametrize(
    "image",
    [
        '<img src="/pic.jpg" alt="A pump">',
        '<img src="data:image/gif;base64,R0" data-src="/pic.jpg" alt="A pump">',
        '<img src="/placeholder.svg" data-lazy-src="/pic.jpg" alt="A pump">',
        '<img src="/img/blank.gif" data-original="/pic.jpg" alt="A pump">',
        '<img src="data:x" data-srcset="/small.jpg 300w, /pic.jpg 900w" alt="A pump">',
        '<img srcset="/pic.jpg 1x, /big.jpg 2x" alt="A pump">',
        '<img class="lazy" src="data:x" alt="A pump"><noscript><img src="/pic.jpg" alt="A pump"></noscript>',
        '<noscript><img src="/pic.jpg" alt="A pump"></noscript>',
        '<picture><source srcset="/pic.jpg 900w, /small.jpg 300w"><img alt="A pump"></picture>',
        '<picture><source data-srcset="/pic.jpg"><img src="data:x" alt="A pump"></picture>',
    ],
)
def test_the_address_of_an_image(image: str) -> None:
    assert between(f"<p>{image}</p>") == "![A pump](https://ada.example/pic.jpg)"


def test_commas_within_the_addresses_of_a_set() -> None:
    image = '<img srcset="https://c.example/w_424,c_limit/a.png 424w, https://c.example/w_900,c_limit/a.png 900w" alt="A">'
    assert "(https://c.example/w_900,c_limit/a.png)" in between(f"<p>{image}</p>")
