"""Texts by other hands: from a folder, other recipes and the packages of the environment."""

from importlib.metadata import distribution

import pytest

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.evaluation.other_authors import MOST_WORDS, other_texts
from twin.recipes import Recipe, StyleSection
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.text.language import language_of
from twin.text.words import count_words

PROSE = "She wrote that the harbour was quiet, and that nobody had come to see the boats today. "
GERMAN = "Sie schrieb, dass der Hafen still war und dass niemand gekommen war, um sie zu sehen. "


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "mine",
            "author": {"id": "me", "name": "Me"},
            "sources": [{"kind": "folder", "name": "a", "path": "a"}],
        }
    )


@pytest.fixture
def find(stores_settings, recipe):
    def found(language="en", **section):
        style = StyleSection.model_validate({"packages": False} | section)
        return other_texts(style, open_files(stores_settings), recipe, language)

    return found


def publish(settings, recipe, author, texts):
    samples = [
        InstructSample(
            id=f"{recipe}-{number}",
            split=Split.TRAIN,
            instruction="What?",
            answer=text,
            document_id=document,
            revision="r1",
            chunk_id="c",
            title="T",
            url="https://example.org",
        )
        for number, (document, text) in enumerate(texts)
    ]
    manifest = SampleSetManifest(
        version="d1",
        recipe=recipe,
        author_id=author,
        author_name=author.title(),
        index_fingerprint="f",
        recipe_digest="r",
        prompt_version="1",
        documents={document: Split.TRAIN for document, _ in texts},
        counts={},
    )
    SampleSets(open_files(settings), recipe).publish(manifest, samples, "# Samples")


def test_files_of_a_folder_are_documents_and_folders_in_it_authors(tmp_path, find):
    (tmp_path / "ann").mkdir()
    for name in ("ann/one.md", "ann/two.txt", "ben.md", "notes.csv"):
        (tmp_path / name).write_text(PROSE * 3)
    found = find(folder=tmp_path)
    assert {(each.author, each.document) for each in found} == {
        ("ann", "ann/one.md"),
        ("ann", "ann/two.txt"),
        ("ben", "ben.md"),
    }


def test_only_the_authors_language_counts(tmp_path, find):
    (tmp_path / "english.md").write_text(PROSE * 3)
    (tmp_path / "german.md").write_text(GERMAN * 3)
    assert [each.author for each in find(folder=tmp_path)] == ["english"]
    assert [each.author for each in find("de", folder=tmp_path)] == ["german"]


def test_nobody_stands_for_all_others(tmp_path, find):
    (tmp_path / "ann").mkdir()
    for number in range(50):
        (tmp_path / f"ann/{number}.md").write_text(f"Number {number}. " + PROSE * 3)
    words = sum(count_words(each.text) for each in find(folder=tmp_path))
    assert MOST_WORDS <= words < MOST_WORDS + 60


def test_other_recipes_lend_their_training_answers(stores_settings, find):
    publish(stores_settings, "hers", "her", [("d1", PROSE), ("d1", PROSE), ("d2", PROSE * 2)])
    found = find(recipes=["hers"])
    assert [(each.author, each.text) for each in found if each.document == "d1"] == [("Her", PROSE)]
    assert len(found) == 2


def test_a_recipe_of_the_author_is_no_other(stores_settings, find):
    publish(stores_settings, "mine-too", "me", [("d1", PROSE)])
    with pytest.raises(BadDataError, match="mine-too is of the author's own texts"):
        find(recipes=["mine-too"])


def test_what_is_named_must_be_there(tmp_path, find):
    with pytest.raises(BadDataError, match=r"evaluation\.style\.folder: there is no folder"):
        find(folder=tmp_path / "gone")
    with pytest.raises(BadDataError, match="recipe gone has no samples yet"):
        find(recipes=["gone"])


def test_packages_under_permissive_licences_are_many_hands(find):
    found = find(packages=True)
    authors = {each.author for each in found}
    assert len(authors) > 50
    assert {"numpy", "httpx"} & authors
    assert "LGPL" in distribution("fpdf2").metadata["License-Expression"]
    assert "fpdf2" not in authors
    assert all(language_of(each.text)[0] == "en" for each in found)
    prose = "\n".join(each.text for each in found)
    assert "```" not in prose
    assert "![" not in prose
    assert find("de", packages=True) == []
