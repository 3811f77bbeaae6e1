"""`twin training pairs`: by the model after SFT, once, counted, and after kill -9."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.forked_twin import TwinProcess, run_twin
from tests.openai_server import openai_server, refuses, says
from tests.twin import corpora
from tests.twin.datasets.sets import candidate, publish, sample
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.length_bias import length_auc
from twin.domain.sample import Maker, Split
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of_pair
from twin.models.language_model import load_language_model
from twin.recipes.engines import JudgeSection
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.pair_sets import PairSets
from twin.stores.sample_sets import SampleSets
from twin.stores.verdicts import Verdicts
from twin.training.candidates import KEPT, Candidate, write_candidates
from twin.training.dpo import run_dpo
from twin.training.pairs import run_pairs
from twin.training.plan import plan_training
from twin.training.sft import run_sft


def plan_of(world):
    return plan_training(world.recipe, world.settings, world.files)


def made(world):
    """Manifest, pairs and card of the recipe's pair set."""
    plan, sets = plan_of(world), PairSets(world.files, "ann")
    samples = plan.manifest.version
    card = world.files.read_text(f"{sets.folder(samples, plan.pairs)}/README.md")
    return sets.manifest(samples, plan.pairs), sets.pairs(samples, plan.pairs), card


def told(world, samples, texts, version="told"):
    """Samples, an adapter, and what its model has written, as a killed attempt leaves them."""
    publish(world.settings, version, samples)
    plan = plan_of(world)
    folder = world.settings.home / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter.txt").write_text("trained elsewhere")
    world.files.publish_folder(folder, plan.sft_adapter)
    kept = {
        name: tuple(Candidate(text=t, is_cut=False) for t in its) for name, its in texts.items()
    }
    world.files.write_bytes(plan.candidates, KEPT.dump_json(kept))


def fact(name, answer, *facts):
    return sample(name, answer=answer, maker=Maker.WRITTEN, kind="fact", facts=facts)


def test_pairs_are_written_by_the_model_after_sft(world):
    world.run(run_sft)
    result = world.run(run_pairs)
    manifest, pairs, card = made(world)
    samples = SampleSets(world.files, "ann").instruct(manifest.dataset_version, Split.TRAIN)
    answers = {each.id: each.answer for each in samples}
    assert pairs
    assert all(pair.chosen == answers[pair.sample_id] for pair in pairs)
    assert len({pair.sample_id for pair in pairs}) == len(pairs) == manifest.pairs
    assert {pair.split for pair in pairs} == {Split.TRAIN}
    assert all(0 <= pair.likeness < 1 for pair in pairs)
    auc = length_auc([(len(pair.chosen), len(pair.rejected)) for pair in pairs])
    assert 0.4 <= auc <= 0.6
    assert manifest.length_auc == result.detail["length_auc"] == auc
    assert manifest.likeness == pytest.approx(
        sum(pair.likeness for pair in pairs) / len(pairs), abs=1e-4
    )
    assert manifest.candidates == 36 == len(pairs) + sum(manifest.dropped.values())
    assert (result.counts.read, result.counts.written) == (12, len(pairs))
    assert result.detail["dropped"] == manifest.dropped
    assert f"{world.recipe.training.base_model} after SFT, at most 96 tokens" in card
    assert "## Examples" in card
    plan = plan_of(world)
    assert manifest.adapter == plan.sft_adapter
    assert not world.files.exists(plan.candidates)
    assert not list((world.settings.home / "work").iterdir())
    with pytest.raises(NothingToDo, match="made already"):
        world.run(run_pairs)
    # The base without the adapter writes other texts to the very same prompts.
    training = world.recipe.training
    base = load_language_model(Path(training.base_model), world.settings)
    asked = [each for each in samples if each.id in {pair.sample_id for pair in pairs}]
    *_, (texts, _) = write_candidates(asked, base, "Ann", training.dpo.pairs, training.seed, {})
    by_base = {each.text for its in texts.values() for each in its}
    assert not {pair.rejected for pair in pairs} & by_base


def test_pairs_of_before_become_the_newest_again(world):
    told(world, [fact("a", "In room 6.", "6")], {"a": ["In hall 7."]})
    world.run(run_pairs)
    before = plan_of(world)
    sets = PairSets(world.files, "ann")
    manifest = sets.manifest("told", before.pairs)
    sets.publish(manifest.model_copy(update={"version": "other"}), [], "card")
    assert sets.newest("told") == "other"
    with pytest.raises(NothingToDo):
        world.run(run_pairs)
    assert sets.newest("told") == before.pairs


def test_what_is_no_pair_is_counted_by_reason(world):
    samples = [
        fact("hard", "It stands in room 6 by the door.", "6"),
        fact("known", "It has 4 masts.", "4"),
        fact("mute", "Steam.", "steam"),
        fact("same", "The bell rings twice at noon.", "twice"),
        fact("shy", "It is red, old and very heavy.", "red"),
        sample("far", answer=corpora.passage("far", words=200)),
        sample("held", Split.TEST),
    ]
    texts = {
        "hard": ["It sails.", "It stands in hall 9 by the door.", "it sails"],
        "known": ["Masts: 4.", "There are 4."],
        "mute": ["", " "],
        "same": ["The bell rings twice", "The bell rings twice at noon. </passage"],
        "shy": ["I have not written about that."],
    }
    told(world, samples, texts)
    result = world.run(run_pairs)
    manifest, pairs, card = made(world)
    assert {(pair.sample_id, pair.rejected) for pair in pairs} == {
        ("hard", "It stands in hall 9 by the door."),
        ("shy", "I have not written about that."),
    }
    assert manifest.dropped == {
        "empty": 2,
        "the same as another one": 1,
        "the author's answer but for its ending": 2,
        "right": 2,
        "another one of the sample was taken": 1,
    }
    assert manifest.passed_over == {"answer longer than training.dpo.pairs.max_tokens": 1}
    assert (manifest.samples, manifest.candidates, manifest.pairs) == (5, 10, 2)
    assert "- right: 2" in card
    assert "| It stands in room 6 by the door. | It stands in hall 9 by the door. |" in card
    assert result.counts.skipped == 3
    assert result.failures == {
        "known": "nothing to reject: of the model's texts 2 right",
        "mute": "nothing to reject: of the model's texts 2 empty",
        "same": "nothing to reject: of the model's texts 2 the author's answer but for its ending",
    }
    assert "warning" not in result.detail


def test_what_a_judge_does_not_find_worse_is_rejected_in_no_pair(world):
    """Over a real endpoint, that dies in the middle: the retry asks for what is missing only."""

    def prefers(handler):
        answers = json.loads(handler.body["messages"][-1]["content"])["answers"]
        marks = {number: text.count("!") for number, text in answers.items()}
        better = "tie" if marks["1"] == marks["2"] else max(marks, key=marks.get)
        says([json.dumps({"reason": "r", "better": better})])(handler)

    samples = [fact(name, f"It sails at {n}!", str(n)) for n, name in enumerate("abc", start=1)]
    texts = {
        "a": ["It sails at 7.", "It sails at 8!!"],  # worse, better
        "b": ["It sails at 9!"],  # as good
        "c": ["It sails at 6."],  # worse
    }
    told(world, samples, texts)
    down = [prefers] * 3 + [refuses(503)] * 10
    with openai_server(*down, prefers) as endpoint:
        judge = JudgeSection(base_url=endpoint.url, model="a-judge", retries=0, concurrency=1)
        world.recipe = world.recipe.model_copy(update={"judge": judge})
        told(world, samples, texts)
        with pytest.raises(TryAgainError):
            world.run(run_pairs)
        assert PairSets(world.files, "ann").newest("told") is None
        endpoint.answers[:] = [prefers]
        world.run(run_pairs)
    manifest, pairs, card = made(world)
    assert {(pair.sample_id, pair.rejected) for pair in pairs} == {
        ("a", "It sails at 7."),
        ("c", "It sails at 6."),
    }
    assert manifest.dropped == {"not worse than the author's answer, by the judge": 2}
    assert manifest.judge == "a-judge"
    assert "The judge `a-judge` finds each rejected text worse" in card
    plan = plan_of(world)
    assert not world.files.exists(plan.replies)
    assert (
        plan.pairs
        != plan_training(
            world.recipe.model_copy(update={"judge": None}), world.settings, world.files
        ).pairs
    )


def test_people_s_verdicts_leave_out_edit_and_bring_in_and_nothing_is_written_again(world):
    """After a kill between the model's pairs and people's, the next run makes these alone."""
    samples = [
        fact("a", "It stands in room 6.", "6"),
        fact("b", "It has 4 masts.", "4"),
        fact("c", "It is 12 feet long.", "12"),
    ]
    texts = {"a": ["It stands in hall 9."], "b": ["It has 5 sails."], "c": ["It is 77 feet tall."]}
    told(world, samples, texts)
    world.run(run_pairs)
    before, pairs, _ = made(world)
    of = {pair.sample_id: pair for pair in pairs}
    wanted = candidate("f1", pair={"chosen": "A pod, always.", "rejected": "A ship, first."})
    FeedbackPairs(world.files, "ann").replace([wanted, candidate("f2")])
    said = {
        of["a"]: Opinion(person="1", decision=Decision.REJECT, reason="other"),
        of["b"]: Opinion(person="1", decision=Decision.EDIT, answer="It has four, 4."),
        wanted.pair: Opinion(person="1", decision=Decision.KEEP),
    }
    Verdicts(world.files, "ann", on_pairs=True).update(
        (),
        [
            Verdict(
                sample=pair.id,
                seen=digest_of_pair(pair),
                document_id="d-train",
                opinions=(opinion,),
            )
            for pair, opinion in said.items()
        ],
    )
    with pytest.raises(BadDataError, match="twin training pairs"):
        world.run(run_dpo)
    result = world.run(run_pairs)
    manifest, after, card = made(world)
    assert {(pair.chosen, pair.rejected) for pair in after} == {
        ("It has four, 4.", "It has 5 sails."),
        ("It is 12 feet long.", "It is 77 feet tall."),
        ("A pod, always.", "A ship, first."),
    }
    assert (manifest.made, manifest.feedback, manifest.pairs) == (before.version, 1, 3)
    assert manifest.version != before.version
    assert manifest.reviewed == {
        "left out: other": 1, "chosen text edited": 1, "kept as they are": 1,
    }  # fmt: skip
    assert (result.counts.read, result.counts.written) == (4, 3)
    assert result.detail["reviewed"] == manifest.reviewed
    assert "1 of these are callers' feedback" in card
    assert "- left out: other: 1" in card
    assert [pair.answer_id for pair in after if pair.answer_id] == ["a1"]
    with pytest.raises(NothingToDo):
        world.run(run_pairs)
    Verdicts(world.files, "ann", on_pairs=True).remove()
    with pytest.raises(NothingToDo):
        world.run(run_pairs)
    assert PairSets(world.files, "ann").newest("told") == before.version


def test_a_model_that_is_always_right_needs_no_preferences(world):
    told(world, [fact("a", "It has 4 masts.", "4")], {"a": ["Four, that is 4.", "Masts: 4."]})
    result = world.run(run_pairs)
    assert result.counts.written == 0
    assert result.detail["length_auc"] is None
    assert "no pair is left" in result.detail["warning"]
    passed = world.run(run_dpo)
    assert passed.detail["dpo"] == "there is no pair to learn from: the SFT adapter is passed on"
    plan = plan_of(world)
    digest = world.files.published_digest(plan.sft_adapter)
    assert world.files.published_digest(plan.dpo_adapter) == digest


def test_lengths_that_tell_leave_no_pair(world):
    told(world, [fact("a", "It has 4 masts, all told.", "4")], {"a": ["No."]})
    world.run(run_pairs)
    manifest, pairs, _ = made(world)
    assert pairs == []
    assert manifest.dropped == {"left out to balance lengths": 1}


def test_a_model_that_writes_nothing_is_refused(world):
    told(world, [fact("a", "Steam.", "steam"), fact("b", "Coal.", "coal")], {"a": [""], "b": ["."]})
    with pytest.raises(BadDataError, match=r"wrote nothing to any of 2 samples.*training\.sft"):
        world.run(run_pairs)
    plan = plan_of(world)
    assert PairSets(world.files, "ann").newest("told") is None
    assert world.files.exists(plan.candidates), "what was written is kept"


def test_samples_that_do_not_fit_are_refused_with_what_to_raise(world):
    told(world, [sample("far", answer=corpora.passage("far", words=200))], {})
    with pytest.raises(
        BadDataError,
        match=r"no training sample fits .*pairs\.max_tokens: 1.*raise training\.dpo\.pairs\.max_t",
    ):
        world.run(run_pairs)
    told(world, [sample("held", Split.TEST)], {}, "held")
    with pytest.raises(BadDataError, match=r"fits preference pairs \(there are none\)"):
        world.run(run_pairs)


@pytest.mark.slow
def test_kill_9_while_writing_loses_a_group_at_most(world):
    """Three processes. Buys: what was written before is not written again."""
    dpo = {"pairs": {"max_pairs": 96, "max_tokens": 96, "max_held_out": 0}}
    base = Path(world.recipe.training.base_model)
    world.recipe = corpora.write_recipe(world.settings.recipes, base, training={"dpo": dpo})
    world.run(run_sft)
    plan = plan_of(world)
    environment = {**os.environ, **corpora.environment(world.settings)}
    result = world.settings.home / "result.json"
    command = ["training", "pairs", "--recipe", "ann", "--result", str(result)]
    kept = Path(world.settings.files_root) / plan.candidates
    with TwinProcess(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not kept.exists() and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    written = json.loads(kept.read_text())
    samples = SampleSets(world.files, "ann").instruct(plan.manifest.version, Split.TRAIN)
    assert 0 < len(written) < len(samples)
    assert PairSets(world.files, "ann").newest(plan.manifest.version) is None
    # Nothing tells a text that was kept from the same text written again, so one is changed.
    name = next(iter(written))
    answer = next(each.answer for each in samples if each.id == name)
    mark = " ".join(["Marked", *answer.split()[1:]])
    written[name] = [{"text": mark, "is_cut": False}]
    kept.write_text(json.dumps(written))

    done = run_twin(*command, env=environment)
    assert done.returncode == 0, done.stderr
    manifest, pairs, _ = made(world)
    assert mark in {pair.rejected for pair in pairs}
    assert manifest.samples > len(written)
    assert not kept.exists()
    again = run_twin(*command, env=environment)
    assert again.returncode == 99
    assert json.loads(result.read_text())["status"] == "skipped"
