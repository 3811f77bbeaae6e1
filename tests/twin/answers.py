"""Answers as the chain gives them, made up."""

from collections.abc import Sequence

from twin.domain.answer import Answer, CheckedSentence, Passage


def passage(document: str, text: str = "Every job runs in a pod.", **more: object) -> Passage:
    return Passage(
        **{
            "rank": 1,
            "score": 0.5,
            "chunk_id": f"{document}-0",
            "document_id": document,
            "revision": "r1",
            "url": f"https://ann.example/{document}",
            "title": f"On {document}",
            "text": text,
            **more,
        }
    )


def answer(
    identity: str = "a1",
    *,
    text: str = "A pod.",
    documents: Sequence[str] = ("pods",),
    sources: Sequence[Passage] = (),
    sentences: Sequence[CheckedSentence] = (),
    **more: object,
) -> Answer:
    found = tuple(sources) or tuple(map(passage, documents))
    return Answer(
        id=identity,
        question="Why?",
        answer=text,
        sources=found,
        sentences=tuple(sentences),
        grounded=bool(found),
        model="twin-tiny",
        model_version="1",
        prompt_version="registry-7",
        trace_id="tr-1",
        prompt_tokens=7,
        completion_tokens=3,
        **more,
    )
