"""The frame of every page: nothing is fetched, nothing gets out of its text."""

import base64
import re

import pytest

from tests.html_page import Page
from twin.pages.canvas import new_canvas, panels_of, png_of
from twin.pages.page import embedded_image, render_page, web_link

EVIL = '"><script>alert(1)</script>'


@pytest.fixture
def html():
    return render_page(
        "twin.evaluation",
        "decoding.html.jinja",
        version=EVIL,
        conclusions=[EVIL],
        validation=[[EVIL, EVIL]],
        test=[],
        plot=embedded_image(b"png"),
    )


def test_values_are_escaped_wherever_they_stand(html):
    page = Page(html)
    assert html.count(EVIL) == 0
    assert page.text.count(EVIL) == 5
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}


def test_the_browser_is_told_to_load_nothing(html):
    (policy,) = re.findall(r'content="(default-src [^"]*)"', html)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    (image,) = Page(html).values("img", "src")
    assert base64.b64decode(image.removeprefix("data:image/png;base64,")) == b"png"
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert not re.search(r"url\(|@import", style)


@pytest.mark.parametrize(
    ("url", "linked"),
    [("https://a.b/c", True), ("HTTP://a", True), ("javascript:x", False), ("file:///x", False),
     ("", False), ("data:text/html,x", False)],
)  # fmt: skip
def test_only_addresses_of_the_web_are_linked(url, linked):
    assert web_link(url) == (url if linked else "")


def test_panels_stand_in_rows_and_none_is_left_over():
    canvas = new_canvas(6, 4)
    panels = panels_of(canvas, 5, 3)
    assert len(panels) == 5
    assert [each.axison for each in canvas.axes] == [True] * 5 + [False]
    assert len({round(each.get_position().y0, 3) for each in panels}) == 2
    assert png_of(canvas).startswith(b"\x89PNG")
