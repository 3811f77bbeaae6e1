"""Links between files of the repository lead somewhere; `make docs` checks those of the site."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.conftest import ROOT

FILES = [
    *sorted(ROOT.glob("*.md")), ROOT / "helm/llm-twin/README.md",
    *sorted((ROOT / ".github").rglob("*.md")), *sorted((ROOT / "tests").rglob("*.md")),
]  # fmt: skip
#: Written by `make docs`.
GENERATED = re.compile(r"docs/pages/(reference|handbook)/")


def targets(path: Path) -> list[str]:
    """What links and pictures of a file name, without those of other hosts."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r'<img src="([^"]+)"', text)
    found += [
        str(child.attrs.get("href") or child.attrs.get("src"))
        for token in MarkdownIt().enable("table").parse(text)
        for child in token.children or ()
        if child.type in ("link_open", "image")
    ]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_there_are(path: Path) -> None:
    for target in targets(path):
        file, _, anchor = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        if GENERATED.search(str(aim)):
            continue
        assert aim.exists(), f"{path.name} links {target}"
        if anchor and aim.suffix == ".md":
            assert anchor in anchors(aim), f"{path.name} links {target}"


def test_pictures_are_small_and_shown_somewhere() -> None:
    pictures = sorted((ROOT / "docs" / "pages" / "pictures").iterdir())
    pages = [ROOT / "README.md", *(ROOT / "docs" / "pages").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert len(pictures) >= 4
    for picture in pictures:
        assert picture.stat().st_size < 200_000, f"{picture.name}: `make screenshots` packs it"
        assert f"pictures/{picture.name}" in text


def test_there_are_links_to_check() -> None:
    assert len(targets(ROOT / "README.md")) > 12


def anchors(path: Path) -> set[str]:
    """Of headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
