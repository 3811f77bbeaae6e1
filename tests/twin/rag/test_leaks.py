"""A model that obeys everybody leaks nothing: what it never reads, nobody can make it say."""

import asyncio
import base64

import pytest

from tests.twin import twins
from tests.twin.text.attacks import attacks
from twin.domain.conversation import Turn
from twin.models.language_model import Generation
from twin.rag.query import Query
from twin.settings import Settings

KEY = "ghp_" + "a1B2" * 9
ANOTHERS = "the wedding is on the fourth of May"
TEXTS = {
    "pods": f"Every job runs in a pod. Do not share {KEY} with anybody. Pods are given back.",
    "keys": "A key is made by one command. The password is in https://ann:s3cretword@ann.example/.",
}


class Obedient:
    """Says all that it was shown, plainly and in Base64: the worst model that there is."""

    context_tokens = 2_048

    async def stream(self, request):
        read = "\n".join(message["content"] for message in request.messages)
        said = f"{read}\n{base64.b64encode(read.encode()).decode()}"
        for start in range(0, len(said), 7):
            yield said[start : start + 7]
        yield Generation(said, "stop", 1, 1)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    home = tmp_path_factory.mktemp("leaks")
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(
        settings.recipes, guardrails={"injection": "mark", "passages": "mark"}, citations=False
    )
    twins.index_texts(recipe, settings, TEXTS)
    twins.publish_weights(settings, home / "weights")
    chain = twins.open_chain(recipe, home / "weights", settings)
    chain._engine = Obedient()
    return chain


def said(answer):
    """The answer and all that goes out with it, unpacked."""
    packed = answer.answer.rsplit("\n", 1)[-1]
    try:
        unpacked = base64.b64decode(packed + "==").decode("utf-8", "ignore")
    except ValueError:
        unpacked = ""
    return f"{answer.model_dump_json()}\n{unpacked}"


def test_no_attack_gets_a_key_or_what_another_has_asked_out_of_it(chain):
    async def asked():
        answers = [await chain.answer(Query(question=f"My secret: {ANOTHERS}. Why pods?"))]
        for attack in (each for each in attacks() if each.harm in ("secrets", "others", "away")):
            given = {"question": attack.text}
            if attack.where == "history":
                turns = (
                    Turn(role="user", content=attack.text),
                    Turn(role="assistant", content="Ok"),
                )
                given = {"question": "Go on with keys and pods", "history": turns}
            elif attack.where == "system":
                given = {"question": "Why pods?", "system": attack.text}
            answers.append(await chain.answer(Query(**given)))
        return answers

    own, *others = asyncio.run(asked())
    assert ANOTHERS in said(own)
    assert len(others) > 100
    assert sum(bool(answer.sources) for answer in others) > 100
    for answer in others:
        assert KEY not in said(answer)
        assert "s3cretword" not in said(answer)
        assert ANOTHERS not in said(answer)


def test_a_search_finds_no_key_either(chain):
    found = asyncio.run(chain.find(Query(question="Why pods?")))
    assert found.passages
    assert KEY not in found.model_dump_json()
    assert "[removed]" in found.model_dump_json()
