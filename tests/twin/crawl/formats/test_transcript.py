"""Transcripts: who says what, without times."""

from dataclasses import replace

import pytest

from tests.twin.crawl.formats.pages import page
from twin.crawl.formats.transcript import read_transcript
from twin.crawl.page import Article, UnusableError

VTT = """WEBVTT
Language: en-GB

NOTE made by hand

1
00:00:01.000 --> 00:00:03.000 align:start
<v Ada Lovelace>Good morning, and welcome
to the <i>harbour</i> talk.</v>

00:00:03.100 --> 00:00:05.000
<v Ada Lovelace>We speak of tides &amp; boats.

00:00:05.100 --> 00:00:06.000
[Applause]

00:00:06.100 --> 00:00:08.000
<v Tom>Why?</v> <v Ada Lovelace>Because.</v>

00:00:20.000 --> 00:00:22.000
<v Ada Lovelace>After a long silence.
"""

SRT = """1
00:00:01,000 --> 00:00:03,000
The first line of a film
goes on here.

2
00:00:03,100 --> 00:00:05,000
{\\an8}<font color="#fff">And here.</font>

3
00:01:05,000 --> 00:01:07,000
\u266a la la \u266a

4
00:01:08,000 --> 00:01:09,000
Much later.
"""


def read(name: str, text: str) -> Article:
    return read_transcript(page(name, text))


def test_speakers_and_paragraphs() -> None:
    article = read("talk-on-tides.vtt", VTT)
    assert (article.title, article.kind, article.language) == ("talk on tides", "transcript", "en")
    assert article.content == (
        "**Ada Lovelace:** Good morning, and welcome to the harbour talk. "
        "We speak of tides & boats.\n\n**Tom:** Why?\n\n**Ada Lovelace:** Because.\n\n"
        "After a long silence.\n"
    )


@pytest.mark.parametrize("text", [SRT, "\ufeff" + SRT, SRT.replace("\n", "\r\n")])
def test_subrip(text: str) -> None:
    content = read("film.srt", text).content
    assert content == "The first line of a film goes on here. And here.\n\nMuch later.\n"


@pytest.mark.parametrize(
    ("cue", "expected"),
    [
        ("- Thank you.\n- Now, the tides.", "Before.\n\nThank you.\n\nNow, the tides.\n"),
        (">> JANE: Thank you.\n&gt;&gt; Yes.", "Before.\n\nJANE: Thank you.\n\nYes.\n"),
        ("the tides\n- as they say - come", "Before. the tides - as they say - come\n"),
        ("the [Music] tides (soft laughter) come", "Before. the tides come\n"),
        ("the [sic] tides (of then) come", "Before. the [sic] tides (of then) come\n"),
    ],
)
def test_turns_and_sounds_within_a_cue(cue: str, expected: str) -> None:
    text = f"1\n00:00:01,000 --> 00:00:02,000\nBefore.\n\n2\n00:00:02,100 --> 00:00:04,000\n{cue}\n"
    assert read("x.srt", text).content == expected


def test_subtitles_in_utf_16() -> None:
    body = SRT.encode("utf-16")
    article = read_transcript(replace(page("film.srt", SRT), body=body))
    assert article.content.startswith("The first line of a film")


def test_rolling_captions_say_each_line_once() -> None:
    rolling = (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nwe are at\n\n"
        "00:00:02.000 --> 00:00:04.000\nwe are at\nthe harbour\n\n"
        "00:00:04.000 --> 00:00:06.000\nthe harbour\nof Delft\n"
    )
    assert read("x.vtt", rolling).content == "we are at the harbour of Delft\n"


def test_long_speech_is_cut_at_the_ends_of_sentences() -> None:
    cues = "".join(
        f"00:{n // 60:02}:{n % 60:02}.000 --> 00:{n // 60:02}:{n % 60:02}.900\n"
        f"This is sentence {n}, which has some nine words.\n\n"
        for n in range(40)
    )
    paragraphs = read("x.vtt", f"WEBVTT\n\n{cues}").content.strip().split("\n\n")
    assert len(paragraphs) == 4
    assert all(paragraph.endswith("words.") for paragraph in paragraphs)


@pytest.mark.parametrize("name", ["x.vtt", "x.srt"])
def test_what_is_no_transcript_says_so(name: str) -> None:
    with pytest.raises(UnusableError, match="not a transcript in"):
        read(name, "Just some text.\n\nAnd more.")
