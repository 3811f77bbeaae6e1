"""Languages that the embedder knows, and those that it does not: budgets, warnings, passages."""
# ruff: noqa: RUF001 - letters that look like others are tested too

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import ROOT
from tests.twin.features.documents import make
from twin.domain.chunk import Chunk
from twin.features.chunker import Chunker, says_something
from twin.features.clean import clean
from twin.features.curation import Place, curate
from twin.features.pipeline import embed, prepare
from twin.features.plan import Wanted, head_of
from twin.features.quality import quality_of
from twin.features.signature import signature_of
from twin.models.embedder import load_embedder
from twin.recipes import DatasetsSection, FeaturesSection
from twin.settings import Settings
from twin.text.words import count_words

CASES = ROOT.parent / "shared" / "cases"
EMBEDDER = load_embedder("all-minilm-l6-v2", Settings())
CHUNKER = Chunker(EMBEDDER, 200)

JAPANESE = "港の事務所は二冊の帳簿をつけている。誰も手で行を移してはならない。"
CHINESE = "港口办公室有两本账簿，谁也不许用手把一行字从一本移到另一本里去。"
THAI = "สำนักงานท่าเรือเก็บบัญชีสองเล่ม เล่มหนึ่งสำหรับเรือที่มาถึงแล้ว "
ENGLISH = "The harbour office keeps two ledgers, and nobody may move a line by hand. "


@pytest.mark.parametrize("text", [JAPANESE, CHINESE, THAI])
def test_a_clause_that_is_one_unknown_token_counts_as_its_words(text: str) -> None:
    count = EMBEDDER.count_tokens(text * 10) - EMBEDDER.count_tokens("")
    assert count >= 0.5 * count_words(text * 10)


def test_what_the_embedder_knows_is_counted_as_ever() -> None:
    for text in (ENGLISH, "", "naïve café x² 3.14"):
        assert EMBEDDER.count_tokens(text) == len(EMBEDDER._tokenizer.encode(text).ids)
        assert EMBEDDER.count_unknown(text) == 0


def test_unknown_tokens_are_counted_by_the_words_that_they_stand_for() -> None:
    assert EMBEDDER.count_unknown("🂡 word") == 1
    assert EMBEDDER.count_unknown("ก" * 500) > 100
    assert EMBEDDER.count_unknown("a" * 500) == 1


@pytest.mark.parametrize("text", [JAPANESE, CHINESE, THAI])
def test_no_chunk_of_such_a_text_holds_a_page(text: str) -> None:
    chunks = CHUNKER.chunks(make("Ledger", text * 60))
    assert len(chunks) >= 4
    assert all(chunk.token_count <= 200 for chunk in chunks)
    assert all(count_words(chunk.text) <= 260 for chunk in chunks)


@pytest.mark.parametrize(
    ("text", "least", "most"), [(ENGLISH, 0, 0.01), (CHINESE, 0.2, 1), (THAI, 0.5, 1)]
)
def test_the_share_of_unknown_tokens_is_known(text: str, least: float, most: float) -> None:
    document = make("Ledger", text * 20)
    wanted = Wanted(head_of(document))
    done = embed(EMBEDDER, [prepare(CHUNKER, document, wanted)])
    assert done.counted == sum(chunk.token_count for chunk in done.documents[0].chunks)
    assert least <= done.unknown / done.counted <= most


@pytest.mark.parametrize(
    ("passage", "says"),
    [
        ("![](a.png)", False),
        ("![A harbour at noon](https://e.org/a.png)", False),
        ("![a](a.png)\n\n![b](b.png)", False),
        ("![a][ref]", False),
        ("---", False),
        ("* * *", False),
        ("[![badge](a.svg)](https://e.org)", False),
        ("[Another page](https://e.org)", False),
        ("- [Another page](https://e.org)", False),
        ("<https://e.org/a>", False),
        ("https://e.org/a", False),
        ('<img src="a.png" alt="A harbour">', False),
        ("<!-- more words -->", False),
        ("。！？", False),
        ("🎉", False),
        ("", False),
        ("![a](a.png) The gate.", True),
        ("The gate: ![a](a.png)", True),
        ("[One](a) and [two](b)", True),
        ("- [One](a)\n- [Two](b)", True),
        ("See [the gate](a).", True),
        ("港の帳簿", True),
        ("7", True),
        ("`![a](a.png)` is an image", True),
    ],
)
def test_an_image_a_link_or_a_rule_is_no_passage(passage: str, says: bool) -> None:
    assert says_something(passage) is says


@pytest.mark.parametrize("piece", ["![", "[", "<", "<!--", "](", "![a](", "<a "])
def test_a_megabyte_of_openings_takes_no_time(piece: str) -> None:
    says_something(piece * (200_000 // len(piece)))


def test_an_image_alone_under_a_heading_is_in_no_chunk() -> None:
    text = f"{ENGLISH * 12}\n\n## Pictures\n\n![A harbour at noon](https://e.org/a.png)\n"
    chunks = CHUNKER.chunks(make("Ledger", text))
    assert chunks
    assert all("a.png" not in chunk.text or "ledgers" in chunk.text for chunk in chunks)


def test_signals_of_quality_know_words_of_any_script() -> None:
    assert quality_of(JAPANESE * 3).words == count_words(JAPANESE * 3)
    assert quality_of(ENGLISH).words == 14
    assert quality_of(CHINESE).worded_share > 0.8
    assert quality_of("हिन्दी में लिखा").words == 3
    assert quality_of("हिन्दी में लिखा").symbol_share == quality_of(THAI).symbol_share == 0


def test_a_text_without_blanks_has_as_many_shingles_as_words() -> None:
    one, other = CHINESE * 8, CHINESE * 7 + JAPANESE * 2
    places = {n: Place("s", None, datetime(2024, 1, 1, tzinfo=UTC)) for n in "ab"}
    alike = [signature_of("a", "r", clean(one)), signature_of("b", "r", clean(one + "后记。"))]
    assert set(curate(alike, places, FeaturesSection()).duplicates) == {"b"}
    differing = [alike[0], signature_of("b", "r", clean(other))]
    assert curate(differing, places, FeaturesSection()).duplicates == {}


SUBSCRIBE = "欢迎订阅这份周刊，搜索公众号“港口的账簿”或者扫描二维码，每周五发布。"


@pytest.mark.parametrize(("holding", "left_out"), [(19, False), (20, True)])
def test_a_block_of_twenty_documents_is_furniture_whatever_its_share(holding, left_out) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    places, signatures = {}, []
    for n in range(200):
        text = f"第{n}期的内容是关于第{n * 7}号码头和{n * 13}艘船的故事，另有{n * 29}条记录。"
        text += f"\n\n{SUBSCRIBE}" if n < holding else ""
        name = f"d{n:03}"
        places[name] = Place("weekly", start + timedelta(days=n), start)
        signatures.append(signature_of(name, "r", clean(text)))
    knobs = FeaturesSection.model_validate({"duplicates": {"enabled": False, "passage_words": 0}})
    found = curate(signatures, places, knobs)
    assert bool(found.left_out) is left_out
    assert len(found.left_out) == (holding if left_out else 0)


def test_shared_case_of_a_japanese_passage_is_a_sample() -> None:
    from twin.datasets.passages import Passage, passage_of

    path = CASES / "cjk-passage.txt"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    text = path.read_text(encoding="utf-8")
    chunk = Chunk(
        id="c", document_id="d", revision="r", author_id="a", ordinal=0, url="u", title="t",
        text=text, token_count=1, chunker="x",
    )  # fmt: skip
    assert isinstance(passage_of(chunk, DatasetsSection(max_answer_words=300)), Passage)
    short = chunk.model_copy(update={"text": "帳簿をつけている。"})
    assert passage_of(short, DatasetsSection()) == "shorter than min_answer_words"


@pytest.mark.parametrize("name", ["cjk-article.md", "thai.md"])
def test_shared_case_of_an_article_is_long_enough(name: str) -> None:
    from twin.crawl.page import Page
    from twin.crawl.read_article import read_article
    from twin.recipes import CrawlSection

    path = CASES / name
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    article = read_article(Page(f"f://{name}", path.read_bytes(), "text/markdown"), CrawlSection())
    assert article.language == {"cjk-article.md": "ja", "thai.md": "th"}[name]
