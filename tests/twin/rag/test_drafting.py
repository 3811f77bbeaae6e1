"""Drafts by the real drafter, verifier and embedder; a script stands for model and index."""

import asyncio
from contextlib import aclosing

import pytest

from tests.twin.answers import passage
from tests.twin.drafts import (
    CORPUS,
    TEXTS,
    WHALES,
    ScriptedWriting,
    dated,
    drafter,
    points,
    streamed,
    verifier,
)
from twin.domain.draft import DraftTask, EarlierSection
from twin.domain.errors import OverloadedError
from twin.rag.prompt_drafts import request_in_words
from twin.rag.query import Query, TextsFilter

TOPIC = "Why every job runs in a pod, and what it costs"


@pytest.fixture(scope="module")
def known():
    return verifier()


def query(topic=TOPIC, seed=7, filter_=None, **task) -> Query:
    made = DraftTask(topic=topic, **task)
    return Query(
        question=request_in_words(made), draft=made, seed=seed, temperature=0.5, filter=filter_
    )


def drafted(known, writing, asked, **knobs):
    return streamed(drafter(known, **knobs), writing, asked)[-1].answer


def test_a_draft_comes_as_outline_then_sections_with_their_sources(known):
    writing = ScriptedWriting()
    *parts, last = streamed(drafter(known), writing, query(length="short"))
    assert parts[0].outline == ("What a pod states", "What it costs")
    sections = [part for part in parts if part.section]
    assert [part.section.number for part in sections] == [1, 2]
    assert [part.section.heading for part in sections] == list(parts[0].outline)
    assert all(part.sources for part in sections)
    text = "".join(part.text for part in parts)
    assert text.split() == last.answer.answer.split()
    assert parts.index(sections[1]) > parts.index(next(part for part in parts if part.text))


def test_the_answer_says_which_source_each_sentence_comes_from(known):
    answer = drafted(known, ScriptedWriting(), query(length="short", kind="section"))
    text, draft = answer.answer, answer.draft
    assert text.startswith(f"## {TOPIC}\n\n### What a pod states\n\n{WHALES}")
    for section in draft.sections:
        assert text[section.start : section.end] == section.text
        assert {answer.sources[number - 1].document_id for number in section.sources}
    by_text = {text[each.start : each.end]: each for each in answer.sentences}
    assert not by_text["Nine cats have invented it on the moon."].supported
    for sentence in answer.sentences:
        for citation in sentence.citations:
            source = answer.sources[citation.source - 1].text
            assert source[citation.start : citation.end] == citation.quote
    cost = by_text["At its start a pod costs seconds, which a long job never notices."]
    assert answer.sources[cost.citations[0].source - 1].document_id == "costs"
    assert [source.rank for source in answer.sources] == [1, 2, 3][: len(answer.sources)]
    assert len({source.chunk_id for source in answer.sources}) == len(answer.sources)


def test_what_stands_in_the_authors_texts_is_named_as_copied(known):
    answer = drafted(known, ScriptedWriting(), query(length="short"))
    [copied] = answer.draft.copied
    assert answer.answer[copied.start : copied.end] == WHALES
    assert copied.url == "https://ann.example/pods"
    assert 0.4 < answer.draft.copied_share < 0.6


def test_copies_are_looked_for_in_all_texts_whatever_the_filter(known):
    writing = ScriptedWriting()
    drafted(known, writing, query(length="short", filter_=TextsFilter(kinds=("post",))))
    searched = {each.question: each for each in writing.searched}
    assert searched[TOPIC].filter == TextsFilter(kinds=("post",))
    near = searched[WHALES]
    assert (near.filter, near.rerank, near.passages) == (None, False, 3)


def test_sentences_that_the_notes_support_are_told_from_those_that_nothing_does(known):
    notes = "The whole platform was moved to Iceland in 2024."
    writing = ScriptedWriting(texts={"What a pod states": f"{notes} Cats rule the dark moon."})
    answer = drafted(known, writing, query(notes=notes, outline=("What a pod states",)))
    [place] = answer.draft.from_notes
    assert answer.answer[place.start : place.end] == notes
    assert [each.supported for each in answer.sentences] == [False, False]


def test_drawing_and_the_time_left_reach_every_section(known):
    writing = ScriptedWriting()
    drafted(known, writing, query(length="short"))
    assert [(asked.seed, asked.temperature) for asked, _ in writing.asked] == [(7, 0.5)] * 2
    (_, first), (_, second) = writing.asked
    assert 100 < second < first <= 120


@pytest.mark.parametrize(
    ("task", "outline"),
    [
        ({"outline": ("B", "A")}, ("B", "A")),
        ({"notes": "- of the notes\n- and this"}, ("of the notes", "and this")),
        ({"length": "long"}, ("What a pod states", "What it costs", "Rolling back")),
    ],
)
def test_points_come_from_whoever_gives_them(known, task, outline):
    assert drafted(known, ScriptedWriting(), query(**task)).draft.outline == outline


def test_a_model_writes_the_outline_where_the_recipe_says_so(known):
    writing = ScriptedWriting(outline=points("Rolling back", "What it costs"))
    answer = drafted(known, writing, query(), outline="model")
    assert answer.draft.outline == ("Rolling back", "What it costs")
    assert answer.draft.remarks == ()
    assert answer.prompt_tokens == 3 * 7  # the outline's tokens are counted


@pytest.mark.parametrize("reply", [None, "junk"])
def test_headings_take_the_place_of_an_outline_that_cannot_be_read(known, reply):
    answer = drafted(known, ScriptedWriting(outline=reply), query(length="short"), outline="model")
    assert answer.draft.outline == ("What a pod states", "What it costs")
    assert "could not be read" in answer.draft.remarks[0]


def test_the_recipe_bounds_the_sections(known):
    answer = drafted(known, ScriptedWriting(), query(outline=("A", "B", "C")), max_sections=2)
    assert answer.draft.outline == ("A", "B")
    assert answer.draft.remarks == ("of 3 points the first 2 are written",)


def test_a_topic_that_the_author_has_not_written_about_is_refused(known):
    writing = ScriptedWriting()
    first, last = streamed(drafter(known), writing, query(topic="Paris"))
    assert first.refused
    assert last.answer.refused
    assert last.answer.answer == first.text
    assert last.answer.draft.sections == ()
    assert writing.asked == []


def test_a_section_about_which_the_texts_say_nothing_is_left_out(known):
    writing = ScriptedWriting()
    writing.texts["What it costs"] = ""
    answer = drafted(known, writing, query(length="short"))
    assert [each.heading for each in answer.draft.sections] == ["What a pod states"]
    assert "'What it costs'" in answer.draft.remarks[0]
    writing.texts["What a pod states"] = ""
    assert drafted(known, writing, query(length="short")).refused


def test_what_the_time_is_over_for_is_left_out_and_said(known):
    writing = ScriptedWriting(late=("What it costs",))
    answer = drafted(known, writing, query(length="short"))
    assert answer.finish_reason == "length"
    assert answer.draft.remarks == ("the time was over: 1 of 2 sections are written",)
    with pytest.raises(OverloadedError):
        drafted(known, ScriptedWriting(late=("What a pod states",)), query(length="short"))


def test_a_section_that_was_cut_ends_with_a_whole_sentence(known):
    writing = ScriptedWriting(finish_reason="length")
    writing.texts["What a pod states"] = f"{WHALES} And then the"
    [section] = drafted(known, writing, query(outline=("What a pod states",))).draft.sections
    assert (section.text, section.cut) == (WHALES, True)


def test_a_thread_has_posts_that_fit_and_are_not_shown_before(known):
    writing = ScriptedWriting()
    writing.texts["What a pod states"] = f"{WHALES} " * 5
    *parts, last = streamed(drafter(known), writing, query(kind="thread", length="short"))
    posts = last.answer.answer.split("\n\n")
    assert [post[:4] for post in posts] == ["1/3 ", "2/3 ", "3/3 "]
    assert all(len(post) <= 280 for post in posts)
    texts = [part.text for part in parts if part.text]
    assert texts == [post[4:] for post in posts]
    assert last.answer.draft.sections[0].cut


def test_a_revision_changes_one_section_and_keeps_the_others(known):
    earlier = tuple(EarlierSection(heading=h, text=t) for h, t in list(TEXTS.items())[:2])
    writing = ScriptedWriting()
    asked = query(earlier=earlier, instruction="Shorter.", section=2)
    answer = drafted(known, writing, asked)
    assert [each.text for each in answer.draft.sections] == [earlier[0].text, writing.revised]
    assert answer.draft.instruction == "Shorter."
    [(revised, _)] = writing.asked
    assert f"<draft>\n{earlier[1].text}\n</draft>" in revised.question
    assert f"{TOPIC}: What it costs Shorter." in [each.question for each in writing.searched]
    both = drafted(known, writing, query(earlier=earlier, instruction="Shorter."))
    assert [each.text for each in both.draft.sections] == [writing.revised] * 2


def test_a_passage_that_is_cut_in_one_section_is_a_source_of_its_own(known):
    cut = CORPUS[0].model_copy(update={"text": "Every job runs …"})
    writing = ScriptedWriting()
    real = writing.find

    async def find(asked):
        found = await real(asked)
        return found.model_copy(update={"passages": (cut,)}) if "costs" in asked.question else found

    writing.find = find
    answer = drafted(known, writing, query(topic="Why pods", length="short"))
    texts = [source.text for source in answer.sources if source.document_id == "pods"]
    assert sorted(texts) == sorted({WHALES, cut.text})


def test_who_goes_away_ends_the_writing(known):
    class Endless(ScriptedWriting):
        closed = False

        async def stream_part(self, query, **more):
            try:
                async for part in super().stream_part(query, **more):
                    yield part
            finally:
                self.closed = True

    writing = Endless()

    async def leave():
        async with aclosing(drafter(known).stream(query(), writing)) as parts:
            async for part in parts:
                if part.text:
                    return

    asyncio.run(leave())
    assert writing.closed


def test_a_section_that_cannot_be_revised_in_time_stays_as_it_was(known):
    earlier = tuple(EarlierSection(heading=h, text=t) for h, t in list(TEXTS.items())[:2])

    class Late(ScriptedWriting):
        async def stream_part(self, query, **more):
            if TEXTS["What it costs"] in query.question:
                raise OverloadedError("no answer began")
            async for part in super().stream_part(query, **more):
                yield part

    writing = Late()
    answer = drafted(known, writing, query(earlier=earlier, instruction="Shorter."))
    assert [each.text for each in answer.draft.sections] == [writing.revised, earlier[1].text]
    assert answer.draft.remarks == ("the time was over: 1 of 2 sections are written",)
    empty = ScriptedWriting(revised="")
    answer = drafted(known, empty, query(earlier=earlier, instruction="Shorter."))
    assert [each.text for each in answer.draft.sections] == [each.text for each in earlier]


WAITS = "A job waits {} seconds for the warehouse before it gives up."
OLD = dated("old", WAITS.format(90), 2020, headings=("Waiting",))
NEW = dated("new", WAITS.format(30), 2024, headings=("Waiting",))


def test_the_latest_view_is_written_from_and_the_older_one_named(known):
    writing = ScriptedWriting(corpus=(OLD, NEW), texts={"Waiting": WAITS.format(30)})
    answer = drafted(known, writing, query(topic="How long a job waits", outline=("Waiting",)))
    [asked] = [asked for asked, _ in writing.asked]
    assert [source.document_id for source in asked.given] == ["new"]
    assert [source.document_id for source in answer.sources] == ["new"]
    [named] = answer.draft.contradictions
    assert answer.answer[named.start : named.end] == WAITS.format(30)
    assert (named.quote, named.url) == (OLD.text, OLD.url)
    assert named.published == OLD.published
    assert (named.latest, named.latest_quote, named.latest_url) == (False, NEW.text, NEW.url)


def test_an_older_view_that_the_draft_does_not_touch_is_named_too(known):
    writing = ScriptedWriting(corpus=(OLD, NEW), texts={"Waiting": "It gives up in the end."})
    answer = drafted(known, writing, query(topic="How long a job waits", outline=("Waiting",)))
    [named] = answer.draft.contradictions
    assert (named.start, named.end, named.quote) == (0, 0, OLD.text)
    assert named.latest_quote == NEW.text


def test_a_draft_against_the_latest_view_is_said_to_be(known):
    writing = ScriptedWriting(corpus=(NEW,), texts={"Waiting": WAITS.format(90)})
    answer = drafted(known, writing, query(topic="How long a job waits", outline=("Waiting",)))
    [named] = answer.draft.contradictions
    assert (named.quote, named.latest, named.latest_quote) == (NEW.text, True, "")


SNIPPET = 'pod = Pod(cpus=2, memory="4Gi", name="crawl", image="twin", job=crawl_texts)'
CODE = passage("code", f"```python\n{SNIPPET}\n```", headings=("A pod in code",))


def test_code_is_written_from_code_and_its_lines_are_no_claims(known):
    written = f"```python\n{SNIPPET}\n```\n\nEvery job runs in a pod of its own here."
    writing = ScriptedWriting(texts={"What a pod states": written})
    asked = query(kind="code", outline=("What a pod states",))
    answer = drafted(known, writing, asked)
    assert {each.filter.kinds for each in writing.searched if each.filter} == {("code",)}
    assert answer.answer.startswith(f"# {TOPIC}\n\n## What a pod states\n\n```python")
    [sentence] = answer.sentences
    assert answer.answer[sentence.start : sentence.end].startswith("Every job")
    writing = ScriptedWriting(corpus=(CODE,), texts=writing.texts)
    [copied] = drafted(known, writing, asked).draft.copied
    assert answer.answer[copied.start : copied.end] == f"```python\n{SNIPPET}\n```"
    assert answer.draft.remarks == ()


def test_code_comes_from_all_texts_where_code_says_nothing(known):
    class NoCode(ScriptedWriting):
        async def find(self, asked):
            found = await super().find(asked)
            return found.model_copy(update={"passages": ()}) if asked.filter else found

    writing = NoCode()
    answer = drafted(known, writing, query(kind="code", outline=("What a pod states",)))
    assert answer.sources
    narrowed = query(kind="code", filter_=TextsFilter(kinds=("post",)))
    drafted(known, writing, narrowed)
    assert ("post",) in {each.filter.kinds for each in writing.searched if each.filter}


def test_code_that_does_not_parse_is_said(known):
    writing = ScriptedWriting(texts={"What a pod states": "```python\ndef pod(:\n```\n\nDone."})
    answer = drafted(known, writing, query(kind="code", outline=("What a pod states",)))
    assert answer.draft.remarks[0].startswith("the code under 'What a pod states' is no python")


def test_a_block_that_was_cut_ends_its_fence(known):
    writing = ScriptedWriting(finish_reason="length")
    writing.texts["What a pod states"] = f"```python\n{SNIPPET}\npod = Pod(cp"
    [section] = drafted(
        known, writing, query(kind="code", outline=("What a pod states",))
    ).draft.sections
    assert section.text == f"```python\n{SNIPPET}\n```"
