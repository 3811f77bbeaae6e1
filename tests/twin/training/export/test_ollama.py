"""Modelfiles: Go's own template engine (helm's) writes from them the prompt of training."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import tiny_model
from tests.conftest import ROOT
from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message
from twin.rag.prompt import build_messages
from twin.recipes import Recipe
from twin.recipes.prompt import PromptSection
from twin.training.export.ollama import MAX_CONTEXT, Turns, go_template, modelfile, turns_of

HELM = ROOT / ".venvs" / "tools" / "bin" / "helm"
FILE = Path("twin-ann-v3-q8_0.gguf")


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    return ChatFormat.load(tiny_model.build(tmp_path_factory.mktemp("tiny")))


def recipe_of(**sections):
    return Recipe.model_validate(
        {
            "name": "ann",
            "author": {"id": "ann", "name": "Ann"},
            "sources": [{"kind": "folder", "name": "texts", "path": "texts"}],
            **sections,
        }
    )


def written(folder, template, messages, system):
    """What Go makes of a template with Ollama's values; as JSON, so that no blank is lost."""
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: prompt, version: 1.0.0}")
    (folder / "templates" / "prompt.yaml").write_text(
        '{{- define "prompt" }}' + template + '{{ end -}}\nprompt: {{ include "prompt" .Values | '
        "toJson }}\n"
    )
    turns = [{"Role": each["role"], "Content": each["content"]} for each in messages]
    (folder / "values.yaml").write_text(json.dumps({"Messages": turns, "System": system}))
    done = subprocess.run([HELM, "template", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["prompt"]


def part(text, name):
    return re.search(rf'{name} """(.*?)"""', text, re.DOTALL)[1]


HISTORIES = [
    (),
    (Turn(role="user", content="Who are you?"), Turn(role="assistant", content="Ann's twin.")),
]


@pytest.mark.parametrize("history", HISTORIES, ids=["first question", "later question"])
@pytest.mark.parametrize(
    "prompt",
    [None, 'As {{ author }}, a "test".\n{{ passages }}\nQ: {{ question }}\n\nAnswer in \\ French:'],
    ids=["built-in", "own"],
)
def test_ollama_asks_token_by_token_as_training_does(chat, tmp_path, history, prompt):
    section = PromptSection() if prompt is None else PromptSection(template=prompt)
    recipe = recipe_of(prompt=section.model_dump())
    text = modelfile(FILE, chat, recipe, begins=True, context=512)
    turns = [Message(role=each.role, content=each.content) for each in history]
    asked = [
        Message(role="system", content=part(text, "SYSTEM")),  # as Ollama puts it there
        *turns,
        Message(role="user", content="What is a pod?"),
    ]
    made = written(tmp_path, part(text, "TEMPLATE"), asked, part(text, "SYSTEM"))
    tokenizer = chat.tokenizer
    ids = [tokenizer.bos_token_id, *tokenizer.encode(made, add_special_tokens=False)]
    expected = chat.prompt_ids(build_messages("Ann", "What is a pod?", (), history, prompt=section))
    assert ids == expected


def test_the_token_of_the_beginning_is_written_where_llama_cpp_does_not(chat):
    with_it, without = turns_of(chat, begins=False), turns_of(chat, begins=True)
    assert with_it.head == chat.tokenizer.bos_token + without.head
    assert (with_it.answer, with_it.next) == (without.answer, without.next)


def test_it_stops_where_an_answer_ends_and_writes_as_the_recipe_says(chat):
    serving = {"temperature": 0.5, "top_p": 0.8, "repetition_penalty": 1.2}
    text = modelfile(FILE, chat, recipe_of(serving=serving), begins=True, context=512)
    stops = set(re.findall(r'PARAMETER stop "(.*)"', text))
    assert {chat.end_of_answer, "</passage"} <= stops
    values = dict(re.findall(r"PARAMETER (\w+) ([\d.]+)$", text, re.MULTILINE))
    assert values == {
        "temperature": "0.5", "top_p": "0.8", "repeat_penalty": "1.2", "num_ctx": "512",
    }  # fmt: skip
    assert f"FROM ./{FILE.name}\n" in text
    longest = modelfile(FILE, chat, recipe_of(), begins=True, context=131_072)
    assert f"PARAMETER num_ctx {MAX_CONTEXT}\n" in longest


def test_an_assistants_turn_at_the_end_is_gone_on_with(tmp_path):
    template = go_template(Turns("<h>", "<a>", "<n>"), "<z>")
    asked = [Message(role="user", content="q"), Message(role="assistant", content="Once")]
    assert written(tmp_path, template, asked, "S") == "<h>q<a>Once"


def test_three_quotation_marks_are_refused(chat):
    prompt = {"template": 'Say """ {{ passages }} {{ question }}'}
    with pytest.raises(BadDataError, match='holds """'):
        modelfile(FILE, chat, recipe_of(prompt=prompt), begins=True, context=512)
