"""Dates in every form and language, at the title and nowhere else."""

# ruff: noqa: RUF001, E501 - names of months as they are written

import pytest

from tests.twin.crawl.formats.prose import URL, page
from twin.crawl.formats.dates import moment_of
from twin.crawl.formats.html import extract_html


@pytest.mark.parametrize(
    ("text", "language", "moment"),
    [
        ("2019-10-07T08:30:00+02:00", "en", "2019-10-07T06:30:00+00:00"),
        ("Mon, 07 Oct 2019 08:30:00 +0200", "en", "2019-10-07T06:30:00+00:00"),
        ("Mon Oct 07 2019 08:30:00 GMT+0200 (Central European Summer Time)", "en", "2019-10-07T06:30:00+00:00"),
        ("Mon Oct 07 2019 08:30:00", "en", "2019-10-07T08:30:00+00:00"),
        (1570429800, "en", "2019-10-07T06:30:00+00:00"),
        (1570429800000, "en", "2019-10-07T06:30:00+00:00"),
        ("1570429800", "en", "2019-10-07T06:30:00+00:00"),
        ("October 7, 2019", "en", "2019-10-07T00:00:00+00:00"),
        ("7th of October 2019", "en", "2019-10-07T00:00:00+00:00"),
        ("7. Oktober 2019", "de", "2019-10-07T00:00:00+00:00"),
        ("7 octobre 2019", "fr", "2019-10-07T00:00:00+00:00"),
        ("7 de octubre de 2019", "es", "2019-10-07T00:00:00+00:00"),
        ("7 de outubro de 2019", "pt-BR", "2019-10-07T00:00:00+00:00"),
        ("7 ottobre 2019", "it", "2019-10-07T00:00:00+00:00"),
        ("7 października 2019", "pl", "2019-10-07T00:00:00+00:00"),
        ("7 октября 2019 г.", "ru", "2019-10-07T00:00:00+00:00"),
        ("7. října 2019", "cs", "2019-10-07T00:00:00+00:00"),
        ("7 Ekim 2019", "tr", "2019-10-07T00:00:00+00:00"),
        ("2019年10月7日", "ja", "2019-10-07T00:00:00+00:00"),
        ("2019년 10월 7일", "ko", "2019-10-07T00:00:00+00:00"),
        ("7 oktober 2019", "nl", "2019-10-07T00:00:00+00:00"),
        ("2019. október 7.", "hu", "2019-10-07T00:00:00+00:00"),
        ("7 ตุลาคม 2562", "th", "2019-10-07T00:00:00+00:00"),
        ("07.10.2019", "de", "2019-10-07T00:00:00+00:00"),
        ("10/07/2019", "en-US", "2019-10-07T00:00:00+00:00"),
        ("07/10/2019", "fr", "2019-10-07T00:00:00+00:00"),
        ("25/12/2019", "en", "2019-12-25T00:00:00+00:00"),
        ("07/10/2019", "en", None),
        ("31 February 2019", "en", None),
        ("no date", "en", None),
        (True, "en", None),
        ("Infinity", "en", None),
    ],
)  # fmt: skip
def test_a_date_in_any_form(text: object, language: str, moment: str | None) -> None:
    found = moment_of(text, language)
    assert (found and found.isoformat()) == moment


def published(markup: str, *, above: str = "", lang: str = "en") -> str | None:
    html = (
        page("", lang=lang).replace("</h1>", f"</h1>{markup}", 1).replace("<h1>", f"{above}<h1>", 1)
    )
    moment = extract_html(html, URL).article.published
    return moment.date().isoformat() if moment else None


@pytest.mark.parametrize(
    "markup",
    [
        '<div class="info">Posted on August 27, 2015</div>',
        "<p>Posted on August 27, 2015</p>",
        "<p>27 Aug 2015 · 12 min read</p>",
        '<span class="meta">by Ines on <b>August 27</b>, 2015</span>',
        '<time datetime="2015-08-27">a while ago</time>',
    ],
)
def test_a_date_at_the_title(markup: str) -> None:
    assert published(markup) == published("", above=markup) == "2015-08-27"


@pytest.mark.parametrize(
    "markup",
    [
        '<aside><time datetime="2015-08-27">then</time></aside>',
        '<footer><time datetime="2015-08-27">then</time></footer>',
        '<div class="comments"><time datetime="2015-08-27">then</time></div>',
        '<ol id="comments"><li><span class="date">27 August 2015</span></li></ol>',
        '<div class="related-posts"><span class="date">27 August 2015</span></div>',
        "<p>Copyright 27 August 2015</p>",
        "<p>The mill was opened on 27 August 2015 in the presence of all of the people of the town and "
        "of the three villages beyond the canal.</p>",
    ],
)
def test_a_date_of_something_else(markup: str) -> None:
    assert published(markup) is None


def test_months_are_those_of_the_page_s_language() -> None:
    assert published("<p>Am 27. August 2015</p>", lang="de") == "2015-08-27"
    assert published("<p>27 maart 2015</p>", lang="nl") == "2015-03-27"
