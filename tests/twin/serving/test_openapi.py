"""The OpenAPI document, and requests made up from it: none ends in a defect, all answers fit it."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.twin.serving.conftest import KEY, served
from twin.serving.answer_book import AnswerBook
from twin.serving.openapi import REFUSALS
from twin.settings import get_settings

HEADERS = {"Authorization": f"Bearer {KEY}"}
# Not asked for: that what fits the schema is accepted (it says nothing of how turns must follow one
# another), and that what does not is refused (fields that are unknown are ignored).
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
    unsupported_method,
]
#: Without what sends each case again, with other keys and methods: ten of each kind do that.
ONCE = [check for check in CHECKS if check not in (ignored_auth, unsupported_method)]
CASES = settings(
    deadline=None, suppress_health_check=list(HealthCheck), max_examples=10, derandomize=True
)
#: A request costs about 70 ms of a core, a third of it to make up, so that so many take minutes.
MANY = 5_000
#: Of an operation without a body, which has little to vary.
MANY_WITHOUT_A_BODY = 100
#: What fits a schema may repeat itself, and is sent once.
SPARE = 1.15

#: What a body that asks for an answer has, and how it bounds the answer's length.
ASKS = {"question", "messages", "prompt", "input", "topic", "instruction"}
LENGTHS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}

#: Responses by status.
counted: dict[str, int] = {}


@pytest.fixture(scope="module")
def address(backend, warehouse_uri) -> Iterator[str]:
    """The endpoint over a real chain, with a store for what it answers."""
    own = {
        "mongo_uri": SecretStr(warehouse_uri),
        "mongo_database": f"api_{threading.get_native_id()}",
    }
    with served(backend, book=AnswerBook(get_settings().model_copy(update=own))) as url:
        yield url


@pytest.fixture(scope="module")
def described(address) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.fixture(scope="module")
def document(address) -> dict:
    return httpx.get(f"{address}/openapi.json").raise_for_status().json()


def short(case: schemathesis.Case) -> schemathesis.Case:
    """A case that asks the model there is, if any, for a few tokens."""
    body = case.body
    if isinstance(body, dict) and ASKS & body.keys():
        if isinstance(body.get("model"), str):
            body["model"] = "twin-tiny"
        for name in LENGTHS:
            if isinstance(body.get(name), int) and body[name] > 4:
                body[name] = 4
        if not LENGTHS & body.keys():
            body |= dict.fromkeys(LENGTHS, 4)
    return case


def fits(case: schemathesis.Case) -> None:
    checked(case, CHECKS)


def fits_once(case: schemathesis.Case) -> None:
    checked(case, ONCE)


def checked(case: schemathesis.Case, checks: Sequence[Callable]) -> None:
    short(case)
    response = case.call(headers=HEADERS, timeout=120)
    counted[str(response.status_code)] = counted.get(str(response.status_code), 0) + 1
    case.validate_response(response, checks=checks)


def strategies(described: schemathesis.BaseSchema) -> Iterator[tuple[bool, SearchStrategy]]:
    """What fits each operation, and what does not fit each body; whether it is of a body."""
    for found in described.get_all_operations():
        operation = found.ok()
        bodies = bool(operation.body)
        for mode in [GenerationMode.POSITIVE] + [GenerationMode.NEGATIVE] * bodies:
            yield bodies, operation.as_strategy(generation_mode=mode)


@pytest.mark.slow
def test_whatever_is_sent_the_answer_fits_the_document(described):
    """Half a minute on a busy core. It buys what nobody thought of sending."""
    counted.clear()
    for _, strategy in strategies(described):
        CASES(given(strategy)(fits))()
    print(counted)
    assert counted["200"] >= 20, counted
    assert counted["400"] >= 20, counted


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_thousands_of_requests_fit_the_document(described):
    """Ten minutes. Buys rare combinations of fields."""
    counted.clear()
    made = list(strategies(described))
    of_each = math.ceil(SPARE * MANY / sum(bodies for bodies, _ in made))
    for bodies, strategy in made:
        number = of_each if bodies else MANY_WITHOUT_A_BODY
        settings(CASES, max_examples=number, derandomize=False)(given(strategy)(fits_once))()
    print(counted)
    assert sum(counted.values()) >= MANY


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_path_is_described_and_says_how_it_refuses(document):
    found = dict(operations(document))
    assert found.keys() == {
        "GET /healthz",
        "GET /v1/models",
        "GET /v1/models/{name}",
        "GET /v1/rollouts/{model}",
        "POST /v1/answers",
        "GET /v1/answers/{answer_id}",
        "POST /v1/answers/{answer_id}/feedback",
        "POST /v1/search",
        "POST /v1/chat/completions",
        "POST /v1/completions",
        "POST /v1/embeddings",
        "POST /v1/responses",
        "GET /v1/responses/{response}",
        "DELETE /v1/responses/{response}",
        "POST /v1/drafts",
        "GET /v1/drafts/{draft}",
        "POST /v1/drafts/{draft}/revisions",
        "POST /v1/drafts/comparisons",
        "POST /v1/drafts/comparisons/{comparison}/feedback",
        "POST /v1/responses/{response}/cancel",
        "GET /metrics",
        "GET /readyz",
    }
    for name, operation in found.items():
        assert operation["description"]
        refused = operation["responses"].keys() - {"200"}
        assert refused <= set(map(str, REFUSALS))
        for status in refused:
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            body = "ReadyBody" if (name, status) == ("GET /readyz", "503") else "ErrorBody"
            assert schema == {"$ref": f"#/components/schemas/{body}"}
        guarded = [{"key": []}] if " /v1/" in name or " /metrics" in name else None
        assert operation.get("security") == guarded


def test_every_body_has_examples_that_are_answered(document, address):
    for name, operation in operations(document):
        if "requestBody" not in operation or "{" in name:
            continue
        method, path = name.split(" ")
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            body = example["value"] | dict.fromkeys(LENGTHS, 2)
            if "model" in body:
                body["model"] = "twin-tiny"
            answered = httpx.request(
                method, f"{address}{path}", json=body, headers=HEADERS, timeout=60
            )
            assert answered.status_code == 200, answered.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/drafts",
        "/v1/drafts/{draft}/revisions",
    ],
)
def test_a_stream_is_described_beside_the_whole_answer(document, path):
    responses = document["paths"][path]["post"]["responses"]
    assert responses["200"]["content"].keys() == {"application/json", "text/event-stream"}


def test_what_a_schema_means_for_refusals_is_described(document):
    schemas = document["components"]["schemas"]
    for holder, name in (("ChatCompletionRequest", "response_format"), ("TextOptions", "format")):
        said = schemas[holder]["properties"][name]["description"]
        assert "in `refusal`" in said
        assert "no citations" in said
