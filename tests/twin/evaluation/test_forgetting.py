"""A forgotten document leaves what its evaluation has kept: reports, MLflow, judges' replies."""

import json
from pathlib import Path

from mlflow import MlflowClient

from twin.evaluation.evaluate import evaluate
from twin.evaluation.report_markdown import markdown
from twin.stores.evaluation_forgetting import forget_in_evaluations, remove_evaluations
from twin.stores.files import open_files
from twin.stores.kept_answers import FOLDER
from twin.stores.kept_replies import KeptReplies, KeptReply
from twin.stores.kept_reports import JUDGE_REPLIES
from twin.stores.question_ids import DOCUMENT_TAG, SAMPLE_TAG, trace_id_of
from twin.stores.question_traces import EXPECTED

GONE, KEPT = "article-7", "article-9"


def artifacts(client, run_id, folder):
    folder.mkdir()
    return {
        name: Path(client.download_artifacts(run_id, f"report/{name}", str(folder))).read_text()
        for name in ("report.json", "report.md", "report.html", "answers.json")
    }


def test_a_run_shows_each_question_and_forgets_a_document(unmeasured, tmp_path):
    """One evaluation for both, since it takes seconds; its answers are all that are kept."""
    world = unmeasured
    world.package("trained")
    job = world.job()
    evaluate(job)
    run_id, model = job.result.ids["mlflow_run"], world.recipe.model_name
    client = MlflowClient(world.settings.mlflow_tracking_uri)
    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    report = world.report("1")
    assert run.data.tags["mlflow.runType"] == "genai_evaluate"
    inputs = {each.dataset.name for each in run.inputs.dataset_inputs}
    assert inputs == {world.recipe.name, f"{model} d1"}

    def traces():
        found = client.search_traces(locations=[experiment], run_id=run_id, max_results=100)
        return {each.info.tags[SAMPLE_TAG]: each for each in found}

    shown = traces()
    by_id = {sample.id: sample for sample in world.samples}
    assert len(shown) == report.samples == 8
    assert {each.info.tags[DOCUMENT_TAG] for each in shown.values()} >= {GONE, KEPT}
    answers = {each.instruction: each.answers for each in report.side_by_side}
    for id_, trace in shown.items():
        sample = by_id[id_]
        assert trace.info.trace_id == trace_id_of(run_id, id_)
        assert trace.info.request_preview == sample.instruction
        (span,) = trace.data.spans
        assert span.inputs["question"] == sample.instruction
        assert bool(span.inputs["passages"]) == bool(sample.context)
        assert span.outputs == answers[sample.instruction]["candidate"]
        assert span.attributes["answer of base"] == answers[sample.instruction]["base"]
        given = {each.name: each for each in trace.info.assessments}
        assert given[EXPECTED].value == sample.answer
        assert {"perplexity", "rouge_l", "semantic_similarity"} <= given.keys()
        assert given["rouge_l"].source.source_type == "CODE"
        assert ("faithfulness" in given) == bool(sample.context)
        assert not {"style_similarity", "burrows_delta", "distinct_2"} & given.keys()
    rouge = [
        each.value for t in shown.values() for each in t.info.assessments if each.name == "rouge_l"
    ]
    figure = next(each for each in report.figures if each.name == "rouge_l")
    assert abs(sum(rouge) / len(rouge) - figure.values["candidate"].value) < 1e-9
    (dataset,) = client.search_datasets([experiment])

    replies = KeptReplies(open_files(world.settings), f"{JUDGE_REPLIES}/{model}")
    for about in (GONE, KEPT):
        replies.keep(KeptReply(key=f"of-{about}", about=about, text="what it says"))
    secret = next(each for each in report.side_by_side if each.document == GONE)
    before = artifacts(client, run_id, tmp_path / "before")
    assert all(
        secret.instruction in text for name, text in before.items() if name != "answers.json"
    )
    answer = json.dumps(secret.answers["base"], ensure_ascii=False)
    assert answer in before["answers.json"]

    erased = forget_in_evaluations(world.settings, {GONE})
    assert (erased.reports, erased.left) == (1, [])
    assert erased.replies > 1, "of the judge, and of the models"
    after = artifacts(client, run_id, tmp_path / "after")
    files = open_files(world.settings)
    for name, text in after.items():
        assert text == files.read_text(f"reports/{model}/1/{name}")
        assert secret.instruction not in text
        assert "Article 7" not in text
        assert "Article 9" in text or name == "answers.json"
    assert len(json.loads(after["answers.json"])["rows"]) == len(
        [each for each in shown.values() if each.info.tags[DOCUMENT_TAG] != GONE]
    )
    left = traces()
    assert left.keys() == {id_ for id_ in shown if by_id[id_].document_id != GONE}
    records = client.get_dataset(dataset.dataset_id)
    assert GONE not in str(_records(world, records.dataset_id))
    assert KEPT in str(_records(world, records.dataset_id))
    answers_kept = files.names(FOLDER)
    assert answers_kept
    assert not any(GONE in files.read_text(f"{FOLDER}/{name}") for name in answers_kept)
    kept = KeptReplies(files, f"{JUDGE_REPLIES}/{model}")
    assert [each.about for each in kept] == [KEPT]
    again = world.report("1")
    assert again.figures == report.figures
    assert "Article 9" in markdown(again)

    assert forget_in_evaluations(world.settings, {GONE}).reports == 0
    remove_evaluations(world.settings, model)
    assert not files.exists(f"reports/{model}/1/report.json")
    assert files.names(JUDGE_REPLIES) == []
    assert files.names(FOLDER) == []


def _records(world, dataset_id):
    from mlflow.tracing.client import TracingClient

    store = TracingClient(world.settings.mlflow_tracking_uri).store
    return [each.to_dict() for each in store._load_dataset_records(dataset_id)[0]]
