"""Abuse by lists of words: what is one, and what only looks like one."""

import pytest

from twin.text.toxicity import is_toxic


@pytest.mark.parametrize(
    "text",
    [
        "You are an idiot.", "you fucking liar", "go kill yourself", "I will kill you",
        "F\u200buck you, I will find and kill you", "Du bist ein Idiot", "Du Arschloch",
        "vaffanculo", "hijo de puta", "去死吧", "убей себя", "死ね",
    ],
)  # fmt: skip
def test_insults_slurs_and_threats_are(text):
    assert is_toxic(text)


@pytest.mark.parametrize(
    "text",
    [
        "How do I kill a process?", "Kill the pod and drop the table.", "un retard de deux jours",
        "The chink in the armour", "You are an author.", "Scunthorpe, Essex", "a dickens of a job",
        "What does the code do with a shot of the screen?", "Du bist ein guter Autor",
        "master and worker",
    ],
)  # fmt: skip
def test_words_that_look_like_them_are_not(text):
    assert not is_toxic(text)
