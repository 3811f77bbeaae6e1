"""Words of any script: the one way in which the house splits and counts them.

Where blanks set words apart, a word is a run of letters and digits with their marks. Chinese,
Japanese, Thai, Lao, Khmer and Burmese are written without blanks: there ICU's dictionaries and
models find the words (UAX 29, https://unicode.org/reports/tr29/). ICU is asked about runs of such
scripts only, so a text in another script costs one search more than `str.split`.
"""

import re

import regex
from icu4py.breakers import WordBreaker

#: Scripts without blanks between words: Han and kana, and the complex scripts of South East Asia
#: (line-break class SA). Tibetan sets syllables apart, not words; they are counted as words.
_RUN = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=Complex_Context}\p{Tibetan}\u30fc\uff70]+"
)

#: Blocks outside which none of these scripts is: four times as fast to look for.
_BLOCKS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u2e80-\u30ff\u31c0-\u9fff"
    "\ua9e0-\uaadf\uf900-\ufaff\uff66-\uff9f\U00011700-\U0003ffff]"
)

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*")

_WORD_START = regex.compile(r"[\p{L}\p{N}]")

#: ICU copies what it is given; a run of a megabyte is cut, at the cost of one word in so many.
_AT_ONCE = 10_000


def has_unspaced(text: str) -> bool:
    """Whether any of the text is in a script that sets no blanks between words."""
    return _BLOCKS.search(text) is not None and _RUN.search(text) is not None


def words(text: str) -> list[str]:
    """The words of a text in order, in its own case; marks and underscores are in none."""
    found: list[str] = _WORD.findall(spaced(text))
    return found


def count_words(text: str) -> int:
    """How long a text is in words.

    Where blanks set words apart these are its blank-separated runs, as `str.split` gives them;
    runs of other scripts count the words that ICU finds in them.
    """
    if not has_unspaced(text):
        return len(text.split())
    rest = (run for run in _RUN.sub(" ", text).split() if _WORD_START.search(run))
    return sum(1 for _ in rest) + sum(len(_split(run.group())) for run in _RUN.finditer(text))


def spaced(text: str) -> str:
    """The text with a blank at each border between words that has none."""
    if not has_unspaced(text):
        return text
    found: str = _RUN.sub(lambda run: f" {' '.join(_split(run.group()))} ", text)
    return found


def _split(run: str) -> list[str]:
    """The words of a run in a script without blanks."""
    return [
        word
        for start in range(0, len(run), _AT_ONCE)
        for word in WordBreaker(run[start : start + _AT_ONCE], "root")
        if _WORD_START.search(word)
    ]
