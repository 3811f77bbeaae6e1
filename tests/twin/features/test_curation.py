"""What is said twice is indexed once; what recurs everywhere, nowhere."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.features.clean import clean
from twin.features.curation import Curation, Place, curate
from twin.features.markdown import blocks_of
from twin.features.signature import block_hash, signature_of, without_blocks
from twin.recipes import FeaturesSection

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ana", "ero", "ilo", "uma", "ose")]
FOOTER = "Thanks for reading! Subscribe to get the next letter by mail."


def paragraph(seed: object, words: int = 60) -> str:
    draw = random.Random(str(seed))
    return " ".join(draw.choice(WORDS) for _ in range(words)).capitalize() + "."


def article(seed: object, paragraphs: int = 5) -> str:
    return "\n\n".join(paragraph(f"{seed}-{n}") for n in range(paragraphs))


def decide(texts: dict[str, str], features: FeaturesSection | None = None, **sources) -> Curation:
    """Documents published a day after another, in the order given."""
    places = {
        name: Place(
            sources.get(name, "site"),
            datetime(2024, 1, 1 + day, tzinfo=UTC),
            datetime(2025, 1, 1, tzinfo=UTC),
        )
        for day, name in enumerate(texts)
    }
    signatures = [signature_of(name, "r1", clean(text)) for name, text in texts.items()]
    return curate(signatures, places, features or FeaturesSection())


def left_of(name: str, texts: dict[str, str], curation: Curation) -> str:
    return without_blocks(clean(texts[name]), curation.left_out.get(name, frozenset()))[0]


def test_documents_of_their_own_are_left_alone():
    assert decide({f"d{n}": article(n) for n in range(8)}) == Curation()


def test_of_equal_texts_the_earliest_is_kept():
    curation = decide({"first": article(1), "other": article(2), "copy": article(1)})
    assert curation.duplicates["copy"].of == "first"
    assert curation.duplicates["copy"].likeness == 1
    assert set(curation.duplicates) == {"copy"}


def test_without_a_date_a_document_comes_after_those_with_one():
    when = datetime(2020, 1, 1, tzinfo=UTC)
    signatures = [signature_of(name, "r", clean(article(1))) for name in ("a", "b")]
    places = {"a": Place("s", None, when), "b": Place("s", datetime(2024, 1, 1, tzinfo=UTC), when)}
    assert curate(signatures, places, FeaturesSection()).duplicates["a"].of == "b"


def edited(text: str, words: int = 3) -> str:
    """The text with so many words replaced."""
    draw = random.Random(text)
    parts = text.split(" ")
    for place in draw.sample(range(len(parts)), words):
        parts[place] = "another"
    return " ".join(parts)


@pytest.mark.parametrize("seed", range(10))
def test_a_lightly_edited_copy_is_a_duplicate_and_another_text_is_not(seed):
    text = article(seed, 8)
    texts = {"first": text, "copy": edited(text), "half": article(seed, 4) + article("x", 4)}
    curation = decide(texts)
    assert set(curation.duplicates) == {"copy"}
    assert curation.duplicates["copy"].likeness >= 0.85
    equal_only = FeaturesSection.model_validate({"duplicates": {"min_likeness": 1}})
    assert decide(texts, equal_only).duplicates == {}


def test_copies_of_a_copy_point_to_what_is_kept():
    text = article(3, 12)
    curation = decide(
        {"first": text, "b": text + "\n\nA word more.", "c": text + "\n\nA word more."}
    )
    assert {id_: found.of for id_, found in curation.duplicates.items()} == {
        "b": "first",
        "c": "first",
    }


def test_texts_without_words_are_no_duplicates():
    assert decide({"a": "***\n", "b": "***\n"}).duplicates == {}


def test_a_block_in_many_documents_of_a_source_is_left_out_of_all():
    texts = {f"d{n}": f"{article(n)}\n\n## Before you go\n\n{FOOTER}" for n in range(4)}
    texts["other"] = f"{article(9)}\n\n{FOOTER}"
    curation = decide(texts, other="elsewhere")
    for n in range(4):
        assert left_of(f"d{n}", texts, curation) == clean(article(n))
    assert "other" not in curation.left_out  # of another source, where it is no footer
    assert curation.recurring == 1


def test_a_recurring_line_leaves_the_paragraph_that_it_ends():
    """As posts have it, whose lines no blank line parts."""
    texts = {f"d{n}": f"{article(n)}\n\nWritten on day {n}.\n{FOOTER}" for n in range(4)}
    texts["d4"] = f"{FOOTER}\nA line of its own.\n\n{article(4)}\n\n{FOOTER}"
    texts["d5"] = f"{article(5)}\n\n```\ncode()\n{FOOTER}\n```\n\n- an item\n- {FOOTER}"
    curation = decide(texts)
    for n in range(4):
        assert left_of(f"d{n}", texts, curation) == clean(f"{article(n)}\n\nWritten on day {n}.")
    assert left_of("d4", texts, curation) == clean(f"A line of its own.\n\n{article(4)}")
    assert left_of("d5", texts, curation) == clean(texts["d5"])
    assert without_blocks(clean(texts["d0"]), curation.left_out["d0"])[1] == [FOOTER]


def test_a_short_line_may_recur():
    texts = {f"d{n}": f"{article(n)}\n\nFor example:\n{paragraph(f'x{n}')}" for n in range(4)}
    assert decide(texts) == Curation()


def test_a_heading_with_text_of_its_own_and_code_stay():
    code = "```py\nimport twin\n```"
    texts = {
        f"d{n}": f"{article(n)}\n\n{code}\n\n## Notes\n\n{FOOTER}\n\nOnly in {n}." for n in range(4)
    }
    curation = decide(texts)
    for n in range(4):
        expected = f"{article(n)}\n\n{code}\n\n## Notes\n\n\n\nOnly in {n}.\n"
        assert left_of(f"d{n}", texts, curation) == expected


def test_what_few_documents_share_is_no_boilerplate():
    texts = {f"d{n}": article(n) + (f"\n\n{FOOTER}" if n < 3 else "") for n in range(12)}
    assert decide(texts) == Curation()  # a quarter of them: below the share


def test_a_long_passage_stays_in_the_earliest_document_alone():
    passage = paragraph("shared", 50)
    texts = {"a": article(1) + f"\n\n{passage}", "b": f"{passage}\n\n" + article(2)}
    curation = decide(texts)
    assert passage in left_of("a", texts, curation)
    assert passage not in left_of("b", texts, curation)
    assert curation.repeated == 1
    assert curation.variant("a") == ""
    assert curation.variant("b")


def test_copies_do_not_make_their_text_boilerplate():
    texts = {f"copy{n}": article(1) for n in range(4)} | {"other": article(2)}
    curation = decide(texts)
    assert len(curation.duplicates) == 3
    assert curation.left_out == {}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*range(12)]), min_size=1, max_size=12), st.randoms())
def test_decisions_do_not_depend_on_the_order_of_reading(seeds, draw):
    texts = {f"d{place}": article(seed, 2) + f"\n\n{FOOTER}" for place, seed in enumerate(seeds)}
    places = {
        name: Place("s", datetime(2024, 1, 1 + n, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
        for n, name in enumerate(texts)
    }
    signatures = [signature_of(name, "r", clean(text)) for name, text in texts.items()]
    first = curate(signatures, places, FeaturesSection())
    draw.shuffle(signatures)
    assert curate(signatures, places, FeaturesSection()) == first
    kept = texts.keys() - first.duplicates.keys()
    assert len({texts[name] for name in kept}) == len(kept) == len(set(texts.values()))


PIECES = [
    "# One\n",
    "## Two\n",
    f"{FOOTER}\n",
    f"{paragraph(1)}\n",
    f"A line\n{FOOTER}\n",
    f"{FOOTER}\n{paragraph(1)}\nand more\n",
    "```\ncode()\n```\n",
    "- a\n- b\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("\n".join))
def test_leaving_blocks_out_takes_nothing_else(text):
    text = clean(text)
    after, gone = without_blocks(text, frozenset({block_hash(FOOTER)}))
    assert FOOTER not in after
    for block in blocks_of(text):
        body = text[block.start : block.end]
        lines = [line for line in body.splitlines() if line != FOOTER]
        assert body in after or body in gone or "\n".join(lines) in after
        if block.kind not in {"paragraph", "heading"}:
            assert after.count(body) == text.count(body)
    assert without_blocks(after, frozenset({block_hash(FOOTER)})) == (after, [])
