"""`twin evaluation answer`: shares of the answers, by processes of their own."""

import pytest
from typer.testing import CliRunner

from twin.domain.canary import TAG
from twin.domain.errors import NothingToDo
from twin.evaluation.answer import answer_share
from twin.evaluation.commands import app
from twin.evaluation.evaluate import evaluate
from twin.recipes.training import CanarySection
from twin.stores.files import open_files


def test_shares_together_are_an_evaluation(unmeasured):
    """With all shares kept, the evaluation needs no weights of the candidate any more."""
    world = unmeasured
    world.package("trained", **{TAG: CanarySection(count=1, repeats=2).model_dump_json()})
    first = world.job()
    answer_share(first, (1, 2))
    assert first.counts.read == 4
    # Four questions and one passage of two, by candidate and base.
    assert first.counts.written == 10
    with pytest.raises(NothingToDo, match="every answer of share 1 of 2 is kept already"):
        answer_share(world.job(), (1, 2))
    second = world.job()
    answer_share(second, (2, 2))
    assert (second.counts.read, second.counts.written) == (4, 10)
    with pytest.raises(NothingToDo, match="every answer of share 1 of 1 is kept"):
        answer_share(world.job(), (1, 1))
    with pytest.raises(NothingToDo, match="fewer questions than 9 processes: 9 has none"):
        answer_share(world.job(), (9, 9))
    files = open_files(world.settings)
    kept = set(files.names("evaluation/answers"))
    evaluate(world.job(require_approval=True))
    (canary,) = set(files.names("evaluation/answers")) - kept
    assert files.read_json(f"evaluation/answers/{canary}")["about"] == ["canary"]
    report = world.report("1")
    assert report.samples == 8
    found = report.memorised.canaries
    assert (found.planted, found.repeats, found.given_away.value) == (1, 2, 0)
    assert 0 <= found.base_exposure.value <= found.most_bits == 6
    assert "no canaries" in [check.name for check in report.checks]
    with pytest.raises(NothingToDo, match="measured"):
        answer_share(world.job(require_approval=True), (1, 2))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "1/10000"])
def test_what_is_no_share_is_refused(shard):
    done = CliRunner().invoke(app, ["answer", "--recipe", "handbook", "--shard", shard])
    assert done.exit_code == 2
    assert "is no share" in done.output
