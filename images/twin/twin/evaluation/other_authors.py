"""Texts by other hands, against which an author's manner of writing is learned.

A manner can be told only from others. Three places give some, as the recipe says in
``evaluation.style``: a folder of its own, the sample sets of other recipes in the same file store,
and the descriptions of the Python packages that this very environment is made of: technical prose
by many hands, in English, under licences that permit its use, and there without a network. Nothing
of it is copied or published; the report names whom it took.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.recipes import Recipe, StyleSection
from twin.stores.files import FileStore
from twin.stores.sample_sets import SampleSets
from twin.text.language import language_of
from twin.text.words import count_words

SUFFIXES = (".md", ".txt")
MOST_WORDS = 800
"""Of one author, so that nobody stands for all others."""

_PERMISSIVE = re.compile(
    r"\b(?:MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Zlib|Unlicense|CC0|HPND)\b", re.I
)
_RESTRICTIVE = re.compile(r"\b(?:A?GPL|LGPL|Proprietary|NonCommercial|Commons Clause)", re.I)
_LEAST_WORDS, _LONGEST = 25, 250
#: A paragraph of a README that is no prose: badges, tables, lists, code, directives of Sphinx.
_NO_PROSE = re.compile(
    r"^(?:\s{2,}|[|+#>=*\-~`.:<]|\d+\.)|```|::\s*$|\|.*\||<\w+[^>]*>|!\[", re.MULTILINE
)
_ENDED = re.compile(r"[.!?:][\"')\]*_`]*\s*$")


@dataclass(frozen=True)
class OtherText:
    """A document by somebody else."""

    author: str
    document: str
    text: str


def other_texts(
    section: StyleSection, files: FileStore, recipe: Recipe, language: str
) -> list[OtherText]:
    """All that the recipe names, in the author's language; of each author at most `MOST_WORDS`.

    Args:
        section: the recipe's ``evaluation.style``.
        files: the file store with the sample sets.
        recipe: the author's own.
        language: ISO 639-1, of the author's texts.

    Raises:
        BadDataError: a recipe that is named has no samples, or the folder is not there.
    """
    named = [
        *(_of_folder(section.folder) if section.folder else ()),
        *_of_recipes(section.recipes, files, recipe),
        *(_of_packages() if section.packages else ()),
    ]
    spoken = (each for each in named if language_of(each.text)[0] == language)
    return _limited(sorted(spoken, key=lambda each: (each.author, _drawn(each))))


def _limited(texts: Iterable[OtherText]) -> list[OtherText]:
    left: dict[str, int] = defaultdict(lambda: MOST_WORDS)
    kept = []
    for each in texts:
        if left[each.author] > 0:
            kept.append(each)
            left[each.author] -= count_words(each.text)
    return kept


def _drawn(each: OtherText) -> str:
    """Order in which an author's documents are taken: always the same, and by no quality."""
    return sha256(each.document.encode()).hexdigest()


def _of_folder(folder: Path) -> Iterator[OtherText]:
    """Files of a folder, each a document; a folder in it is an author, else the file is one."""
    if not folder.is_dir():
        raise BadDataError(f"evaluation.style.folder: there is no folder {folder}")
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            inner = path.relative_to(folder)
            author = inner.parts[0] if len(inner.parts) > 1 else inner.stem
            yield OtherText(author, str(inner), path.read_text(encoding="utf-8", errors="replace"))


def _of_recipes(names: Iterable[str], files: FileStore, own: Recipe) -> Iterator[OtherText]:
    """The training answers of other recipes' newest sample sets, document by document."""
    for name in names:
        sets = SampleSets(files, name)
        manifest = sets.latest()
        if manifest.author_id == own.author.id:
            raise BadDataError(f"evaluation.style.recipes: {name} is of the author's own texts")
        written: dict[str, list[str]] = defaultdict(list)
        for sample in sets.instruct(manifest.version, Split.TRAIN):
            written[sample.document_id].append(sample.answer)
        for document, answers in written.items():
            yield OtherText(manifest.author_name, document, "\n\n".join(dict.fromkeys(answers)))


def _of_packages() -> Iterator[OtherText]:
    """The prose of what installed packages say of themselves."""
    seen: set[str] = set()
    for name, package, about in _packages():
        if not _is_permissive(about):
            continue
        prose = [each for each in _prose(_description(package)) if each not in seen]
        seen.update(prose)
        if prose:
            yield OtherText(name, name, "\n\n".join(prose))


def _packages() -> list[tuple[str, Distribution, PackageMetadata]]:
    """Those that are installed, by name, with their metadata: each access parses it anew."""
    about = ((package, package.metadata) for package in distributions())
    # A package that is half removed has no name.
    named = [(said["Name"].lower(), package, said) for package, said in about if said["Name"]]
    return sorted(named, key=lambda each: each[0])


def _is_permissive(said: PackageMetadata) -> bool:
    """Whether a package says, in any of the places for it, that it is under such a licence."""
    licences = said.get_all("License-Expression", []) + said.get_all("Classifier", [])
    # Some put the licence's whole text there.
    licences += [each[:100] for each in said.get_all("License", [])]
    about = [each for each in licences if not each.startswith(("Programming", "Operating"))]
    text = "\n".join(about)
    return _PERMISSIVE.search(text) is not None and _RESTRICTIVE.search(text) is None


def _description(package: Distribution) -> str:
    """What stands below the headers of its metadata."""
    return (package.read_text("METADATA") or "").partition("\n\n")[2]


def _prose(description: str) -> list[str]:
    """Its paragraphs of whole sentences."""
    paragraphs = (each.strip() for each in re.split(r"\n\s*\n", description))
    return [
        " ".join(each.split())
        for each in paragraphs
        if _LEAST_WORDS <= len(each.split()) <= _LONGEST
        and not _NO_PROSE.search(each)
        and _ENDED.search(each)
    ]
