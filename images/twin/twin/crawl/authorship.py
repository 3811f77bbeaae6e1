"""Whose text is it: the author's, or a guest's on the author's site?

Bylines are free text: "By Dr. Jane M. Doe and John Roe", "doe@example.org (Jane Doe)", "admin".
Names are compared as people would: without case, accents, titles; an initial stands for a name.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from twin.recipes import AuthorSection

_LEAD = re.compile(
    r"^\W*(?:(?:written|posted|published|guest post|story|text|words|interview)\s+)?"
    r"(?:by|von|par|por|di|author|autor|auteur)\b\s*:?\s*",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"\s*(?:[,;|·•/\n]|&|\+|\b(?:and|with|und|et|y)\b)\s*", re.IGNORECASE)
_IN_MAIL = re.compile(r"^\S+@\S+\s*\((?P<after>.+)\)$|^(?P<before>.+?)\s*<\S+@\S+>$")
_ADDRESS = re.compile(r"^\S+@\S+\.\S+$|^https?://")
_TITLES = frozenset(
    [
        "dr",
        "prof",
        "professor",
        "mr",
        "mrs",
        "ms",
        "miss",
        "mx",
        "sir",
        "dame",
        "rev",
        "phd",
        "ph.d",
        "md",
        "m.d",
        "dphil",
        "msc",
        "mba",
        "bsc",
        "ma",
        "jr",
        "sr",
        "esq",
        "ii",
        "iii",
    ]
)
# Accounts that publish for others.
_NOBODY = frozenset(
    [
        "the",
        "our",
        "writer",
        "admin",
        "administrator",
        "editor",
        "editors",
        "editorial",
        "staff",
        "team",
        "guest",
        "anonymous",
        "anonym",
        "unknown",
        "webmaster",
        "root",
        "wordpress",
        "blogger",
        "moderator",
        "contributor",
        "author",
        "redaktion",
        "redaction",
    ]
)
_LONGEST_NAME_WORDS = 6


@dataclass(frozen=True)
class Writer:
    """Under whom a document is stored.

    Attributes:
        id: the recipe's author id, or a slug of the guest's name.
        name: as people write it.
        is_guest: it is not the recipe's author.
    """

    id: str
    name: str
    is_guest: bool = False


class Authorship:
    """Decides whose documents a source's texts are.

    Args:
        author: of the recipe.
        guests_included: take guests' texts for the author's own.
        nobody: names that are no person's, such as the site's.
    """

    def __init__(
        self, author: AuthorSection, *, guests_included: bool = False, nobody: Iterable[str] = ()
    ) -> None:
        self._author = Writer(author.id, author.name)
        self._names = (author.name, author.id, *author.aliases)
        self._included = guests_included
        self._nobody = {_joined(name) for name in nobody}

    def of(self, byline: str | None) -> Writer:
        """The writer of a text by its byline: of several, the author if among them, else the
        first. Nobody named means the author."""
        names = [name for name in names_in(byline or "") if _joined(name) not in self._nobody]
        if self._included or not names:
            return self._author
        if any(same_name(name, own) for name in names for own in self._names):
            return self._author
        slug = guest_id(names[0])
        return Writer(slug, names[0], is_guest=True) if slug else self._author


def names_in(byline: str) -> list[str]:
    """Names of the persons in a byline, without titles; none for accounts such as "admin"."""
    text = " ".join(byline.split())
    if match := _IN_MAIL.match(text):
        text = match["after"] or match["before"]
    if _ADDRESS.match(text):
        return []
    text = _LEAD.sub("", text)
    parts = [part for part in _SEPARATOR.split(text) if part]
    if any(len(_words(part)) > _LONGEST_NAME_WORDS for part in parts):
        return []  # a sentence, whose other parts are no names either
    # "Doe, Jane" is one person.
    if len(parts) == 2 and text.count(",") == 1 and all(len(part.split()) == 1 for part in parts):
        first, last = parts[1], parts[0]
        if not {_bare(first), _bare(last)} & _TITLES:
            parts = [f"{first} {last}"]
    names = [
        " ".join(word for word in part.split() if _bare(word) not in _TITLES) for part in parts
    ]
    return list(
        dict.fromkeys(name.strip("\"'()\u201c\u201d ") for name in names if _is_person(name))
    )


def _is_person(name: str) -> bool:
    words = _words(name)
    return bool(words) and not _ADDRESS.match(name) and not set(words) <= _NOBODY


def same_name(one: str, other: str) -> bool:
    """Whether two names may well be one person's.

    "L. Weng", "Weng, Lilian", "lilianweng" and "Lilian M. Weng" are Lilian Weng; so is "Lilian"
    alone. "Lena Weng" is not.
    """
    ours, theirs = _words(one), _words(other)
    if not ours or not theirs:
        return False
    if "".join(ours) == "".join(theirs) or sorted(ours) == sorted(theirs):
        return True
    if len(ours) == 1 or len(theirs) == 1:
        short, long = sorted((ours, theirs), key=len)
        return len(short[0]) > 1 and short[0] in {long[0], long[-1]}
    return ours[-1] == theirs[-1] and _stands_for(ours[:-1], theirs[:-1])


def _stands_for(ours: list[str], theirs: list[str]) -> bool:
    """Whether given names agree, an initial standing for a name, later ones left out at will."""
    if not _agree(ours[0], theirs[0]):
        return False
    return all(_agree(a, b) for a, b in zip(ours[1:], theirs[1:], strict=False))


def _agree(one: str, other: str) -> bool:
    if len(one) == 1 or len(other) == 1:
        return one[0] == other[0]
    return one == other


def guest_id(name: str) -> str:
    """Author id of a guest: their name as a slug, at most 41 characters; empty if it has none."""
    slug = re.sub(r"[^a-z0-9]+", "-", _folded(name)).strip("-")
    if not slug:  # a name in another script
        slug = "-".join(f"{ord(letter):x}" for letter in _folded(name) if letter.isalnum())
    slug = slug if slug[:1].isalpha() else f"guest-{slug}" if slug else ""
    return slug[:41].rstrip("-")


def _folded(name: str) -> str:
    """Lower case, without accents."""
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ø", "o").replace("ł", "l"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _words(name: str) -> list[str]:
    words = re.findall(r"\w+", re.sub(r"['\u2019]", "", _folded(name)))
    return [word for word in words if word not in _TITLES]


def _bare(word: str) -> str:
    return word.casefold().strip(".,")


def _joined(name: str) -> str:
    return "".join(_words(name))
