"""What people's verdicts show so far: which groups count, in which order, and what is advised."""

import json

import pytest
from typer.testing import CliRunner

from twin.cli import app
from twin.domain.errors import BadDataError
from twin.domain.sequential import running
from twin.evaluation.people_pairs import task_of
from twin.evaluation.preference import standings
from twin.evaluation.show_preference import show_preference
from twin.rag.judge import Comparison

PAIRS = 2


def task(group: int, number: int, opponent: str = "champion", pairs: int = PAIRS):
    compared = Comparison(f"What of {group}, {number}?", (), f"Mine {number}.", "Theirs.")
    return task_of(compared, f"document {group}", opponent, pairs)


def judged(made, better: str | None, when: str = ""):
    """The task with the verdict ``mine``, ``theirs``, ``tie``; None: looked at and skipped."""
    mine = made["data"]["candidate"]
    places = {"mine": mine, "theirs": {"one": "two", "two": "one"}[mine], "tie": "tie"}
    if not when:
        return made | {"better": places[better]}
    result = [{"from_name": "better", "value": {"choices": [places[better]]}}] if better else []
    annotation = {"updated_at": when, "was_cancelled": better is None, "result": result}
    return made | {"annotations": [annotation]}


def read(tmp_path, tasks):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(tasks))
    return standings(path)


def test_a_clear_preference_is_told_to_stop_and_an_unclear_one_to_go_on(tmp_path, capsys):
    won = [judged(task(group, n), "mine") for group in range(12) for n in range(PAIRS)]
    lost = [judged(task(group, n, "base"), "theirs") for group in range(12) for n in range(PAIRS)]
    even = [
        judged(task(g, n, "other"), "mine" if g % 2 else "theirs")
        for g in range(12)
        for n in range(PAIRS)
    ]
    begun = task(99, 0, "other")
    champion, base, other = read(tmp_path, [*won, *lost, *even, begun])
    assert champion.advice == "stop: the candidate's answers are better than the champion's"
    assert (champion.wins, champion.losses, champion.rate.groups) == (24, 0, 12)
    assert base.advice == "stop: the candidate's answers are worse than the base's"
    assert other.advice.startswith("go on")
    assert (other.waiting, other.rate.value) == (1, 0.5)

    show_preference(tmp_path / "pairs.json")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "candidate against champion: 24 won, 0 tied, 0 lost; preferred in 100.0%"
    )
    assert first.endswith("Stop: the candidate's answers are better than the champion's")
    assert "Stop" in second
    assert "Go on" in third
    show_preference(tmp_path / "pairs.json", as_json=True)
    as_json = json.loads(capsys.readouterr().out)
    assert as_json[0]["rate"]["low"] == champion.rate.low
    assert [each["advice"] for each in as_json] == [champion.advice, base.advice, other.advice]


def test_all_judged_and_nothing_shown(tmp_path):
    (found,) = read(tmp_path, [judged(task(1, n), "mine") for n in range(PAIRS)])
    assert (
        found.advice == "neither is shown to be better: judge what is left, or ask about more pairs"
    )


def test_a_group_counts_once_it_is_whole_also_where_the_rest_is_not_exported(tmp_path):
    whole = [judged(task(1, 0), "mine"), judged(task(1, 1), "tie")]
    half = [judged(task(2, 0), "theirs"), task(2, 1)]
    half_exported = [judged(task(3, 0), "theirs")]
    untouched = [task(4, 0), task(4, 1)]
    (found,) = read(tmp_path, [*whole, *half, *half_exported, *untouched])
    assert (found.rate.groups, found.rate.value, found.waiting) == (1, 0.75, 3)
    assert (found.wins, found.ties, found.losses) == (1, 1, 2)


def test_who_skips_a_pair_has_looked_at_it(tmp_path):
    skipped = [
        judged(task(1, 0), "mine", "2026-11-30T10:00:00Z"),
        judged(task(1, 1), None, "2026-11-30T11:00:00Z"),
    ]
    all_skipped = [judged(task(2, n), None, "2026-11-30T12:00:00Z") for n in range(PAIRS)]
    (found,) = read(tmp_path, [*skipped, *all_skipped])
    assert (found.rate.groups, found.rate.value, found.waiting) == (1, 1.0, 0)


def test_groups_come_in_the_order_in_which_they_were_completed(tmp_path):
    """The interval never takes back what it has excluded, so the order matters."""
    said = ["mine"] * 9 + ["theirs"] * 9
    tasks = [
        judged(task(group, n), better, f"2026-11-{30 - group:02}T10:00:0{n}Z")
        for group, better in enumerate(said)
        for n in range(PAIRS)
    ]
    (found,) = read(tmp_path, tasks)
    in_time = [0.0] * 9 + [1.0] * 9
    assert found.rate == running(in_time)
    assert found.rate != running(in_time[::-1])


def test_pairs_of_other_files_are_groups_of_their_own(tmp_path):
    by_hand = [{"data": {"question": "Q?", "one": "A", "two": "B"}, "better": "one"}] * 3
    (found,) = read(tmp_path, by_hand)
    assert (found.opponent, found.rate.groups) == ("", 3)
    assert found.text.startswith("candidate against the other: 3 won")


def test_the_command(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([judged(task(1, n), "mine") for n in range(PAIRS)]))
    done = CliRunner().invoke(app, ["evaluation", "preference", str(path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("candidate against champion: 2 won, 0 tied, 0 lost")
    done = CliRunner().invoke(app, ["evaluation", "preference", str(path), "--json"])
    assert json.loads(done.stdout)[0]["wins"] == 2
    gone = CliRunner().invoke(app, ["evaluation", "preference", f"{path}.gone"])
    assert gone.exit_code == 65
    assert "pairs.json.gone: No such file" in gone.output


def test_bad_files(tmp_path):
    with pytest.raises(BadDataError, match=r"pairs.json: nobody has judged a pair yet"):
        read(tmp_path, [task(1, 0)])
    with pytest.raises(BadDataError, match=r"pairs.json: nobody has judged a pair yet"):
        read(tmp_path, [])
    with pytest.raises(BadDataError, match=r"FILE: .*none.json: No such file"):
        standings(tmp_path / "none.json")
    with pytest.raises(BadDataError, match=r"FILE: .*: 0.data: Field required"):
        read(tmp_path, [{}])
