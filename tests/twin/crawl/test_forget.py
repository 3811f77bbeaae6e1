"""`twin crawl forget`: a document is erased everywhere and stays away."""

import gzip
import json
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from typer.testing import CliRunner

from tests.twin.answers import answer, passage
from tests.twin.crawl.crawls import environment, recipe_file, run_crawl, web
from tests.twin.crawl.site_server import Answer, article, serve
from tests.twin.datasets.sets import candidate
from tests.twin.stores.chunks import DIMENSION, SPEC
from tests.twin.stores.chunks import document as chunked
from twin.cli import app
from twin.domain.document import document_id
from twin.domain.feedback import KeptAnswer
from twin.domain.rollout import RolloutState
from twin.domain.sample import InstructSample, Split
from twin.domain.verdict import Decision, Opinion, Verdict
from twin.rag.spans import record_passages
from twin.recipes import load_recipe
from twin.serving.traces import MlflowSpans
from twin.settings import Settings, get_settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.audit import Audit
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.index import open_index
from twin.stores.kept_replies import KeptReplies, KeptReply
from twin.stores.kept_reports import JUDGE_REPLIES
from twin.stores.question_reports import write_report
from twin.stores.registry import Registry
from twin.stores.rerankers import RerankerReport, Rerankers
from twin.stores.rollout_states import RolloutStates
from twin.stores.sample_sets import SampleSetManifest, SampleSets, parts_of, replies_of
from twin.stores.trained_models import Gain
from twin.stores.tuned_embedders import EmbedderReport, TunedEmbedders
from twin.stores.verdicts import Verdicts
from twin.stores.warehouse import open_warehouse
from twin.stores.warehouse_files import export_warehouse, import_warehouse

ROOT = Path(__file__).parents[3]
WORDS = "Some words that the author has written about the sea and its weather. " * 5
URL = "https://tess.example/notes/secret.md"


@pytest.fixture
def live(stores_settings: Settings, mlflow_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with all stores, and the environment that gives a command the same."""
    settings = stores_settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    given = {**environment(settings), "TWIN_MLFLOW_TRACKING_URI": mlflow_url}
    for key in ("TWIN_HOME", "TWIN_MONGO_URI", "TWIN_MONGO_DATABASE", "TWIN_MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(key, given[key])
    get_settings.cache_clear()
    yield settings
    get_settings.cache_clear()


@pytest.fixture
def recipe(live: Settings, tmp_path: Path) -> Path:
    """A recipe of two crawled notes; its name is new, so its models are too."""
    notes = tmp_path / "notes"
    notes.mkdir()
    for name in ("secret", "open"):
        (notes / f"{name}.md").write_text(f"# {name.title()}\n\n{WORDS}")
    source = {
        "kind": "folder", "name": "site", "path": str(notes),
        "url_prefix": "https://tess.example/notes/",
    }  # fmt: skip
    path = recipe_file(tmp_path, [source])
    data = yaml.safe_load(path.read_text())
    data["name"] = f"tester-{uuid.uuid4().hex[:8]}"
    path.write_text(yaml.safe_dump(data))
    assert run_crawl(live, path).tally() == {"added": 2}
    return path


def forget(recipe: Path, url: str, *options: str) -> tuple[int, dict[str, Any], str]:
    result = recipe.with_name("forgotten.json")
    result.unlink(missing_ok=True)
    command = ["crawl", "forget", url, "--recipe", str(recipe), "--result", str(result), *options]
    done = CliRunner().invoke(app, command)
    data = json.loads(result.read_text()) if result.exists() else {}
    return done.exit_code, data, done.output


def fill_index(recipe: Path, settings: Settings, *documents: str) -> None:
    with open_index(settings, load_recipe(str(recipe), Path())).write(SPEC, DIMENSION) as writer:
        writer.upsert([chunked(id_, ["One passage.", f"Another of {id_}."]) for id_ in documents])
        writer.publish()


def publish_samples(recipe: Path, settings: Settings, version: str, documents: set[str]) -> None:
    name = load_recipe(str(recipe), Path()).name
    manifest = SampleSetManifest(
        version=version, recipe=name, author_id="tester", author_name="Tess", index_fingerprint="f",
        recipe_digest="d", prompt_version="2",
        documents=dict.fromkeys(documents, Split.TRAIN), counts={},
    )  # fmt: skip
    samples = [
        InstructSample(
            id=id_, split=Split.TRAIN, instruction="Write.", answer="Words.", document_id=id_,
            revision="r", chunk_id="c", title="t", url="u",
        )
        for id_ in documents
    ]  # fmt: skip
    SampleSets(open_files(settings), name).publish(manifest, samples, "card")


def rerank(settings: Settings, name: str, dataset: str, folder: Path) -> None:
    """Publish a reranker and an embedder that were trained on a sample set."""
    folder.mkdir()
    gain = Gain(questions=9, documents=9, before=0.5, after=0.6)
    report = RerankerReport(
        version=f"reranker-{dataset}", embedder="e@1", dataset_version=dataset,
        index_fingerprint="f", weight=0.5, max_length=64, trained_on=40, validation=gain,
        wins=False,
    )  # fmt: skip
    Rerankers(open_files(settings), name).publish(folder, report)
    tuned = EmbedderReport(
        version=f"embedder-{dataset}", embedder="e@1", dataset_version=dataset,
        index_fingerprint="f", trained_on=40, validation=gain, wins=False,
    )  # fmt: skip
    TunedEmbedders(open_files(settings), name).publish(folder, tuned)


def register(recipe: Path, settings: Settings, dataset: str) -> None:
    client = MlflowClient(tracking_uri=settings.mlflow_tracking_uri)
    run = client.create_run(client.create_experiment(uuid.uuid4().hex)).info.run_id
    with Registry(settings) as registry:
        registry.register(
            load_recipe(str(recipe), Path()).model_name, weights_uri=f"file:///{dataset}",
            weights_digest=dataset, run_id=run, tags={"dataset_version": dataset},
        )  # fmt: skip


def keep_answers(settings: Settings, sources: dict[str, tuple[str, ...]]) -> None:
    """Answers by their ids, each from these documents."""
    now = datetime.now(UTC)
    later = now + timedelta(days=1)
    with open_warehouse(settings) as warehouse:
        AnswerRecords(warehouse).add([
            ("ann", KeptAnswer(answer=answer(id_, documents=ids), created=now, expires=later))
            for id_, ids in sources.items()
        ])  # fmt: skip


def test_it_is_erased_everywhere_and_the_models_are_named(live: Settings, recipe: Path) -> None:
    secret, other = (
        document_id("tester", f"https://tess.example/notes/{name}.md")
        for name in ("secret", "open")
    )
    fill_index(recipe, live, secret, other)
    publish_samples(recipe, live, "with", {secret, other})
    publish_samples(recipe, live, "without", {other})
    register(recipe, live, "with")
    register(recipe, live, "without")
    name = load_recipe(str(recipe), Path()).name
    verdicts = Verdicts(open_files(live), name)
    opinion = Opinion(person="1", decision=Decision.EDIT, answer="Other words.")
    of_secret, of_other = (
        Verdict(sample=id_, seen="s", document_id=id_, opinions=(opinion,))
        for id_ in (secret, other)
    )
    verdicts.update((), [of_secret, of_other])
    for writer, about in (("teacher", secret), ("judge", secret), ("teacher", other)):
        replies = KeptReplies(open_files(live), replies_of(name, writer))
        replies.keep(KeptReply(key=f"of-{about}", about=about, text="What it says."))
    open_files(live).write_text(f"{parts_of(name)}/p/rows.jsonl", "What it says.")
    keep_answers(live, {"a1": (secret, other), "a2": (other,)})
    files, kept = open_files(live), {"document": other, "author": "Words."}
    shown = [{"document": secret, "author": WORDS}, kept]
    files.write_json(f"reports/twin-{name}/1/report.json", {"side_by_side": shown})
    about = KeptReplies(files, f"{JUDGE_REPLIES}/twin-{name}")
    about.keep(KeptReply(key="of-secret", about=secret, text="What it says."))
    for dataset in ("with", "without"):
        rerank(live, name, dataset, recipe.parent / dataset)
    feedback = FeedbackPairs(open_files(live), name)
    feedback.replace([candidate("p1", other, secret), candidate("p2", other)])
    on_pairs = Verdicts(open_files(live), name, on_pairs=True)
    # Of a pair of both documents, of a model's pair of the secret one, of a pair that stays.
    said = {"p1": other, "p3": secret, "p2": other}
    on_pairs.update((), [
        Verdict(sample=pair, seen="s", document_id=id_, opinions=(opinion,))
        for pair, id_ in said.items()
    ])  # fmt: skip

    code, result, output = forget(recipe, URL, "--reason", "asked by mail")
    assert code == 0, output
    assert open_files(live).names(parts_of(name)) == []
    assert verdicts.read() == (of_other,)
    assert [each.pair.id for each in feedback.read()] == ["p2"]
    assert [each.sample for each in on_pairs.read()] == ["p2"]
    left = [KeptReplies(open_files(live), replies_of(name, one)) for one in ("teacher", "judge")]
    assert [[reply.about for reply in one] for one in left] == [[other], []]
    assert result["detail"] == {
        "urls": [URL],
        "texts erased": 1,
        "raw records erased": 1,
        "answers erased": 1,
        "chunks erased": 2,
        "verdicts erased": 1,
        "feedback pairs erased": 3,
        "replies erased": 3,
        "reports redacted": 1,
        "artifacts to be erased by hand": [],
        "tables of generations emptied": 0,
        "sample sets that hold it": [f"{name}/with"],
        "model versions trained on it": [f"twin-{name} version 1"],
        "rerankers trained on it": [f"{name}/reranker-with"],
        "embedders trained on it": [f"{name}/embedder-with"],
        "traces erased": 0,
    }
    assert files.read_json(f"reports/twin-{name}/1/report.json") == {"side_by_side": [kept]}
    with open_warehouse(live) as warehouse:
        assert warehouse.documents_at(URL) == []
        assert warehouse.revisions(secret) == []
        assert warehouse.forgotten("tester")[secret].reason == "asked by mail"
        assert [item.title for item in warehouse.live_documents("tester")] == ["Open"]
        assert [one["_id"] for one in warehouse.collection("answers").find({})] == ["a2"]
        (entry,) = Audit(warehouse).entries(9)
    assert (entry.action, entry.subject) == ("forgotten", URL)
    assert entry.detail == {"author": "tester", "reason": "asked by mail"}
    state = open_index(live, load_recipe(str(recipe), Path())).state()
    assert state is not None
    assert state.documents.keys() == {other}


SENTENCE = "The lighthouse keeper of Finkenwerder hides his letters under the stairs."


def places(live: Settings, name: str) -> set[str]:
    """Where the planted sentence stands: every file, every record, every chunk, every trace."""
    found = set()
    for path in Path(live.files_root).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".gz":
                content += gzip.decompress(content)
            if SENTENCE.encode() in content:
                found.add(path.relative_to(live.files_root).parts[0])
    with open_warehouse(live) as warehouse:
        for collection in warehouse._database.list_collection_names():
            if SENTENCE in str(list(warehouse.collection(collection).find({}))):
                found.add(collection)
    chunks = open_index(live, load_recipe(name, live.recipes)).read().stored_chunks()
    found |= {"index" for chunk in chunks if SENTENCE in chunk.text}
    client = MlflowClient(live.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(name)
    traces = client.search_traces([experiment.experiment_id], max_results=100)
    found |= {"traces" for trace in traces if SENTENCE in trace.to_json()}
    return found


def trace_of(live: Settings, name: str, url: str, text: str) -> None:
    """A trace of an answer, as serving sends it, that shows one passage."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(MlflowSpans(live, name)))
    with provider.get_tracer("test").start_as_current_span("answer") as span:
        record_passages(span, [passage("d", text, url=url)])
    provider.shutdown()


def test_a_planted_sentence_is_found_nowhere_afterwards(live: Settings, recipe: Path) -> None:
    note = recipe.parent / "notes" / "secret.md"
    note.write_text(f"# Secret\n\n{SENTENCE} {WORDS}")
    run_crawl(live, recipe)
    data = yaml.safe_load(recipe.read_text())
    name, secret = data["name"], document_id("tester", URL)
    live = live.model_copy(update={"recipes": recipe.parent})
    recipe = recipe.rename(recipe.parent / f"{name}.yaml")
    with open_index(live, load_recipe(name, live.recipes)).write(SPEC, DIMENSION) as writer:
        writer.upsert([chunked(secret, [SENTENCE]), chunked("open", ["Another text."])])
        writer.publish()
    files = open_files(live)
    KeptReplies(files, replies_of(name, "teacher")).keep(
        KeptReply(key="k", about=secret, text=SENTENCE)
    )
    files.write_json(
        f"reports/twin-{name}/1/report.json",
        {"side_by_side": [{"document": secret, "author": SENTENCE}]},
    )
    files.write_text(f"{parts_of(name)}/p/rows.jsonl", SENTENCE)
    write_report(files, name, {"questions.md": f"- Is it so that {SENTENCE}"})
    RolloutStates(live).save(RolloutState(model=f"twin-{name}", generation=1))
    trace_of(live, name, URL, SENTENCE)
    trace_of(live, name, "https://tess.example/notes/open.md", "Another text.")
    now = datetime.now(UTC)
    given = answer("a1", text=SENTENCE, sources=(passage(secret, SENTENCE),))
    kept = KeptAnswer(answer=given, created=now, expires=now + timedelta(days=1))
    with open_warehouse(live) as warehouse:
        AnswerRecords(warehouse).add([("caller", kept)])
    assert places(live, name) >= {
        "documents", "revisions", "answers", "snapshots", "index", "datasets", "reports",
        "monitoring", "traces",
    }  # fmt: skip

    code, result, output = forget(recipe, URL)
    assert code == 0, output
    assert result["detail"]["traces erased"] == 1
    # What was being written meanwhile comes too late.
    with open_warehouse(live) as warehouse:
        AnswerRecords(warehouse).add([("caller", kept)])
    assert places(live, name) == set()


def test_it_does_not_come_back(live: Settings, recipe: Path, tmp_path: Path) -> None:
    with open_warehouse(live) as warehouse:
        export_warehouse(warehouse, tmp_path / "before.jsonl")
    assert forget(recipe, URL)[0] == 0
    # Neither by a crawl, …
    done = run_crawl(live, recipe, "--full")
    assert done.tally() == {"unchanged": 1, "skipped": 1}
    with open_warehouse(live) as warehouse:
        assert warehouse.documents_at(URL) == []
        # … nor by a backup made before.
        import_warehouse(warehouse, tmp_path / "before.jsonl")
        assert warehouse.documents_at(URL) == []
        assert warehouse.revisions(document_id("tester", URL)) == []


def test_again_there_is_nothing_to_do_but_to_name_the_models(live: Settings, recipe: Path) -> None:
    secret = document_id("tester", URL)
    publish_samples(recipe, live, "with", {secret})
    register(recipe, live, "with")
    assert forget(recipe, URL)[0] == 0
    code, result, _ = forget(recipe, URL)
    assert code == 99
    assert result["detail"]["model versions trained on it"]


def test_what_a_kill_left_is_erased_by_the_next_run(live: Settings, recipe: Path) -> None:
    """As after a kill between the warehouse and the index."""
    secret = document_id("tester", URL)
    assert forget(recipe, URL)[0] == 0
    fill_index(recipe, live, secret)
    code, result, _ = forget(recipe, URL)
    assert code == 0
    assert result["detail"]["chunks erased"] == 2


def test_a_url_that_is_not_there_yet_never_comes(live: Settings, recipe: Path) -> None:
    url = "https://tess.example/notes/later.md"
    code, result, _ = forget(recipe, url)
    assert code == 0
    assert result["detail"]["texts erased"] == 0
    folder = recipe.parent / "notes"
    (folder / "later.md").write_text(f"# Later\n\n{WORDS}")
    assert run_crawl(live, recipe).tally() == {"unchanged": 2, "skipped": 1}


@pytest.mark.parametrize("url", ["notes", "secret.md", "", "http://[x"])
def test_what_is_no_url_is_refused(live: Settings, recipe: Path, url: str) -> None:
    code, _, output = forget(recipe, url)
    assert code == 65
    assert "URL" in output


def test_the_same_url_of_another_author_stays(live: Settings, recipe: Path) -> None:
    with open_warehouse(live) as warehouse:
        (mine,) = warehouse.documents_at(URL)
        theirs = mine.model_copy(update={"id": document_id("bob", URL), "author_id": "bob"})
        warehouse.upsert(theirs)
    assert forget(recipe, URL)[0] == 0
    with open_warehouse(live) as warehouse:
        assert [item.author_id for item in warehouse.documents_at(URL)] == ["bob"]


@pytest.mark.parametrize(
    "spelling",
    [
        "http://tess.example/notes/secret.md",
        "https://www.tess.example/notes/secret.md/",
        f"{URL}?utm_source=x#end",
    ],
)
def test_however_its_url_is_spelled(live: Settings, recipe: Path, spelling: str) -> None:
    secret = document_id("tester", URL)
    code, result, _ = forget(recipe, spelling)
    assert code == 0
    assert (result["detail"]["urls"], result["detail"]["texts erased"]) == ([URL], 1)
    # As after a kill between the warehouse and the index.
    fill_index(recipe, live, secret)
    assert forget(recipe, spelling)[1]["detail"]["chunks erased"] == 2
    assert forget(recipe, spelling)[0] == 99


def test_a_guest_is_forgotten_too_and_so_are_the_page_s_other_addresses(
    live: Settings, tmp_path: Path
) -> None:
    def page(words: str, byline: str = "") -> Answer:
        head = '<link rel="canonical" href="/guest">' + byline
        return Answer(article("Guest", head=head, body=f"<p>{words}</p>"))

    written_by = '<meta name="author" content="Gus Guest">'
    with serve({}) as site:
        links = '<a href="/guest">1</a><a href="/print/guest">2</a>'
        site.routes |= {
            "/": Answer(article("Home", body=links)),
            "/guest": page("Said in secret.", written_by),
            "/print/guest": page("Said in secret, and printed.", written_by),
        }
        path = recipe_file(tmp_path, [web(site.url)])
        done = run_crawl(live, path)
        assert done.tally() == {"added": 2, "guests": 1, "skipped": 1}, done.error
        assert "Said in secret" in raw_pages(live)
        code, result, output = forget(path, f"{site.url}/guest/")
        assert code == 0, output
        assert result["detail"]["texts erased"] == 1
        assert "Said in secret" not in raw_pages(live)
        with open_warehouse(live) as warehouse:
            assert warehouse.documents_at(f"{site.url}/guest") == []
            assert not list(warehouse.live_documents("gus-guest"))
        again = run_crawl(live, path, "--full")
        assert again.tally() == {"unchanged": 1, "skipped": 2}, again.error
        assert "Said in secret" not in raw_pages(live)


def raw_pages(settings: Settings) -> str:
    """All snapshots of the author, unpacked."""
    files = sorted(Path(settings.snapshots_root).glob("tester/**/*.warc.gz"))
    return "".join(gzip.decompress(file.read_bytes()).decode(errors="replace") for file in files)


def test_another_recipe_of_the_author_forgets_as_well(live: Settings, recipe: Path) -> None:
    secret = document_id("tester", URL)
    data = yaml.safe_load(recipe.read_text())
    data["name"] += "-large"
    other = recipe.with_name("other.yaml")
    other.write_text(yaml.safe_dump(data))
    fill_index(other, live, secret)
    publish_samples(other, live, "with", {secret})
    register(other, live, "with")
    code, result, output = forget(recipe, URL)
    assert code == 0, output
    assert result["detail"]["chunks erased"] == 2
    assert result["detail"]["sample sets that hold it"] == [f"{data['name']}/with"]
    assert result["detail"]["model versions trained on it"] == [f"twin-{data['name']} version 1"]


ALLOWED_ONLY = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))
from twin.cli import main
sys.argv = ["twin", *{arguments!r}]
main()
"""


def test_the_image_of_its_pod_has_all_that_it_imports(live: Settings, recipe: Path) -> None:
    """The DAG runs it in the image `features`."""
    requirements = (ROOT / "images/twin/requirements/features.txt").read_text()
    locked = {_plain(name) for name in re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE)}
    absent = [
        module
        for module, packages in packages_distributions().items()
        if locked.isdisjoint(map(_plain, packages)) and module not in {"twin", "torch"}
    ]
    assert {"scrapy", "lxml", "mlflow"} <= set(absent)
    fill_index(recipe, live, document_id("tester", URL))
    publish_samples(recipe, live, "with", {document_id("tester", URL)})
    arguments = ["crawl", "forget", URL, "--recipe", str(recipe)]
    program = ALLOWED_ONLY.format(absent=absent, arguments=arguments)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert raw_pages(live).count("WARC-Target-URI") == 1, "that of the other note"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
