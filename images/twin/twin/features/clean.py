"""Cleaning: what stands in the way of words goes, what the author wrote stays.

Training uses the cleaned text verbatim, so this is conservative: apostrophes, hyphens, case,
links, emoji, code and formulas are left as they are.
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


def clean(markdown: str) -> str:
    """``markdown`` with line ends, spaces, letters and invisible characters made regular.

    Cleaning what is clean changes nothing. An empty text becomes one newline.
    """
    text = _CONTROL.sub("", _LINE_ENDS.sub("\n", markdown))
    text = _INVISIBLE.sub("", text)  # in code too, where it is never meant
    parts = []
    position = 0
    for code in _CODE.finditer(text):
        parts += [_clean_prose(text[position : code.start()]), code.group()]
        position = code.end()
    parts.append(_clean_prose(text[position:]))
    return normalise("".join(parts))


def _clean_prose(text: str) -> str:
    text = _ODD_SPACES.sub(" ", text)
    text = _DATA_URI.sub("](", text)
    text = _STYLED.sub(lambda letters: unicodedata.normalize("NFKC", letters.group()), text)
    return unicodedata.normalize("NFC", text)
