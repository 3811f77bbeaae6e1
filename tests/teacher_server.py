"""A teacher for tests: writes by rule what the jobs ask for, and fails on purpose if it is told."""

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.openai_server import Handler, hangs_up, is_silent, refuses, says, sends, usage

PROMPT_TOKENS, ANSWER_TOKENS = 100, 50
"""What every answer says that it used."""

Writer = Callable[[str, dict[str, Any]], Any]
"""Makes the object of a reply: of the task ("instructions", "pairs", "plain") and its data."""


def task_of(body: Mapping[str, Any]) -> str:
    """Which of the three tasks a request is."""
    names = re.findall(r'"(instructions|pairs|plain)"', body["messages"][0]["content"])
    return str(names[-1])


def data_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The passage with what stands around it."""
    data: dict[str, Any] = json.loads(body["messages"][-1]["content"])
    return data


def good(task: str, data: dict[str, Any]) -> Any:
    """What a good teacher writes, as the rules see it."""
    passage = data["passage"]
    words = re.findall(r"[A-Za-z]{4,}", passage)
    sentences = [each for each in re.split(r"(?<=[.!?])\s+", passage) if len(each.split()) > 8]
    if task == "instructions":
        about = [f"{words[n]} and {words[-1 - n]}" for n in range(3)]
        return {"instructions": [f"What do you say about {each}?" for each in about]}
    if task == "pairs":
        pairs = [
            {"question": f"What is there to know of {said.split()[0]} {said.split()[6]}?",
             "answer": " ".join(said.split()[:7]) + "."}
            for said in sentences[:2]
        ]  # fmt: skip
        return {"pairs": pairs}
    return {
        "request": "Put this into your own words.",
        "plain": re.sub(r"((?:\S+ ){4})", r"\1indeed ", passage),
    }


@dataclass
class Teacher:
    """Answers requests; give `answer` to `openai_server`.

    Attributes:
        write: what it writes.
        faults: name to the chance that a request fails so; the rest is answered.
        silence: seconds that it says nothing, where it does.
        answered: whole answers by prompt.
        cut: answers that broke off, by prompt.
    """

    write: Writer = good
    faults: Mapping[str, float] = field(default_factory=dict)
    silence: float = 1.5
    answered: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    begun: Counter[str] = field(default_factory=Counter)
    lock: Any = field(default_factory=threading.Lock)

    def answer(self, handler: Handler) -> None:
        body = handler.body
        prompt = json.dumps([body["messages"], body.get("seed")])
        with self.lock:
            self.begun[prompt] += 1
            draw = random.Random(f"{prompt}{self.begun[prompt]}").random()
        for name, chance in self.faults.items():
            if draw < chance:
                if name in {"cut", "hangs up", "no choices", "silent"}:
                    with self.lock:
                        self.cut[prompt] += 1
                self._fail(name, handler, body)
                if name == "junk":
                    with self.lock:
                        self.answered[prompt] += 1
                return
            draw -= chance
        text = json.dumps(self.write(task_of(body), data_of(body)))
        says([text], used=usage(PROMPT_TOKENS, ANSWER_TOKENS))(handler)
        with self.lock:
            self.answered[prompt] += 1

    def _fail(self, name: str, handler: Handler, body: Mapping[str, Any]) -> None:
        text = json.dumps(self.write(task_of(body), data_of(body)))
        {
            "429": refuses(429, "slow down", Retry_After="0"),
            "500": refuses(500),
            "silent": is_silent(self.silence),
            "cut": sends({"choices": [{"delta": {"content": text[:9]}}]}),
            "no choices": sends({"choices": []}, "[DONE]"),
            "hangs up": hangs_up,
            "junk": says([text[:-9]], used=usage(PROMPT_TOKENS, ANSWER_TOKENS)),
            "excuse": says(["I'm sorry, I can't do that."]),
        }[name](handler)
