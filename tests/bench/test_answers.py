"""What the running demo answers to the written questions of documents that it never trained on.

Needs `make demo` to have ended and its platform to be up. The figures are those that a reader of an
answer would ask for: is it right (`twin.domain.written.is_right`), how much of it is copied, does a
heading leak into it; beside each, what copying the top passage would score.
"""

import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from twin.domain.sample import InstructSample, Maker, Split
from twin.domain.written import QuestionKind, WrittenQuestion, is_right, plain
from twin.laptop.environment import jobs_settings, load_secrets
from twin.models.embedder import load_embedder
from twin.rag.support import SupportVerifier
from twin.recipes import Recipe, load_recipe
from twin.settings import LaptopSettings, get_settings
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSets
from twin.text.sentences import sentences

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

RECIPE = "handbook"
LONG_SENTENCE_WORDS = 8
"""Words above which a sentence that stands in a passage counts as copied."""


@pytest.fixture(scope="module")
def endpoint():
    laptop = LaptopSettings()
    keys = load_secrets(laptop.home)
    settings = jobs_settings(laptop, keys)
    with httpx.Client(
        base_url=settings.endpoint_url,
        headers={"authorization": f"Bearer {keys.api_key}"},
        timeout=120,
    ) as http:
        try:
            http.get("/healthz").raise_for_status()
        except httpx.HTTPError:
            pytest.skip("no demo is running: run `make demo` first")
        yield http


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe(RECIPE, LaptopSettings().project / "include" / "recipes")


@pytest.fixture(scope="module")
def samples() -> list[InstructSample]:
    laptop = LaptopSettings()
    sets = SampleSets(open_files(jobs_settings(laptop, load_secrets(laptop.home))), RECIPE)
    held_out = sets.instruct(sets.latest().version, Split.TEST)
    return [sample for sample in held_out if sample.maker is Maker.WRITTEN]


def test_answers_to_written_questions(endpoint, recipe, samples, tmp_path):
    refusal = recipe.retrieval.dont_know
    verifier = SupportVerifier(load_embedder(recipe.features.embedder, get_settings()))
    rows = [judged(endpoint, sample, refusal, verifier) for sample in samples]
    (Path(tmp_path) / "answers.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    print(f"\n{tmp_path}/answers.jsonl")
    for kind in [*QuestionKind, "all"]:
        of_kind = [row for row in rows if kind in ("all", row["kind"])]
        if of_kind:
            print(
                f"{kind:16} {len(of_kind):4}  right {share(of_kind, 'right'):.0%}  "
                f"top passage {share(of_kind, 'top_passage_right'):.0%}"
            )
    counts = Counter(mark for row in rows for mark in row["sentences"])
    print(
        f"sentences over {LONG_SENTENCE_WORDS} words that stand in a passage: "
        f"{counts['copied']} of {counts.total()} sentences"
    )
    supported = [verdict for row in rows for verdict in row["supported"]]
    print(f"sentences that a passage supports: {sum(supported)} of {len(supported)}")
    unanswerable = [row for row in rows if row["kind"] == QuestionKind.UNANSWERABLE]
    answerable = [row for row in rows if row["kind"] != QuestionKind.UNANSWERABLE]
    print(
        f"refused: {sum(row['refused'] for row in unanswerable)} of {len(unanswerable)} that the "
        f"articles do not answer, {sum(row['refused'] for row in answerable)} of "
        f"{len(answerable)} that they do"
    )
    print(f"answers with a heading path: {sum(row['heading'] for row in rows)}")
    assert len(rows) > 50


def share(rows: list[dict], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def judged(
    endpoint: httpx.Client, sample: InstructSample, refusal: str, verifier: SupportVerifier
) -> dict:
    messages = [
        *({"role": turn.role, "content": turn.content} for turn in sample.history),
        {"role": "user", "content": sample.instruction},
    ]
    wanted = {"model": f"twin-{RECIPE}", "messages": messages, "temperature": 0}
    reply = endpoint.post("/v1/chat/completions", json=wanted)
    body = reply.raise_for_status().json()
    answer = body["choices"][0]["message"]["content"]
    asked = WrittenQuestion.model_construct(
        kind=QuestionKind(sample.kind), question=sample.instruction, facts=sample.facts
    )
    texts = [plain(source["text"]) for source in body["sources"]]
    shown = [f"{source['title']}\n{source['text']}" for source in body["sources"]]
    refused = plain(refusal) == plain(answer)
    return {
        "kind": sample.kind,
        "question": sample.instruction,
        "expected": sample.answer,
        "facts": sample.facts,
        "answer": answer,
        "refused": refused,
        "shown": [source["title"] for source in body["sources"]],
        "right_passage_shown": bool(
            {source["chunk_id"] for source in body["sources"]} & set(sample.chunk_ids)
        ),
        "right": is_right(asked, answer, refusal),
        "top_passage_right": is_right(asked, texts[0] if texts else refusal, refusal),
        "sentences": [
            "copied" if copied(str(sentence), texts) else "own" for sentence in sentences(answer)
        ],
        "supported": []
        if refused
        else [each.is_supported for each in verifier.verify(answer, shown)],
        "heading": any(
            " > ".join(source["headings"]) in answer
            for source in body["sources"]
            if len(source["headings"]) > 1
        ),
    }


def copied(sentence: str, texts: list[str]) -> bool:
    long = len(sentence.split()) > LONG_SENTENCE_WORDS
    return long and any(plain(sentence) in text for text in texts)
