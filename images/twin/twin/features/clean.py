"""Cleaning: what stands in the way of words goes, what the author wrote stays.

Training uses the cleaned text verbatim, so this is conservative: apostrophes, hyphens, case,
links, code and formulas are left as they are, and emoji unless the recipe drops them.
"""

import re
import unicodedata

from twin.domain.document import normalise

#: Fences (an open one reaches to the end), code spans and display formulas.
_CODE = re.compile(
    r"^(?:[^\S\n]|>)*(?P<fence>`{3,}|~{3,})[^\n]*\n"
    r"(?:.*?^(?:[^\S\n]|>)*(?P=fence)[`~]*[^\S\n]*$|.*)"
    r"|(?<!`)(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
    r"|\$\$.*?\$\$",
    re.MULTILINE | re.DOTALL,
)

#: Letters and digits in disguise, which search and tokenizers don't know: mathematical ones (the
#: "bold" of social networks), full-width ones, circled letters, ligatures. Not all of NFKC, which
#: would also make 10² to 102.
_STYLED = re.compile(
    "[\U0001d400-\U0001d7ff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\ufb00-\ufb06]+"
)

#: Zero-width space, word joiner, byte order mark, soft hyphen, and the invisible tag characters
#: in which instructions can be hidden. Not the joiners of Persian, Indic scripts and emoji.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\U000e0000-\U000e007f]")

_ODD_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

#: An image that is carried in the link itself: thousands of characters that are no words.
_DATA_URI = re.compile(r"\]\(\s*<?data:[^)\s]{100,}(?=[)\s])")


#: Pictures as people see them: a base, or a symbol asked to look like one, and what is joined to
#: it (skin colours, zero-width joiners, flags of two letters, keycaps).
_PICTURE = (
    "(?:(?:[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]|[\u203c-\u3299]\ufe0f|[#*0-9]\ufe0f?\u20e3)"
    "[\ufe0f\u200d\U0001f3fb-\U0001f3ff]*)+"
)
_EMOJI = re.compile(rf"[^\S\n]+{_PICTURE}(?=[.,;:!?)]|\s*$)|{_PICTURE}[^\S\n]?", re.MULTILINE)


def clean(markdown: str, *, keep_emoji: bool = True) -> str:
    """``markdown`` with line ends, spaces, letters and invisible characters made regular.

    Cleaning what is clean changes nothing. An empty text becomes one newline.
    """
    text = _CONTROL.sub("", _LINE_ENDS.sub("\n", markdown))
    text = _INVISIBLE.sub("", text)  # in code too, where it is never meant
    parts = []
    position = 0
    for code in _CODE.finditer(text):
        parts += [_clean_prose(text[position : code.start()], keep_emoji), code.group()]
        position = code.end()
    parts.append(_clean_prose(text[position:], keep_emoji))
    return normalise("".join(parts))


def _clean_prose(text: str, keep_emoji: bool) -> str:
    if not keep_emoji:
        text = _EMOJI.sub("", text)
    text = _ODD_SPACES.sub(" ", text)
    text = _DATA_URI.sub("](", text)
    text = _STYLED.sub(lambda letters: unicodedata.normalize("NFKC", letters.group()), text)
    return unicodedata.normalize("NFC", text)
