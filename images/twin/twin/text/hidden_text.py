"""What a text may say beside what it shows: letters that nobody sees, look-alikes, and codes.

A text is read as it stands (compatibility forms and invisible letters resolved, Unicode NFKC) and
in each way in which words can be hidden that models are known to read: codes (Base64, Base32,
hexadecimal, binary, percent signs, entities, escapes, Morse), ciphers without a key (ROT13, ROT47,
Atbash, pig Latin, reversed) and other spellings (look-alike letters, digits for letters, spaced or
broken words). Nothing here judges what is said.
"""

import base64
import binascii
import codecs
import html
import quopri
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import unquote

#: Codes within codes that are opened.
DEEPEST = 3

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE64_LINES = re.compile(r"(?:[A-Za-z0-9+/]{4,}\s+){2,}[A-Za-z0-9+/]{2,}={0,2}")
_BASE32 = re.compile(r"[A-Z2-7]{24,}={0,6}")
_HEX = re.compile(r"(?:(?:0x)?[0-9a-fA-F]{2}[ ,:]{0,2}){12,}")
_BINARY = re.compile(r"(?:[01]{8}[ ,]{0,2}){6,}")
_DECIMAL = re.compile(r"(?:\d{2,3}[ ,;]{1,2}){8,}\d{2,3}")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_QUOTED = re.compile(r"=[0-9A-F]{2}")
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}){6,}")
_MORSE_RUN = re.compile(r"(?:[.\-]{1,4}[ /]+){8,}[.\-]{1,4}")
_MORSE_CODE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- "
    "-..- -.-- --.."
)
_MORSE = dict(zip(_MORSE_CODE.split(), _ALPHABET, strict=True))

_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*|\n]){2,}\w(?!\w)")
_DOTTED = re.compile(r"\b\w(?:[.\-_*|]\w){3,}\b")
_JOINTS = re.compile(r"[ .\-_*|\n]")
_JOINED = re.compile(r"(?<=\w)[_+.\-|](?=\w)")
_BREAKS = re.compile(r"<!--.{0,40}?-->|</?[a-z]{1,6}>|(?<=\w)[*~`]{1,3}(?=\w)", re.IGNORECASE)
#: Letters of another alphabet beside Latin ones; digits inside of words.
_STRANGERS = re.compile(r"[a-zA-Z][\u0370-\u058f]|[\u0370-\u058f][a-zA-Z]")
_MIXED = re.compile(r"[a-zA-Z][013457@$!]+[a-zA-Z]|\b[013457@$]+[a-zA-Z]{2}|[a-z][013457]+\b")
_BACKWARDS = re.compile(r"(?i)backward|from the end|revers|right to left|last word first")
_TAGS = range(0xE0020, 0xE007F)
#: Letters of other alphabets, and digits, that are read as Latin ones.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһɡкмтвнғαοερτυνιηκωβγǫ", "aeopcyxijsdhgkmtbhfaoeptuvinkwbyq"
)
_LEET = (str.maketrans("0134578@$!", "oieastbasi"), str.maketrans("0134578@$!", "oleastbasl"))
_ATBASH = str.maketrans(_ALPHABET + _ALPHABET.upper(), _ALPHABET[::-1] + _ALPHABET[::-1].upper())
_ROT47 = {code: 33 + (code - 33 + 47) % 94 for code in range(33, 127)}
#: What Unicode calls Latin letters that are turned, small or boxed.
_OTHER_FORM = re.compile(
    r"(?:LATIN (?:SMALL LETTER TURNED|LETTER SMALL CAPITAL)|REGIONAL INDICATOR SYMBOL LETTER) "
    r"([A-Z])\Z"
)
#: Marks that letters of living languages bear; the others are stacked to hide words.
_ACCENTS = frozenset(range(0x300, 0x30D)) | {0x323, 0x327, 0x328}
#: Letters that stand upside down and have another's name.
_UPSIDE_DOWN = str.maketrans("ƃbdpqnuɔɟɾ", "gqpdbuncfj")


def plain(text: str) -> str:
    """A text with compatibility forms as plain letters and without what nobody sees."""
    return unicodedata.normalize("NFKC", "".join(map(_visible, text)))


def forms(text: str) -> Iterator[tuple[str, str]]:
    """The text as it stands, then as it may be meant, each with how it was hidden."""
    shown = plain(text)
    seen = {shown}
    yield "", shown
    for packed, form in _hidden(shown):
        said = re.sub(r"[^\S\n]+", " ", form)
        if said not in seen:
            seen.add(said)
            yield packed, said


def _hidden(text: str) -> Iterator[tuple[str, str]]:
    yield from _respelled(text)
    yield from _decoded(text, DEEPEST)
    yield "ROT13", codecs.decode(text, "rot13")
    yield "ROT47", text.translate(_ROT47)
    yield "Atbash", text.translate(_ATBASH)
    yield "reversed", text[::-1]
    yield "reversed words", " ".join(word[::-1] for word in text.split())
    if _BACKWARDS.search(text):
        yield "reversed order", " ".join(reversed(text.split()))
    yield from _of_words(text.split())


def _of_words(words: list[str]) -> Iterator[tuple[str, str]]:
    if len(words) > 3 and sum(word.endswith("ay") for word in words) > len(words) / 2:
        bare = [word.removesuffix("ay") for word in words]
        yield "pig Latin", " ".join(word[-1:] + word[:-1] for word in bare)
    if len(words) >= 12:
        yield "first letters", "".join(word[0] for word in words)


def _respelled(text: str) -> Iterator[tuple[str, str]]:
    folded = text.casefold()
    if _STRANGERS.search(text):
        yield "look-alike letters", folded.translate(_LOOKALIKES)
    yield from _relettered(text)
    if len(_MIXED.findall(folded)) > 1:
        for table in _LEET:
            yield "digits for letters", folded.translate(table)
    yield from _rejoined(text)


def _relettered(text: str) -> Iterator[tuple[str, str]]:
    if text.isascii():
        return
    upright = "".join(map(_letter, text))
    if upright != text:
        yield "other letters", upright.translate(_LOOKALIKES)
        yield "upside down", "".join(map(_letter, text.translate(_UPSIDE_DOWN)))[::-1]


def _rejoined(text: str) -> Iterator[tuple[str, str]]:
    if _SPACED.search(text):
        yield "spaced letters", _unspaced(text)
    if _DOTTED.search(text):
        yield "dotted letters", re.sub(r"(?<=\w)[.\-_*|](?=\w)", "", text)
    if len(_JOINED.findall(text)) > 2:
        yield "joined words", _JOINED.sub(" ", text)
    if _BREAKS.search(text):
        yield "broken words", _BREAKS.sub("", text)


def _unspaced(text: str) -> str:
    """Single letters with one mark between them as words; more than one mark parts words."""
    joined = re.sub(r"\n{2,}| {2,}", "\x00", text)
    return _SPACED.sub(lambda match: _JOINTS.sub("", match[0]), joined).replace("\x00", " ")


def _decoded(text: str, depth: int) -> Iterator[tuple[str, str]]:
    for packed, form in _decodings(text):
        if not form or form == text:
            continue
        yield packed, form
        if depth > 1:
            for inner, said in _decoded(form, depth - 1):
                yield f"{packed}, {inner}", said


def _decodings(text: str) -> Iterator[tuple[str, str]]:
    if "&" in text:
        yield "entities", html.unescape(text)
    if len(_PERCENT.findall(text)) > 2:
        yield "percent signs", unquote(text)
    if len(_QUOTED.findall(text)) > 2:
        yield "quoted-printable", quopri.decodestring(text.encode()).decode("utf-8", "ignore")
    if _ESCAPED.search(text):
        yield "escapes", _ESCAPED.sub(_unescaped, text)
    for pattern, name, decode in _CODES:
        for match in pattern.finditer(text):
            yield name, _read(decode, match[0])


def _read(decode: Callable[[str], bytes], text: str) -> str:
    """What a code says, or nothing where it is none, or no text."""
    try:
        said = decode(text).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return said if said.isprintable() or "\n" in said else ""


def _base64(text: str) -> bytes:
    packed = re.sub(r"\s", "", text).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(packed + "=" * (-len(packed) % 4))


def _base32(text: str) -> bytes:
    packed = text.rstrip("=")
    return base64.b32decode(packed + "=" * (-len(packed) % 8))


def _hex(text: str) -> bytes:
    return bytes.fromhex(re.sub(r"0x|[ ,:]", "", text))


def _binary(text: str) -> bytes:
    return bytes(int(one, 2) for one in re.findall(r"[01]{8}", text))


def _decimal(text: str) -> bytes:
    return bytes(map(int, re.findall(r"\d+", text)))


def _morse(text: str) -> bytes:
    words = re.split(r"\s*/\s*|\s{2,}", text)
    return " ".join("".join(_MORSE.get(one, "") for one in word.split()) for word in words).encode()


_CODES: tuple[tuple[re.Pattern[str], str, Callable[[str], bytes]], ...] = (
    (_BASE64, "Base64", _base64),
    (_BASE64_LINES, "Base64", _base64),
    (_BASE32, "Base32", _base32),
    (_HEX, "hexadecimal", _hex),
    (_BINARY, "binary", _binary),
    (_DECIMAL, "decimal codes", _decimal),
    (_MORSE_RUN, "Morse", _morse),
)


def _unescaped(match: re.Match[str]) -> str:
    return re.sub(r"\\[ux]([0-9a-fA-F]+)", lambda code: chr(int(code[1], 16)), match[0])


def _visible(letter: str) -> str:
    code = ord(letter)
    if code < 0x300 and letter != "\u00ad":
        return letter
    if code in _TAGS:  # invisible twins of ASCII
        return chr(code - 0xE0000)
    stacked = 0x300 <= code <= 0x36F and code not in _ACCENTS
    return "" if stacked or unicodedata.category(letter) == "Cf" else letter


@lru_cache(maxsize=4_096)
def _letter(letter: str) -> str:
    """A Latin letter that is turned, small or boxed as itself."""
    if letter.isascii():
        return letter
    match = _OTHER_FORM.match(unicodedata.name(letter, ""))
    return match[1].lower() if match else letter
