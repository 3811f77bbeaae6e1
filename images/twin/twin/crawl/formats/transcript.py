"""Transcripts (WebVTT and SubRip): who says what, as paragraphs without times."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from io import StringIO
from typing import TYPE_CHECKING

from twin.crawl.formats.markdown import language, title_from_url
from twin.crawl.formats.media_types import SRT
from twin.crawl.formats.plain_text import SENTENCE_ENDS
from twin.crawl.formats.rolling_captions import Cue, fresh_lines
from twin.crawl.page import Article, Page, UnusableError, decode
from twin.domain.document import normalise
from twin.text.words import count_words

if TYPE_CHECKING:
    from webvtt import Caption
    from webvtt.models import Timestamp

# A new paragraph begins after a silence, or where a sentence ends in a long one.
_SILENCE_SECONDS = 2.5
_LONG_PARAGRAPH_WORDS = 90

_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+(?P<name>[^>]*)>")
_TAG = re.compile(r"</?[A-Za-z0-9:.][^>]*>|\{\\[^}]*\}")
# `[Applause]`, `(music)`, `♪ … ♪`: sounds, where nothing is said.
_SOUND = re.compile(r"\s*(?:\[[^\]]*\]|\([^)]*\)|[♪♫#*].*[♪♫#*]|[♪♫]+)\s*")
# The same within a line, where brackets may also hold words.
_SOUND_WITHIN = re.compile(
    r"[\[(](?:[\w ]{0,20}\b)?(?:music|applause|laughter|laugh(?:s|ing)|cheer(?:s|ing)|clapping"
    r"|inaudible|crosstalk|musik|musique|música|applaus|risas|rires)\b[\w ]{0,20}[\])]",
    re.IGNORECASE,
)
# Somebody else begins to speak: two angles in captions, also a dash in subtitles.
_ANGLES = re.compile(r">{2,}\s*")
_TURN = re.compile(r">{2,}\s*|[-\u2013\u2014]\s*(?=\S)")
_LANGUAGE = re.compile(r"^Language:\s*(\S+)", re.MULTILINE)


@dataclass
class _Paragraph:
    speaker: str | None
    lines: list[str] = field(default_factory=list)
    words: int = 0

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.lines).split())

    def markdown(self, after: "_Paragraph | None") -> str:
        """The paragraph, with its speaker's name where another one spoke before."""
        same = after is not None and after.speaker == self.speaker
        return self.text if same or self.speaker is None else f"**{self.speaker}:** {self.text}"


def read_transcript(page: Page) -> Article:
    """Read a transcript; its title is the file's name.

    Raises:
        UnusableError: it is not in its format, or see `decode`.
    """
    text = decode(page)
    paragraphs = list(_paragraphs(_parsed(text, srt=page.media_type == SRT)))
    befores = [None, *paragraphs]
    parts = (
        paragraph.markdown(before) for before, paragraph in zip(befores, paragraphs, strict=False)
    )
    header = text.partition("\n\n")[0]
    named = _LANGUAGE.search(header)
    content = "\n\n".join(parts)
    return Article(
        title=title_from_url(page.url),
        content=normalise(content) if content else "",
        language=language(named[1]) if named else None,
        kind="transcript",
    )


def _parsed(text: str, *, srt: bool) -> "list[Caption]":
    import webvtt

    try:
        if srt:
            return webvtt.from_buffer(StringIO(text.lstrip()), format="srt").captions
        return webvtt.from_string(text).captions
    except webvtt.errors.MalformedFileError:
        raise UnusableError(f"not a transcript in {'SRT' if srt else 'WebVTT'} format") from None
    except webvtt.errors.MalformedCaptionError as error:
        raise UnusableError(f"a broken transcript: {error}") from None


def _cues(captions: "Iterable[Caption]") -> Iterator[Cue]:
    """What is said, and by whom: a caption may hold several voices."""
    for caption in captions:
        for speaker, lines in _spoken(caption.raw_text):
            if lines:
                times = _seconds(caption.start_time), _seconds(caption.end_time)
                yield Cue(tuple(lines), *times, speaker)


def _seconds(time: "Timestamp") -> float:
    """With its milliseconds, which the library's own number of seconds lacks."""
    return time.in_seconds() + time.milliseconds / 1000


def _paragraphs(captions: "Iterable[Caption]") -> Iterator[_Paragraph]:
    current = _Paragraph(None)
    end = 0.0
    last = ""
    cues = list(_cues(captions))
    for cue, fresh in zip(cues, fresh_lines(cues), strict=True):
        # Rolling captions show each line again when the next one comes.
        lines = fresh[1:] if fresh and fresh[0] == last else fresh
        if not lines:
            continue
        last = lines[-1]
        for is_new, turn in _turns(lines):
            silence = cue.start - end
            if current.lines and (
                is_new or cue.speaker != current.speaker or _is_full(current, silence)
            ):
                yield current
                current = _Paragraph(cue.speaker)
            current.speaker = cue.speaker
            current.lines += turn
            current.words += sum(map(count_words, turn))
            end = cue.end
    if current.lines:
        yield current


def _turns(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """Lines up to where somebody else begins to speak, and whether somebody does at their start.

    A single dash may be one of the sentence's own: those of a dialogue are two or more.
    """
    sign = _TURN if sum(bool(_TURN.match(line)) for line in lines) > 1 else _ANGLES
    turn: list[str] = []
    is_new = False
    for line in lines:
        match = sign.match(line)
        if match and turn:
            yield is_new, turn
            turn = []
        is_new = is_new or match is not None
        if words := line[match.end() :] if match else line:
            turn.append(words)
    if turn:
        yield is_new, turn


def _is_full(paragraph: _Paragraph, silence: float) -> bool:
    if silence >= _SILENCE_SECONDS:
        return True
    ends = SENTENCE_ENDS.search(paragraph.lines[-1])
    return paragraph.words >= _LONG_PARAGRAPH_WORDS and ends is not None


def _spoken(raw: str) -> Iterator[tuple[str | None, list[str]]]:
    """Speaker and lines of a cue's parts; a cue may hold several voices."""
    start, speaker = 0, None
    for voice in _VOICE.finditer(raw):
        yield speaker, _lines(raw[start : voice.start()])
        start, speaker = voice.end(), unescape(voice["name"]).strip() or None
    yield speaker, _lines(raw[start:])


def _lines(raw: str) -> list[str]:
    lines = (" ".join(unescape(_TAG.sub("", line)).split()) for line in raw.splitlines())
    spoken = (line for line in lines if not _SOUND.fullmatch(line))
    words = (" ".join(_SOUND_WITHIN.sub(" ", line).split()) for line in spoken)
    return [line for line in words if line]
