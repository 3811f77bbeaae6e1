"""Captions that show the end of the cue before once more become running text, each word once."""

import pytest

from twin.crawl.formats.transcript import read_transcript
from twin.crawl.page import Page


def srt(*cues: str, overlap: float = 0.5) -> str:
    """A cue every three seconds, each shown a moment longer than the next one comes."""
    blocks = (
        f"{number + 1}\n{_time(3 * number)} --> {_time(3 * number + 3 + overlap)}\n{cue}\n"
        for number, cue in enumerate(cues)
    )
    return "\n".join(blocks)


def _time(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{part:03d}"


def text_of(captions: str, name: str = "talk.srt") -> str:
    kind = "application/x-subrip" if name.endswith("srt") else "text/vtt"
    return read_transcript(Page(f"https://e.org/{name}", captions.encode(), kind)).content.strip()


@pytest.mark.parametrize(
    ("cues", "said"),
    [
        (
            ("so the harbour office keeps two ledgers and",
             "keeps two ledgers and nobody is allowed to move",
             "is allowed to move a line by hand from one to the other"),
            "so the harbour office keeps two ledgers and nobody is allowed to move a line by hand "
            "from one to the other",
        ),
        (  # the tail is broken into other lines
            ("we keep two ledgers\nand nobody moves", "ledgers and nobody\nmoves a line by hand",
             "a line by hand from one\nto the other"),
            "we keep two ledgers and nobody moves a line by hand from one to the other",
        ),
        (  # every cue is the one before and a word more
            ("so", "so the", "so the harbour", "so the harbour office"),
            "so the harbour office",
        ),
        (  # marks and capitals that the next cue has otherwise
            ("We keep two ledgers,", "two ledgers, and Nobody", "and nobody moves a line.",
             "moves a line. Ever since."),
            "We keep two ledgers, and Nobody moves a line. Ever since.",
        ),
        (  # three lines that scroll
            ("one of them\ntwo of them\nthree of them", "two of them\nthree of them\nfour of them",
             "three of them\nfour of them\nfive of them"),
            "one of them two of them three of them four of them five of them",
        ),
        (  # a script without blanks
            ("港の事務所は二冊の帳簿をつけている", "帳簿をつけている。誰も動かせない",
             "誰も動かせない一行がある"),
            "港の事務所は二冊の帳簿をつけている。 誰も動かせない 一行がある",
        ),
        (  # whoever repeats every other cue as well
            ("the first line here", "line here and more", "and more of the same", "another thought",
             "thought out loud now", "out loud now and then"),
            "the first line here and more of the same another thought thought out loud now and "
            "then",
        ),
    ],
)  # fmt: skip
def test_each_word_is_there_once(cues: tuple[str, ...], said: str) -> None:
    assert text_of(srt(*cues)) == said


@pytest.mark.parametrize(
    "cues",
    [
        ("It was very, very", "very late when I came", "and nobody was there at all"),
        ("and then I know, I know,", "I know what you will say", "but it is so and not otherwise"),
        ("No", "No, said the clerk", "there is no ledger here"),
        ("row the boat, row the boat", "row the boat ashore", "before the tide turns", "and rest"),
    ],
)
def test_what_a_speaker_repeats_stays(cues: tuple[str, ...]) -> None:
    assert text_of(srt(*cues, overlap=0)) == " ".join(cues)


def test_one_repetition_of_cues_that_overlap() -> None:
    """In a file that does not roll otherwise."""
    cues = (
        "the clerk came at noon and read",
        "came at noon and read the ledger aloud",
        "to anybody who wished to hear",
        "which was hardly ever the case",
        "in those years",
    )
    said = "the clerk came at noon and read the ledger aloud to anybody who wished to hear"
    assert text_of(srt(*cues)).startswith(said)


def test_automatic_captions() -> None:
    """Two lines, of which the upper one is the lower one of before, and words with their times."""
    vtt = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
 
so<00:00:00.400><c> the</c><00:00:00.800><c> harbour</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
so the harbour
 

00:00:02.010 --> 00:00:04.000 align:start position:0%
so the harbour
keeps<00:00:02.400><c> two</c><00:00:02.800><c> ledgers</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
keeps two ledgers
 

00:00:04.010 --> 00:00:06.000 align:start position:0%
keeps two ledgers
and<00:00:04.400><c> nobody</c><00:00:04.800><c> moves</c><00:00:05.000><c> a</c> line
"""  # noqa: W293 - as they are
    said = "so the harbour keeps two ledgers and nobody moves a line"
    assert text_of(vtt, "talk.vtt") == said


def test_voices_that_repeat_one_another() -> None:
    vtt = """WEBVTT

00:00.000 --> 00:03.000
<v Ada>where is the ledger

00:02.500 --> 00:05.000
<v Ben>where is the ledger you ask

00:05.500 --> 00:08.000
<v Ada>it was here at noon
"""
    assert text_of(vtt, "talk.vtt").count("where is the ledger") == 2
