"""What a look compares with; tests/twin/monitoring/test_run.py has whole looks."""

from tests.twin import twins
from tests.twin.datasets import sets
from tests.twin.monitoring.seen import DAY, HOUR, NOW
from twin.domain.monitoring import MonitoringState, Standing
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of_pair
from twin.job import Job
from twin.monitoring.accepted import ACCEPTED, accepted, waiting_pairs
from twin.monitoring.currency import LiveDocument
from twin.monitoring.look import Look
from twin.recipes.monitoring import MonitoringSection
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSetManifest, PairSets
from twin.stores.registry import ModelVersion
from twin.stores.sample_sets import SampleSets
from twin.stores.verdicts import Verdicts


def look_at(settings, folder, **rules):
    recipe = twins.write_recipe(folder / "recipes")
    section = MonitoringSection.model_validate({"rules": rules})
    recipe = recipe.model_copy(update={"monitoring": section})
    job = Job(recipe, settings, "r", JobResult(job="look", recipe="tiny", run_id="r"))
    return Look(job, MonitoringState(recipe="tiny"), NOW)


def version(dataset="", created=NOW):
    tags = {"dataset_version": dataset} if dataset else {}
    return ModelVersion("twin-tiny", "1", "u", "d", "r", tags, created)


def test_what_a_version_learnt_is_of_its_own_samples_and_not_of_the_newest(settings, tmp_path):
    dealt = {"v1": NOW - DAY, "v2": NOW, "v0": None}  # of v0 it was not noted yet
    for name, split in (("v0", Split.TRAIN), ("v1", Split.TRAIN), ("v2", Split.TEST)):
        samples = [sets.sample("a", split)]
        sets.publish(settings, name, samples, recipe="tiny", dealt=dealt[name]).make_latest(name)
    look = look_at(settings, tmp_path)

    def learnt(dataset=""):
        documents, since = look._learnt(version(dataset, NOW + HOUR))
        return list(documents), since

    assert learnt("v1") == (["d-train"], NOW - DAY)
    assert learnt("v0") == (["d-train"], NOW + HOUR)
    assert learnt("gone") == learnt() == ([], NOW + HOUR)


def test_documents_that_change_while_a_model_is_trained_count(settings, tmp_path):
    """They are in none of its samples, though it was registered after them."""
    dealt = {"dealt": NOW - DAY}
    sets.publish(settings, "v1", [sets.sample("a", Split.TRAIN)], recipe="tiny", **dealt)
    look = look_at(settings, tmp_path)
    look._versions = lambda: [version("v1", NOW)]
    live = {"d-train": LiveDocument("2", NOW - HOUR), "old": LiveDocument("1", NOW - 2 * DAY)}
    assert look._data_changed(live).value == 0.5


def test_accepted_pairs_wait_until_they_are_among_those_trained_on(settings, tmp_path):
    sets.publish(settings, "v1", [sets.sample("a", Split.TRAIN)], recipe="tiny").make_latest("v1")
    files = open_files(settings)
    candidates = [sets.candidate(name) for name in ("c1", "c2", "c3")]
    other = candidates[2].model_copy(update={"documents": ("d-test",)})
    FeedbackPairs(files, "tiny").replace([*candidates[:2], other])
    look = look_at(settings, tmp_path, online={})
    look._versions = lambda: [version("v1")]

    def measured():
        return look._accepted(SampleSets(files, "tiny").latest())

    assert measured().value == 0  # nobody has accepted one
    ids = [each.pair.id for each in candidates]
    said = [
        (candidates[0], Decision.KEEP),
        (candidates[1], Decision.REJECT),
        (other, Decision.EDIT),
    ]
    Verdicts(files, "tiny", on_pairs=True).update(
        [],
        [
            Verdict(
                sample=each.pair.id, seen=digest_of_pair(each.pair), document_id="d-train",
                opinions=[Opinion(person="p", decision=decision, answer="Edited.", reason="x")],
            )
            for each, decision in said
        ],
    )  # fmt: skip
    found = measured()
    assert (found.value, found.standing) == (1.0, Standing.GOOD)
    assert waiting_pairs(files, "tiny", SampleSets(files, "tiny").latest()) == {ids[0]}
    assert found.cause != accepted(set()).cause == accepted([]).cause
    assert accepted(["a", "b"]).cause == accepted(["b", "a"]).cause != accepted(["ab"]).cause
    manifest = PairSetManifest(
        version="p", recipe="tiny", author_name="A", dataset_version="v1", adapter="a",
        base_model="b", rejected_by="r", samples=1, candidates=1, pairs=1, length_auc=None,
        likeness=None,
    )  # fmt: skip
    PairSets(files, "tiny").publish(manifest, [candidates[0].pair], "card")
    assert measured().value == 0


def test_accepted_pairs_are_for_a_model_of_the_newest_samples(settings, tmp_path):
    sets.publish(settings, "v1", [sets.sample("a", Split.TRAIN)], recipe="tiny").make_latest("v1")
    manifest = SampleSets(open_files(settings), "tiny").latest()
    look = look_at(settings, tmp_path, online={})
    for versions, samples in (([version("v0")], manifest), ([], manifest), ([version("v1")], None)):
        look._versions = lambda found=versions: found
        assert look._accepted(samples).standing is Standing.UNKNOWN
    names = {each.name for each in look._documents(None)}
    assert ACCEPTED in names
    assert ACCEPTED not in {each.name for each in look_at(settings, tmp_path)._documents(None)}
