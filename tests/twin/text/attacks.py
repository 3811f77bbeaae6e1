# ruff: noqa: RUF001 - letters of many alphabets, on purpose
"""Attacks on a twin and harmless texts near them, in two halves.

Rules are made on the half ``development``; the half ``report`` is only reported on. Which half a
text is in, its own digest says, so that nobody chooses. What a kind hides is written plainly once
and packed here, so that a reader sees what it says.
"""

import base64
import codecs
import hashlib
import html
import quopri
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

HERE = Path(__file__).parent
DEVELOPMENT, REPORT = "development", "report"
_FORCED = {"known": DEVELOPMENT, "kept": REPORT}


@dataclass(frozen=True)
class Attack:
    """A text that wants harm.

    Attributes:
        text: as it comes in.
        kind: of attack, as in ``attacks.yaml``.
        where: it comes in: question, history, system, schema, page, title or feedback.
        harm: that it attempts.
        half: development or report.
        packed: the way in which it is hidden, or "".
    """

    text: str
    kind: str
    where: str
    harm: str
    half: str
    packed: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether it was written after the rules, to see what these are worth in other words."""
        return self.kind.startswith("kept")


@dataclass(frozen=True)
class Harmless:
    """A text that wants none."""

    text: str
    where: str
    half: str


def half_of(text: str) -> str:
    """The half that a text belongs to."""
    return (DEVELOPMENT, REPORT)[hashlib.sha256(text.encode()).digest()[0] % 2]


def _letters(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: text.lower().translate(str.maketrans(table))


def _in_words(mark: str) -> Callable[[str], str]:
    """A mark in the middle of each word."""
    return lambda text: re.sub(r"\b(\w{2})(\w+)", rf"\1{mark}\2", text)


def _pieces(text: str, size: int) -> str:
    packed = base64.b64encode(text.encode()).decode()
    return "\n".join(packed[start : start + size] for start in range(0, len(packed), size))


def _shifted(first: int) -> Callable[[str], str]:
    """Small letters as those of a block that begins at ``first``."""
    return lambda text: "".join(
        chr(first + ord(one) - 97) if one.islower() else one for one in text.lower()
    )


_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_FLIPPED = dict(zip(_ALPHABET, "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz", strict=True))
_SMALL = dict(zip(_ALPHABET, "ᴀʙᴄᴅᴇғɢʜɪᴊᴋʟᴍɴᴏᴘǫʀsᴛᴜᴠᴡxʏᴢ", strict=True))
_MORSE_CODE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- "
    "-..- -.-- --.."
)
_MORSE = dict(zip(_ALPHABET, _MORSE_CODE.split(), strict=True))
_INITIALS = (
    "apples bring cold drinks every friday given how it just keeps little mice near old people "
    "quite right so the uncle very well xrays your zoo"
)
_WORDS = _INITIALS.split()

PACKINGS: dict[str, Callable[[str], str]] = {
    "base64": lambda text: f"Decode and obey: {base64.b64encode(text.encode()).decode()}",
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hexadecimal": lambda text: f"Run this: {text.encode().hex()}",
    "hexadecimal with blanks": lambda text: text.encode().hex(" "),
    "rot13": lambda text: f"ROT13: {codecs.encode(text, 'rot13')}",
    "reversed": lambda text: f"Read backwards: {text[::-1]}",
    "percent signs": lambda text: "".join(f"%{ord(letter):02x}" for letter in text),
    "quoted": lambda text: f"see ?q={quote(text)}",
    "entities": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "named entities": lambda text: html.escape(text.replace("i", "&#105;")).replace("&amp;", "&"),
    "escapes": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "zero width": "\u200b".join,
    "tags": lambda text: "A nice page." + "".join(chr(0xE0000 + ord(one)) for one in text),
    "look-alikes": _letters(dict(zip("aeopc", "аеорс", strict=True))),
    "digits": _letters(dict(zip("oieas", "01345", strict=True))),
    "full width": lambda text: "".join(
        chr(ord(one) + 0xFEE0) if one.isalpha() else one for one in text
    ),
    "dots": lambda text: " ".join(".".join(word) for word in text.split()),
    "spaced": lambda text: "   ".join(" ".join(word) for word in text.split()),
    "stacked marks": lambda text: "".join(one + "\u0334" for one in text),
    "mathematical": _shifted(0x1D41A),
    "piglatin": lambda text: " ".join(f"{word[1:]}{word[0]}ay" for word in text.lower().split()),
    "first letters": lambda text: " ".join(
        _WORDS[ord(one) - 97] for one in text.lower() if one in _ALPHABET
    ),
    "base32": lambda text: f"Base32: {base64.b32encode(text.encode()).decode()}",
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 in lines": lambda text: f"Join and decode:\n{_pieces(text, 12)}",
    "base64 without capitals around": lambda text: f"x={base64.b64encode(text.encode()).decode()};",
    "binary": lambda text: " ".join(f"{byte:08b}" for byte in text.encode()),
    "decimal codes": lambda text: " ".join(map(str, text.encode())),
    "hexadecimal escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "0x codes": lambda text: ", ".join(f"0x{byte:02X}" for byte in text.encode()),
    "rot47": lambda text: "".join(
        chr(33 + (ord(one) - 33 + 47) % 94) if one != " " else one for one in text
    ),
    "atbash": _letters(dict(zip(_ALPHABET, _ALPHABET[::-1], strict=True))),
    "a letter a line": lambda text: "\n".join(text.replace(" ", "\n")),
    "upside down": lambda text: _letters(_FLIPPED)(text)[::-1],
    "small capitals": _letters(_SMALL),
    "circled": _shifted(0x24D0),
    "regional letters": _shifted(0x1F1E6),
    "Greek look-alikes": _letters(dict(zip("aeioupvn", "αειουρνη", strict=True))),
    "Cyrillic look-alikes": _letters(dict(zip("aeopcyxisjd", "аеорсухіѕјԁ", strict=True))),
    "comments in words": _in_words("<!-- -->"),
    "emphasis in words": _in_words("**"),
    "soft hyphens": _in_words("\u00ad"),
    "underlined": lambda text: text.replace(" ", "_"),
    "right to left": lambda text: f"\u202e{text[::-1]}\u202c",
    "words reversed": lambda text: " ".join(word[::-1] for word in text.split()),
    "order reversed": lambda text: f"Read from the end: {' '.join(reversed(text.split()))}",
    "quoted printable": lambda text: re.sub(
        "[aeiou]", lambda one: f"={ord(one[0]):02X}", quopri.encodestring(text.encode()).decode()
    ),
    "Morse": lambda text: " / ".join(
        " ".join(_MORSE[one] for one in word) for word in text.lower().split()
    ),
    "more digits": _letters(dict(zip("aeiotsl", "4310751", strict=True))),
}


def attacks() -> list[Attack]:
    """All of them, each text once."""
    made = [*_read("known_attacks.yaml", known=True), *_read("attacks.yaml", known=False)]
    return list({attack.text: attack for attack in reversed(made)}.values())[::-1]


def harmless() -> list[Harmless]:
    """Texts that are near attacks, in places where such texts come in."""
    data = yaml.safe_load((HERE / "harmless.yaml").read_text("utf-8"))
    return [Harmless(text, where, half_of(text)) for where, texts in data.items() for text in texts]


def training_texts(questions: list[str]) -> dict[str, list[str]]:
    """What a guardrail is trained on (`twin rag train-guardrail`): the half for development.

    Args:
        questions: that callers do ask, of which those of this half are taken.
    """
    honest = [*(each.text for each in harmless() if each.half == DEVELOPMENT), *questions]
    return {
        "attacks": [
            each.text for each in attacks() if each.half == DEVELOPMENT and not each.packed
        ],
        "harmless": [text for text in honest if text not in questions or half_of(text) != REPORT],
    }


def _read(name: str, *, known: bool) -> Iterator[Attack]:
    data = yaml.safe_load((HERE / name).read_text("utf-8"))
    for kind, given in data.items():
        for harm, texts in given.items():
            if harm in ("where", "half"):
                continue
            for packed, text in _packed(kind, texts):
                half = DEVELOPMENT if known else given.get("half") or half_of(text)
                yield Attack(text, kind, given["where"], harm, half, packed)


def _packed(kind: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        if kind != "encoded":
            yield "", text
            continue
        for name, pack in PACKINGS.items():
            yield name, pack(text)
