"""The registry against a real MLflow server."""

import http.server
import inspect
import re
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from pydantic import SecretStr

from tests import servers
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.monitoring.canaries import CANARIES
from twin.stores import registry as registry_module
from twin.stores.champion_prompt import PROMPT_DIGEST, PROMPT_VERSION
from twin.stores.registry import (
    CANDIDATE,
    CHAMPION,
    PREVIOUS,
    REFERENCE,
    TRIAL,
    WEIGHTS_DELETED,
    Registry,
)
from twin.stores.tracking import tracking_run
from twin.training import package


@pytest.fixture
def live(settings, mlflow_url):
    return settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})


@pytest.fixture
def registry(live):
    with Registry(live) as registry:
        yield registry


@pytest.fixture
def name():
    return f"twin-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def run_id(mlflow_url):
    client = MlflowClient(tracking_uri=mlflow_url)
    return client.create_run(client.create_experiment(uuid.uuid4().hex)).info.run_id


@pytest.fixture
def register(registry, name, run_id):
    def register(digest, store="s3://bucket", **tags):
        return registry.register(
            name,
            weights_uri=f"{store}/models/{digest}",
            weights_digest=digest,
            run_id=run_id,
            tags=tags,
        )

    return register


def test_a_model_that_is_not_there_is_none(registry, name):
    assert registry.by_alias(name, CHAMPION) is None
    assert registry.version(name, "1") is None
    assert name not in registry.models()


def test_a_registered_version_carries_its_lineage(registry, register, name, run_id):
    made = register("aa", dataset_version="d1", base_model="gemma3-270m")
    assert (made.name, made.version, made.run_id) == (name, "1", run_id)
    assert (made.weights_uri, made.weights_digest) == ("s3://bucket/models/aa", "aa")
    assert made.tags["dataset_version"] == "d1"
    assert registry.by_alias(name, CANDIDATE) == registry.version(name, "1") == made
    assert name in registry.models()


def test_an_unset_alias_of_a_known_model_is_none(registry, register, name):
    register("aa")
    assert registry.by_alias(name, CHAMPION) is None
    assert registry.version(name, "99") is None


def test_same_weights_are_the_same_version(registry, register, name):
    first, second = register("aa"), register("bb")
    again = register("aa")
    assert again == first
    assert second.version == "2"
    assert registry.by_alias(name, CANDIDATE) == first
    assert registry.version(name, "3") is None


def test_the_same_weights_in_another_file_store_are_found_there(registry, register, name):
    first = register("aa", base_uri="s3://bucket/bases/b", recipe="one")
    moved = register("aa", store="s3://new", base_uri="s3://new/bases/b", recipe="other")
    assert moved == registry.version(name, "1")
    assert (moved.version, moved.weights_uri) == ("1", "s3://new/models/aa")
    assert moved.tags["base_uri"] == "s3://new/bases/b"
    assert moved.tags["recipe"] == first.tags["recipe"]


def test_the_source_is_a_manifest_and_not_the_weights(register, mlflow_url, name):
    register("aa", base_digest="0f")
    client = MlflowClient(tracking_uri=mlflow_url)
    version = client.get_model_version(name, "1")
    folder = client.download_artifacts(version.run_id, "model")
    text = (Path(folder) / "manifest.json").read_text()
    assert '"weights_uri": "s3://bucket/models/aa"' in text
    assert '"base_digest": "0f"' in text
    assert version.source.endswith("/model")


def test_promotion_keeps_the_old_champion_as_previous(registry, register, name):
    for digest in ("aa", "bb", "cc"):
        register(digest)
    registry.promote(name, "1")
    assert registry.by_alias(name, CHAMPION).version == "1"
    assert registry.by_alias(name, PREVIOUS) is None
    registry.promote(name, "2")
    registry.promote(name, "2")
    assert registry.by_alias(name, CHAMPION).version == "2"
    assert registry.by_alias(name, PREVIOUS).version == "1"


def test_promotion_cut_off_half_way_is_completed_by_the_next(registry, register, name):
    register("aa")
    register("bb")
    registry.promote(name, "1")
    registry._set_alias(name, PREVIOUS, "1")  # what a kill between the two moves leaves
    registry.promote(name, "2")
    assert registry.by_alias(name, CHAMPION).version == "2"
    assert registry.by_alias(name, PREVIOUS).version == "1"


def test_rolling_back_is_promoting_the_previous(registry, register, name):
    register("aa")
    register("bb")
    registry.promote(name, "1")
    registry.promote(name, "2")
    registry.promote(name, registry.by_alias(name, PREVIOUS).version)
    assert registry.by_alias(name, CHAMPION).version == "1"
    assert registry.by_alias(name, PREVIOUS).version == "2"


def test_the_first_champion_is_the_reference_until_it_is_moved(registry, register, name):
    for digest in ("aa", "bb", "cc"):
        register(digest)
    for version in ("1", "2"):
        registry.promote(name, version)
        assert registry.by_alias(name, REFERENCE).version == "1"
    registry.refer_to(name, "2")
    registry.promote(name, "3")
    assert registry.by_alias(name, REFERENCE).version == "2"
    with pytest.raises(BadDataError):
        registry.refer_to(name, "7")


def test_a_version_that_is_not_there_cannot_be_promoted(registry, register, name):
    register("aa")
    with pytest.raises(BadDataError, match=f"{name} has no version 7"):
        registry.promote(name, "7")
    with pytest.raises(BadDataError):
        registry.tag(name, "7", "gate", "passed")


def test_tags_are_set_and_overwritten(registry, register, name):
    register("aa")
    registry.tag(name, "1", "gate", "refused")
    registry.tag(name, "1", "gate", "passed")
    assert registry.version(name, "1").tags["gate"] == "passed"


def test_a_version_is_described_for_people(registry, register, name, mlflow_url):
    version = register("aa", base_model="tiny", stage="package")
    registry.describe(version)
    page = MlflowClient(mlflow_url).get_model_version(name, "1").description
    assert page.splitlines() == ["- Weights: `s3://bucket/models/aa`", "- Base model: `tiny`"]
    registry.describe(version, "**Refused**")
    page = MlflowClient(mlflow_url).get_model_version(name, "1").description
    assert page.endswith("- Base model: `tiny`\n\n**Refused**")


def test_an_unknown_run_is_refused_and_nothing_is_registered(registry, name):
    with pytest.raises(BadDataError, match=r"(?i)run"):
        registry.register(
            name, weights_uri="/w", weights_digest="aa", run_id=uuid.uuid4().hex, tags={}
        )
    assert registry.by_alias(name, CANDIDATE) is None


def test_a_version_made_by_hand_is_refused_in_plain_words(registry, name, mlflow_url, run_id):
    client = MlflowClient(tracking_uri=mlflow_url, registry_uri=mlflow_url)
    client.create_registered_model(name)
    client.log_text(run_id, "x", "hand/made.txt")
    client.create_model_version(name, f"runs:/{run_id}/hand", run_id=run_id)
    client.set_registered_model_alias(name, CHAMPION, "1")
    with pytest.raises(BadDataError, match="not registered by `twin training package`"):
        registry.by_alias(name, CHAMPION)


def test_models_lists_only_this_systems_and_all_of_them(live, run_id, monkeypatch):
    monkeypatch.setattr("twin.stores.registry._PAGE", 2)
    client = MlflowClient(live.mlflow_tracking_uri, live.mlflow_tracking_uri)
    mark = uuid.uuid4().hex[:8]
    names = [f"twin-{mark}-{number}" for number in range(5)]
    for each in [*names, f"other-{mark}"]:
        client.create_registered_model(each)
    with Registry(live) as registry:
        assert [each for each in registry.models() if mark in each] == names


def test_two_jobs_that_register_a_first_version_at_once(live, name, run_id):
    def work(digest):
        with Registry(live) as registry:
            registry.register(name, weights_uri="/w", weights_digest=digest, run_id=run_id, tags={})

    threads = [threading.Thread(target=work, args=(digest,)) for digest in ("aa", "bb")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Registry(live) as registry:
        made = {registry.version(name, number).weights_digest for number in ("1", "2")}
    assert made == {"aa", "bb"}


def test_a_server_that_is_down_is_said_at_once(settings):
    started = time.monotonic()
    with pytest.raises(
        TryAgainError, match=r"MLflow at http://127.0.0.1:1 does not answer.*make up"
    ):
        Registry(settings).models()
    assert time.monotonic() - started < 30


@contextmanager
def _answering(status, body):
    """A real HTTP server that answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (503, b"busy", TryAgainError, "HTTP 503"),
        (401, b"who?", BadConfigurationError, "refuses access"),
        (200, b"<html>hello</html>", BadConfigurationError, "is not MLflow"),
        (404, b"<html>no</html>", BadConfigurationError, "is not MLflow"),
        # Two set an alias at the same moment; the words are MLflow's own.
        (
            400,
            b'{"error_code": "BAD_REQUEST", "message": "(raised as a result of Query-invoked '
            b'autoflush) (sqlite3.IntegrityError) UNIQUE constraint failed"}',
            TryAgainError,
            "another process",
        ),
    ],
)
def test_other_answers_get_the_right_exit_code(settings, status, body, error, words):
    with _answering(status, body) as url:
        update = {
            "mlflow_tracking_uri": url,
            "mlflow_username": "twin",
            "mlflow_password": SecretStr("s3cret"),
        }
        with pytest.raises(error, match=words) as raised:
            Registry(settings.model_copy(update=update)).by_alias("twin-x", CHAMPION)
    assert "s3cret" not in str(raised.value)


def test_all_versions_are_listed_in_order(registry, register, name):
    assert registry.versions(name) == []
    for number in range(1, 12):
        register(f"digest-{number}", dataset_version=f"d{number}")
    versions = registry.versions(name)
    assert [item.version for item in versions] == [str(number) for number in range(1, 12)]
    assert versions[2].tags["dataset_version"] == "d3"


def test_a_version_knows_when_it_was_made_and_a_model_all_its_aliases(registry, register, name):
    before = datetime.now(UTC) - timedelta(seconds=5)
    register("aa")
    made = register("bb")
    assert before < made.created < datetime.now(UTC) + timedelta(seconds=5)
    assert registry.aliases(name) == {CANDIDATE: "2"}
    registry.promote(name, "1")
    assert registry.aliases(name) == {CANDIDATE: "2", CHAMPION: "1", REFERENCE: "1"}
    assert registry.aliases(f"{name}-not-there") == {}


def test_reading_aliases_does_not_import_mlflow(registry, register, name, live):
    """That import costs seconds, which `nothing to do` has not got."""
    register("aa")
    code = (
        "import sys; from twin.settings import Settings; from twin.stores.registry import Registry;"
        f"registry = Registry(Settings(mlflow_tracking_uri={live.mlflow_tracking_uri!r}));"
        f"assert registry.by_alias({name!r}, 'candidate').version == '1';"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_what_was_registered_survives_a_restart_of_the_server(settings, tmp_path):
    """~15 s for two server starts: shows that a crash of MLflow loses no version or alias."""
    folder, port = tmp_path / "mlflow", servers.free_port()
    live = settings.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{port}"})
    with servers.mlflow_server(folder, port), Registry(live) as registry:
        with tracking_run(live, experiment="x", name="package") as run:
            pass
        made = registry.register(
            "twin-x", weights_uri="/w", weights_digest="aa", run_id=run.id, tags={}
        )
        registry.promote("twin-x", made.version)
    with servers.mlflow_server(folder, port), Registry(live) as registry:
        assert registry.by_alias("twin-x", CHAMPION) == made


def test_a_version_whose_weights_are_deleted_is_promoted_once_they_are_back(
    registry, register, name
):
    register("aa")
    registry.note_deleted(name, "1", datetime(2026, 5, 1, tzinfo=UTC))
    assert registry.version(name, "1").tags[WEIGHTS_DELETED] == "2026-05-01T00:00:00+00:00"
    with pytest.raises(BadDataError, match="were deleted on 2026-05-01"):
        registry.promote(name, "1")
    assert registry.by_alias(name, CHAMPION) is None
    register("aa")
    assert WEIGHTS_DELETED not in registry.version(name, "1").tags
    registry.promote(name, "1")
    assert registry.by_alias(name, CHAMPION).version == "1"


class TestSeparateCandidates:
    @pytest.fixture
    def trainer(self, live):
        separate = live.model_copy(update={"separate_candidates": True})
        with Registry(separate) as registry:
            yield registry

    @pytest.fixture
    def offer(self, trainer, name, run_id):
        def offer(digest, **tags):
            return trainer.register(
                name,
                weights_uri=f"s3://bucket/models/{digest}",
                weights_digest=digest,
                run_id=run_id,
                tags=tags,
            )

        return offer

    def test_training_registers_in_a_model_of_its_own(self, trainer, offer, name):
        offered = offer("d1", recipe="a")
        assert (offered.name, offered.version) == (f"{name}-candidates", "1")
        assert trainer.aliases(name) == {} and trainer.versions(name) == []

    def test_the_gate_takes_each_once(self, trainer, offer, name, run_id):
        offer("d1", recipe="a", dataset_version="s1", adapter="models/x")
        taken = trainer.take_candidate(name)
        assert (taken.name, taken.version, taken.weights_digest) == (name, "1", "d1")
        assert (taken.weights_uri, taken.run_id) == ("s3://bucket/models/d1", run_id)
        assert taken.tags.items() >= {
            "recipe": "a", "dataset_version": "s1", "adapter": "models/x",
        }.items()  # fmt: skip
        assert trainer.take_candidate(name) == taken
        offer("d2")
        assert trainer.take_candidate(name).version == "2"
        assert trainer.by_alias(name, CANDIDATE).weights_digest == "d2"
        offer("d1")
        assert trainer.take_candidate(name).version == "1", "the same weights are the same version"
        assert len(trainer.versions(name)) == 2

    def test_no_verdict_comes_along(self, trainer, offer, name):
        offered = offer("d1", recipe="a", gate="promote", evaluation="measured", rejected="no")
        trainer.tag(offered.name, offered.version, "report", "s3://forged")
        assert set(trainer.take_candidate(name).tags) == {
            "recipe", "weights_uri", "weights_digest",
        }  # fmt: skip

    def test_every_tag_of_a_package_comes_along(self):
        source = inspect.getsource(package)
        literal = set(re.findall(r'"(\w+)": ', source[source.index("def _weights_tags") :]))
        lineage = {*literal, PROMPT_VERSION, PROMPT_DIGEST, CANARIES, TRIAL} - {"model_version"}
        assert len(lineage) > 12
        assert lineage <= registry_module._TAKEN_ALONG

    def test_a_champion_of_candidates_is_no_model_to_serve(self, trainer, offer, name):
        offered = offer("d1")
        trainer.promote(offered.name, offered.version)
        assert offered.name not in trainer.models()
        assert trainer.by_alias(name, CHAMPION) is None

    def test_without_a_candidate_there_is_none_to_take(self, trainer, registry, name):
        assert trainer.take_candidate(name) is None
        assert registry.take_candidate(name) is None
        assert trainer.versions(name) == []

    def test_with_one_model_the_candidate_is_taken_where_it_is(self, registry, register, name):
        version = register("d1")
        assert version.name == registry.offered(name) == name
        assert registry.take_candidate(name) == version
