"""`twin author remove`: everything of an author goes, whenever it is killed, and nothing else."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from typer.testing import CliRunner

from tests.twin.answers import answer
from tests.twin.crawl.crawls import environment, run_crawl
from tests.twin.datasets.sets import candidate
from tests.twin.stores.chunks import DIMENSION, SPEC
from tests.twin.stores.chunks import document as chunked
from twin.backup.copies import create
from twin.cli import app
from twin.domain.document import document_id
from twin.domain.feedback import KeptAnswer
from twin.domain.monitoring import MonitoringState
from twin.domain.result import JobResult
from twin.domain.rollout import RolloutState
from twin.domain.sample import Split
from twin.domain.verdict import Decision, Opinion, Verdict
from twin.job import Job
from twin.recipes import load_recipe
from twin.serving.traces import MlflowSpans
from twin.settings import Settings, get_settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.audit import Audit
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import FileStore, open_files
from twin.stores.index import open_index
from twin.stores.kept_replies import KeptReplies, KeptReply
from twin.stores.kept_reports import JUDGE_REPLIES
from twin.stores.monitoring_states import MonitoringStates
from twin.stores.pair_sets import PairSetManifest, PairSets
from twin.stores.question_reports import write_report
from twin.stores.registry import Registry
from twin.stores.rollout_states import RolloutStates
from twin.stores.sample_sets import SampleSetManifest, SampleSets, parts_of, replies_of
from twin.stores.verdicts import Verdicts
from twin.stores.warehouse import COLLECTIONS, open_warehouse

WORDS = "Some words that the author has written about the sea and its weather. " * 5
AUTHORS = ("ada", "bob")


@pytest.fixture
def live(
    stores_settings: Settings, mlflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """All stores, and a folder of recipes of one's own, for commands as well."""
    update = {"mlflow_tracking_uri": mlflow_url, "recipes": tmp_path / "recipes"}
    settings = stores_settings.model_copy(update=update)
    given = {
        **environment(settings),
        "TWIN_MLFLOW_TRACKING_URI": mlflow_url,
        "TWIN_RECIPES": str(settings.recipes),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield settings
    get_settings.cache_clear()


@pytest.fixture
def twins(live: Settings) -> Iterator[dict[str, str]]:
    """Author to the name of a recipe, each with something in every store."""
    names = {author: f"{author}-{uuid.uuid4().hex[:8]}" for author in AUTHORS}
    for author, name in names.items():
        fill(live, author, name)
    yield names


def fill(settings: Settings, author: str, name: str) -> None:
    notes = settings.recipes / author
    notes.mkdir(parents=True)
    for title in ("One", "Two"):
        (notes / f"{title}.md").write_text(f"# {author} {title}\n\n{WORDS}")
    data = {
        "name": name,
        "author": {"id": author, "name": author.title()},
        "sources": [{"kind": "folder", "name": "notes", "path": author}],
        "crawl": {"min_words": 20},
    }
    path = settings.recipes / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    done = run_crawl(settings, path)
    assert done.code == 0, done.error
    recipe = load_recipe(name, settings.recipes)
    ids = [document_id(author, f"folder://notes/{title}.md") for title in ("One", "Two")]
    with open_index(settings, recipe).write(SPEC, DIMENSION) as writer:
        writer.upsert([chunked(id_, ["One passage.", f"Another of {id_}."]) for id_ in ids])
        writer.publish()
    create(Job(recipe, settings, "r", JobResult(job="b", recipe=name, run_id="r")), keep=1)
    manifest = SampleSetManifest(
        version="v1", recipe=name, author_id=author, author_name=author, index_fingerprint="f",
        recipe_digest="d", prompt_version="2",
        documents=dict.fromkeys(ids, Split.TRAIN), counts={},
    )  # fmt: skip
    SampleSets(open_files(settings), name).publish(manifest, [], "card")
    pairs = PairSetManifest(
        version="p1", recipe=name, author_name=author, dataset_version="v1", adapter="a",
        base_model="b", rejected_by="m", samples=0, candidates=0, pairs=0, length_auc=None,
        likeness=None,
    )  # fmt: skip
    PairSets(open_files(settings), name).publish(pairs, [], "card")
    opinion = Opinion(person="1", decision=Decision.KEEP)
    verdict = Verdict(sample="s", seen="x", document_id=ids[0], opinions=(opinion,))
    for on_pairs in (False, True):
        Verdicts(open_files(settings), name, on_pairs=on_pairs).update((), [verdict])
    FeedbackPairs(open_files(settings), name).replace([candidate("p", ids[0])])
    for writer in ("teacher", "judge"):
        replies = KeptReplies(open_files(settings), replies_of(name, writer))
        replies.keep(KeptReply(key="k", about=ids[0], text="What it says."))
    files = open_files(settings)
    shown = {"side_by_side": [{"document": ids[0], "author": WORDS}]}
    files.write_json(f"reports/twin-{name}/1/report.json", shown)
    about = KeptReplies(files, f"{JUDGE_REPLIES}/twin-{name}")
    about.keep(KeptReply(key="k", about=ids[0], text="What it says."))
    open_files(settings).write_text(f"{parts_of(name)}/p/rows.jsonl", "What it says.")
    now = datetime.now(UTC)
    kept = KeptAnswer(
        answer=answer(author, documents=ids), created=now, expires=now + timedelta(days=1)
    )
    with open_warehouse(settings) as warehouse:
        AnswerRecords(warehouse).add([("a key", kept)])
    write_report(files, name, {"questions.md": "What readers ask."})
    MonitoringStates(settings).save(MonitoringState(recipe=name), None)
    RolloutStates(settings).save(RolloutState(model=f"twin-{name}", generation=1))
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(MlflowSpans(settings, name)))
    provider.get_tracer("test").start_span("answer").end()
    provider.shutdown()
    client = MlflowClient(tracking_uri=settings.mlflow_tracking_uri)
    run = client.create_run(client.create_experiment(uuid.uuid4().hex)).info.run_id
    with Registry(settings) as registry:
        registry.register(
            recipe.model_name, weights_uri=f"file:///{name}", weights_digest=name, run_id=run,
            tags={"dataset_version": "v1"},
        )  # fmt: skip


def left(settings: Settings, author: str, name: str) -> dict[str, int]:
    """What every store has of an author, by a look of this test's own."""
    files, client = open_files(settings), MlflowClient(settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(name)
    state = open_index(settings, load_recipe(name, settings.recipes)).state()
    with open_warehouse(settings) as warehouse:
        records = {one: len(list(warehouse.records(one, author))) for one in COLLECTIONS}
        ids = {document_id(author, f"folder://notes/{title}.md") for title in ("One", "Two")}
        texts = [one for one in warehouse.records("revisions") if one["document_id"] in ids]
        answers = list(warehouse.collection("answers").find({"_id": author}))
    found = {
        **records,
        "revisions": len(texts),
        "answers": len(answers),
        "documents indexed": len(state.documents) if state else 0,
        "backups": len(files.names(f"backups/{name}")),
        "sample sets": len(SampleSets(files, name).versions()),
        "pairs": len(files.names(f"pairs/{name}")),
        "verdicts": len(Verdicts(files, name).read()),
        "verdicts on pairs": len(Verdicts(files, name, on_pairs=True).read()),
        "feedback": len(FeedbackPairs(files, name).read()),
        "replies": len(files.names(f"datasets/{name}/replies")),
        "reports": len(files.names(f"reports/twin-{name}")),
        "judge's replies": len(files.names(f"{JUDGE_REPLIES}/twin-{name}")),
        "parts of samples": len(files.names(parts_of(name))),
        "raw pages": len(FileStore(settings.snapshots_root).names(author)),
        "questions of readers": len(files.names(f"monitoring/questions/{name}")),
        "monitoring": int(files.exists(f"monitoring/{name}.json")),
        "traces": len(client.search_traces([experiment.experiment_id])),
        "unfinished": int((settings.home / "crawls" / author).exists()),
    }
    return {what: count for what, count in found.items() if count}


def remove(*arguments: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["author", "remove", *arguments], input=f"{typed}\n")
    return done.exit_code, done.output


def test_it_says_what_goes_and_asks(live: Settings, twins: dict[str, str]) -> None:
    name = twins["ada"]
    before = left(live, "ada", name)
    code, output = remove(name, typed="yes")
    assert code == 65
    assert "that is not ada: nothing was removed" in output
    assert left(live, "ada", name) == before
    told = [line.strip() for line in output.splitlines()]
    assert told[0] == "Of author ada there is:"
    assert {
        "warehouse: 2 documents",
        "warehouse: 2 revisions",
        "warehouse: 1 answers",
        f"index of recipe {name}: 4 chunks",
        "raw pages of notes",
        f"sample set {name}/v1",
        f"stays: twin-{name} version 1, which was trained on this author's texts",
    } <= set(told)
    assert any(line.startswith(f"backup {name}/") for line in told)

    others = left(live, "bob", twins["bob"])
    code, output = remove("ada", typed="ada")
    assert code == 0, output
    assert left(live, "ada", name) == {}
    assert left(live, "bob", twins["bob"]) == others, "another author's"
    with Registry(live) as registry:
        assert len(registry.versions(f"twin-{name}")) == 1
    with open_warehouse(live) as warehouse:
        (entry,) = Audit(warehouse).entries(9)
    assert (entry.action, entry.subject, entry.detail["records"]["documents"]) == (
        "removed", "author ada", 2,
    )  # fmt: skip
    code, output = remove(name, "--yes")
    assert code == 99
    assert "nothing to do: the stores hold nothing of author ada" in output


@pytest.mark.nightly
def test_killed_after_any_store_it_is_finished_by_the_next(
    live: Settings, twins: dict[str, str]
) -> None:
    """Nightly buys real kills (SIGKILL) after each of four stores; removing again what is gone is
    shown above each time."""
    name, kills = twins["ada"], 0
    for store in ("indexes", "raw pages", "backups", "warehouse"):
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "twin.cli", "author", "remove", "ada", "--yes"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"{store}: removed"):
                break
        process.kill()
        process.communicate()
        kills += process.returncode < 0
        if not left(live, "ada", name):
            break
    assert kills, "one of them at least was killed in its middle"
    code, output = remove("ada", "--yes")
    assert code in {0, 99}, output
    assert left(live, "ada", name) == {}
    assert left(live, "bob", twins["bob"])


@pytest.mark.parametrize("name", ["../etc", "Ada Lovelace", ""])
def test_what_is_no_author_is_refused(live: Settings, name: str) -> None:
    code, output = remove(name, "--yes")
    assert code == 65
    assert "neither a recipe" in output
