"""Cleaning: what stands in the way of words goes, what the author wrote stays.

Training uses the cleaned text verbatim, so this is conservative: apostrophes, hyphens, case,
links, code and formulas are left as they are, and emoji unless the recipe drops them.
"""

import re
import unicodedata

from twin.domain.document import normalise
from twin.text.code import CODE

#: Letters and digits in disguise, which search and tokenizers don't know: mathematical ones (the
#: "bold" of social networks) with those that their alphabets take from elsewhere (U+210E is their
#: italic h), full-width and half-width ones, letters in circles and squares, ligatures, the forms
#: that PDFs give Arabic letters. Not all of NFKC, which would also make 10² to 102.
_STYLED = re.compile(
    "[\U0001d400-\U0001d7ff\u2102\u210a-\u210e\u2110-\u2112\u2115\u2119-\u211d\u2124\u2128\u212c\u212d"
    "\u212f-\u2131\u2133\u2134\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\u24b6-\u24e9"
    "\U0001f130-\U0001f149\ufb00-\ufb06\ufb13-\ufb17\ufb20-\ufb28\ufb4f"
    "\ufb50-\ufbb1\ufbd3-\ufc5d\ufc64-\ufd3d\ufd50-\ufdc7\ufe80-\ufefc]+"
)

#: White letters on black circles and squares, which Unicode has no plain ones for, but where the
#: next character makes an emoji of them (a sign for parking).
_WHITE_ON_BLACK = re.compile("[\U0001f150-\U0001f169\U0001f170-\U0001f189](?!\ufe0f)")

#: Zero-width space, word joiner, byte order mark, soft hyphen, and the invisible tag characters
#: in which instructions can be hidden. Not the joiners of Persian, Indic scripts and emoji.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\U000e0000-\U000e007f]")

_ODD_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

#: An image that is carried in the link itself: thousands of characters that are no words.
_DATA_URI = re.compile(r"\]\(\s*<?data:[^)\s]{100,}(?=[)\s])")


#: Symbols older than emoji that are shown as one without being asked to (Emoji_Presentation).
_AS_EMOJI = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1"
    "\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b"
    "\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a\U0001f201-\U0001f251"
)

#: Pictures as people see them: a base, or a symbol asked to look like one, and what is joined to
#: it (skin colours, zero-width joiners, flags of two letters, keycaps).
_PICTURE = (
    f"(?:(?:[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff{_AS_EMOJI}]"
    "|[\u203c-\u3299\U0001f170-\U0001f189]\ufe0f|[#*0-9]\ufe0f?\u20e3)"
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
    for code in CODE.finditer(text):
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
    text = _WHITE_ON_BLACK.sub(_plain_letter, text)
    return unicodedata.normalize("NFC", text)


def _plain_letter(found: re.Match[str]) -> str:
    """A to Z stand in each of the two ranges, which begin 32 places apart."""
    return chr(ord("A") + (ord(found.group()) - 0x1F150) % 32)
