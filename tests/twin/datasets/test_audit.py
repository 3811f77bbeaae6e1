"""The audit: each fault is found, in files of any common form, and a passed limit ends it."""

import json
from types import SimpleNamespace

import pytest

from tests.forked_twin import run_twin
from twin.datasets.audit import audit, render_audit
from twin.datasets.audit_rows import Row, read_rows
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.recipes import AuditSection

LONG = "one two three four five six seven eight nine ten eleven twelve"
LIMITS = AuditSection()


def row(answer="Some answer.", number=0, *, split=Split.TRAIN, instruction=None, **more):
    instruction = instruction or f"Question number {number}?"
    return Row(
        place=f"train.jsonl:{number}",
        split=split,
        instruction=instruction,
        prompt=more.pop("prompt", instruction),
        answer=answer,
        **more,
    )


def found(rows, name, limits=LIMITS):
    [finding] = [each for each in audit(rows, limits).findings if name in each.name]
    return finding


def test_a_sound_set_passes():
    rows = [row(f"Answer {n}.", n) for n in range(20)]
    report = audit(rows, LIMITS)
    assert report.failed == []
    assert report.rows == {"train": 20}
    assert (report.pairs, report.length_auc) == (0, None)
    assert "passed over" not in render_audit(report)


def test_answers_that_stand_in_their_prompt_are_copies():
    rows = [row("An  answer.", n, prompt="Before an answer. No: An answer. Q?") for n in range(2)]
    rows += [row("Another.", 2, prompt="An answer. Q?"), row("", 3)]
    copies = found(rows, "verbatim in their prompt")
    assert copies.value == 0.5
    assert copies.passed
    assert copies.examples == ("train.jsonl:0", "train.jsonl:1")
    assert not found(rows, "verbatim", AuditSection(copies=0.49)).passed


def test_what_occurs_twice_is_counted_from_the_second_on():
    rows = [row("The  same.", 1), row("the same.", 1), row("Not the same.", 1), row("The same.", 2)]
    twice = found(rows, "occur twice")
    assert twice.value == 0.25
    assert not twice.passed


@pytest.mark.parametrize(
    ("text", "unfilled"),
    [
        ("Write about {extract}.", True),
        ("Write about {{ topic }}.", True),
        ("Dear [insert name here],", True),
        ("Use <your key>.", True),
        ("Type `{extract}` as it stands.", False),
        ("```py\nf'{extract}'\n```", False),
        ("The set {a, b} and {1}.", False),
        ("A [link](x) and <b>bold</b>.", False),
    ],
)
def test_placeholders_are_found_outside_of_code(text, unfilled):
    assert found([row(text)], "placeholders").value == unfilled
    assert found([row(instruction=text)], "placeholders").value == unfilled


def test_what_is_held_out_too_is_a_leak():
    held = [
        row(
            f"{LONG}!",
            0,
            split=Split.TEST,
            instruction="What are the first twelve of all the numbers?",
        ),
        row("Short.", 1, split=Split.VALIDATION, source="doc-1"),
    ]
    same = row(LONG.upper(), 2)
    near = row(f"{LONG} but not thirteen", 3)
    far = row(f"{LONG} " + " ".join(f"word{n}" for n in range(30)), 4)
    asked = row("Other.", 5, instruction="what are the first twelve of all the numbers")
    source = row("Whatever.", 6, source="doc-1")
    by_accident = row("Short.", 7)
    rows = [*held, same, near, far, asked, source, by_accident]
    assert found(rows, "training answers that are held out").examples == ("train.jsonl:2",)
    assert found(rows, "nearly held out").examples == ("train.jsonl:3",)
    assert found(rows, "training instructions").examples == ("train.jsonl:5",)
    assert found(rows, "held-out sources").examples == ("train.jsonl:6",)
    assert len(audit(rows, LIMITS).failed) == 4
    assert audit(rows, AuditSection(faults=1)).failed == []


def test_pairs_of_equal_texts_and_their_lengths():
    rows = [row("a b", n, rejected="a  b" if n < 2 else "long " * n) for n in range(10)]
    assert found(rows, "equal").value == 2
    bias = found(rows, "length alone", AuditSection(length_bias=0.1))
    assert bias.value > 0.3
    assert not bias.passed
    assert found(rows, "length alone").passed
    assert audit(rows, LIMITS).pairs == 10


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("And then <|im_end|> it went on", 1),
        ("<start_of_turn>user", 1),
        ("[INST] Say it", 1),
        ("In a template, `<|im_end|>` ends a turn", 0),
        ("a <| b |> c", 0),
    ],
)
def test_special_tokens_of_any_family_are_faults_outside_of_code(text, count):
    for rows in ([row(text)], [row("x", rejected=text)], [row("x", prompt=text)]):
        assert found(rows, "special tokens").value == count


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("As an AI language model, I have no opinion.", 1),
        ("I\u2019m sorry, but I can\u2019t help with that.", 1),
        ("How can I assist you today?", 1),
        ("I wrote as an amateur would.", 0),
        ("I am sorry, but I cannot recall his name.", 1),
        ("I trained an AI for this.", 0),
    ],
)
def test_an_assistant_in_place_of_the_author_is_a_fault(answer, count):
    assert found([row(answer)], "speak as an assistant").value == count


def test_personal_data_is_counted_by_rows():
    rows = [row("Write to ann@example.org or ann2@example.org."), row("Nothing.", 1)]
    held = found(rows, "personal data")
    assert (held.value, held.passed, held.examples) == (0.5, False, ("train.jsonl:0",))
    assert found(rows, "personal data", AuditSection(personal_data=0.5)).passed
    assert found([row("x", instruction="Is it ann@example.org?")], "personal data").value == 1


def test_sentences_that_no_passage_supports():
    class Words:
        """Supports a sentence whose first word a passage holds."""

        def verify(self, answer, passages):
            verdicts = (any(s.split()[0] in p for p in passages) for s in answer.split("."))
            return [SimpleNamespace(is_supported=verdict) for verdict in verdicts]

    def unsupported(rows, limits=LIMITS):
        report = audit(rows, limits, verifier=Words(), refusal="I do not  know")
        return next(each for each in report.findings if "no passage shown" in each.name)

    rows = [
        row("Pods end.Cats sleep", 0, passages=("Pods",)),
        row("Pods end.Pods start", 1, passages=("Cats", "Pods")),
        row("I do not know", 2, passages=("Pods",)),
        row("Dogs bark", 3),
    ]
    assert unsupported(rows).value == 0.25
    assert unsupported(rows).examples == ("train.jsonl:0",)
    assert unsupported(rows).passed
    assert not unsupported(rows, AuditSection(unsupported=0.24)).passed
    assert audit(rows, LIMITS).failed == []
    many = [row("Cats sleep" if n % 2 else "Pods", n, passages=("Pods",)) for n in range(900)]
    assert unsupported(many).value in {0.0, 0.3333, 0.5}, "every third of them"


def test_answers_in_another_language_than_most():
    english = "The warehouse keeps every revision of a document, and none of them is ever lost."
    german = "Das Lager behält jede Fassung eines Dokuments, und keine davon geht je verloren."
    rows = [row(english, 0), row(english + " Really.", 1), row(german, 2), row("Ja.", 3)]
    other = found(rows, "another language", AuditSection(other_languages=0.2))
    assert (other.value, other.passed, other.examples) == (0.25, False, ("train.jsonl:2",))
    assert found(rows, "another language").passed


def test_empty_answers_are_counted():
    assert found([row(" "), row("x", 1)], "empty").value == 0.5


def jsonl(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(each) for each in rows))
    return path


def test_the_usual_forms_are_read(tmp_path):
    jsonl(
        tmp_path / "data" / "train-00000.jsonl",
        {"instruction": "I", "input": "shown", "output": "O"},
        {"prompt": "P", "completion": "C", "url": "u"},
        {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
        {"conversations": [{"from": "human", "value": "H"}, {"from": "gpt", "value": "G"}]},
        {
            "prompt": [{"role": "user", "content": "X"}],
            "chosen": [{"role": "assistant", "content": "Y"}],
            "rejected": [{"role": "assistant", "content": "Z"}],
        },
        {"question": "Q", "context": ["one", "two"], "answer": "A", "split": "validation"},
        {"unrelated": 1},
    )
    (tmp_path / "dev.json").write_text(json.dumps([{"query": "q", "response": "r"}]))
    (tmp_path / "manifest.json").write_text('[{"query": "q", "response": "r"}]')
    (tmp_path / "dataset_info.json").write_text('{"name": "x"}')
    rows = read_rows(tmp_path)
    assert [(r.instruction, r.answer, r.rejected) for r in rows] == [
        ("I", "O", None),
        ("P", "C", None),
        ("Q", "A", None),
        ("H", "G", None),
        ("X", "Y", "Z"),
        ("Q", "A", None),
        ("q", "r", None),
    ]
    assert rows[0].prompt == "shown\nI"
    assert rows[1].source == "u"
    assert rows[5].prompt == "one\ntwo\nQ"
    splits = [r.split for r in rows]
    assert splits == [Split.TRAIN] * 5 + [Split.VALIDATION] * 2
    assert rows[2].place == "data/train-00000.jsonl:3"


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("my_training_set", "train"), ("dev", "validation"), ("test-1", "test")],
)
def test_the_split_is_read_from_the_file_name(tmp_path, name, split):
    [only] = read_rows(jsonl(tmp_path / f"{name}.jsonl", {"prompt": "p", "completion": "c"}))
    assert only.split == split


def test_latest_is_no_test(tmp_path):
    [only] = read_rows(jsonl(tmp_path / "latest.jsonl", {"prompt": "p", "completion": "c"}))
    assert only.split is None


@pytest.mark.parametrize("content", ["{", "\x00"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(BadDataError, match=r"a.jsonl: damaged"):
        read_rows(tmp_path)
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.parquet").write_text(content)
    with pytest.raises(BadDataError, match=r"b.parquet: damaged"):
        read_rows(tmp_path)


def test_what_holds_no_samples_is_refused_with_what_is_read(tmp_path):
    jsonl(tmp_path / "a.jsonl", {"image": "x"})
    with pytest.raises(BadDataError, match=r"no samples: an audit reads \.parquet, \.jsonl"):
        read_rows(tmp_path)
    with pytest.raises(BadDataError, match="no samples"):
        read_rows(tmp_path / "none")


def run(*arguments, **environment):
    return run_twin("datasets", "audit", *arguments, env={"PATH": "", **environment})


def test_the_command_prints_the_report_and_ends_with_65_where_a_limit_is_passed(tmp_path):
    sound = jsonl(tmp_path / "train.jsonl", {"prompt": "Why?", "completion": "Because."})
    done = run(str(sound))
    assert done.returncode == 0, done.stderr
    assert "# Audit of 1 rows (1 train; 0 pairs)" in done.stdout
    jsonl(tmp_path / "bad" / "train.jsonl", {"prompt": "About {extract}", "completion": "Yes."})
    failed = run(str(tmp_path / "bad"), "--json")
    assert failed.returncode == 65
    report = json.loads(failed.stdout)
    assert [each["value"] for each in report["findings"] if "placeholders" in each["name"]] == [1]
    assert "placeholders that nothing was filled into: 1 > 0" in failed.stderr
    missing = run("v1")
    assert missing.returncode == 65
    assert "v1: no such file or folder; a version needs its --recipe" in missing.stderr
