"""The card as a page: what it says, and that nothing of a sample gets out of its text."""

import base64
import re

from tests.html_page import Page
from tests.twin.datasets.sets import FOLLOW_UP, publish, sample
from twin.datasets.card_page import EXAMPLES, render_page
from twin.domain.sample import Split

PNG = b"\x89PNG\r\n\x1a\n"
EVIL = '</div><script src="https://evil.example/x.js">alert("1")</script>{{ manifest }}'


def page(settings, samples, **fields):
    sets = publish(settings, "v1", samples, **fields)
    return render_page(sets.manifest("v1"), samples)


def test_it_shows_splits_sources_what_is_left_out_and_examples_with_their_passages(settings):
    samples = [
        *(sample(f"a{number}", url="https://a.example/one") for number in range(5)),
        FOLLOW_UP,
        sample("t", Split.TEST, url="file:///x/notes.md", title="Notes"),
    ]
    seen = Page(
        page(
            settings,
            samples,
            skipped={"code, list or table": 7},
            set_aside={"document not in the index": 2},
            redacted={"EMAIL_ADDRESS": 3},
            copy_share={"train": 0.25, "validation": 0.0, "test": 0.5},
        )
    )
    words = " ".join(seen.text.split())
    assert "train 1 6 1 validation 0 0 0 test 1 1 0" in words
    assert "a.example 6 files 1" in words
    assert "code, list or table 7" in words
    assert "document not in the index 2" in words
    assert "[EMAIL_ADDRESS] 3" in words
    assert "Mind that the train split has only 1 of 2 documents" in words
    assert "written, why" in words
    assert "Pods A pod." in words
    assert "user One? assistant Yes. question What of b? answer Answer b." in words
    assert "must contain: b" in words
    assert words.count("None: it is asked from memory.") == EXAMPLES
    assert "What of t?" not in words, "what is held out is not shown"
    images = seen.values("img", "src")
    assert len(images) == 3
    for image in images:
        kind, _, data = image.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(PNG)


def test_topics_are_phrases_that_several_documents_hold(settings):
    def held(name, document, answer):
        return sample(name, document_id=document, answer=answer)

    samples = [
        held("a", "d1", "The night watch rings. The old harbour sleeps."),
        held("b", "d1", "Of the night watch."),
        held("c", "d2", "Then the night watch, and the old harbour."),
        held("d", "d3", "About the night watch. A lone ship."),
        held("e", "d3", "A lone ship."),
    ]
    words = " ".join(Page(page(settings, samples)).text.split())
    assert "answers that hold it night watch 3 3 " in words
    assert "lone ship" not in words.partition("Topics")[2].partition("Left out")[0]
    alone = " ".join(Page(page(settings, samples[:1])).text.split())
    assert "No phrase is held by several documents." in alone


def test_an_answer_that_stands_in_a_passage_is_marked(settings):
    copied = sample("a", context=("Pods\nAnswer  a. And more.",))
    assert "stands verbatim in a passage shown" in page(settings, [copied])
    assert "stands verbatim in a passage shown" not in page(settings, [FOLLOW_UP])


def test_text_of_samples_stays_text_and_nothing_is_fetched(settings):
    evil = sample(
        "a",
        instruction=EVIL,
        answer=EVIL,
        title=EVIL,
        context=(EVIL,),
        facts=(EVIL,),
        url="javascript:alert(1)",
    )
    harmless = sample("b", url='https://a.example/"onclick="x')
    html = page(settings, [evil, harmless], author_name=EVIL, skipped={EVIL: 1})
    seen = Page(html)
    assert EVIL in seen.text
    assert not {tag for tag, _ in seen.tags} & {"script", "link", "iframe", "object"}
    assert seen.text.count("{{ manifest }}") == html.count("{{ manifest }}") > 5
    assert not [attrs for _, attrs in seen.tags if any(name.startswith("on") for name in attrs)]
    assert set(seen.values("a", "href")) == {'https://a.example/"onclick="x'}
    assert all(source.startswith("data:image/png;") for source in seen.values("img", "src"))
    (policy,) = re.findall(r'content="(default-src [^"]*)"', html)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_most_samples_first_and_the_rest_of_the_documents_counted(settings):
    samples = [
        sample(f"s{number}", document_id=f"d{number:03}", title=f"Document {number:03}")
        for number in range(103)
    ]
    samples += [sample("again", document_id="d050", title="Document 050")]
    words = " ".join(Page(page(settings, samples)).text.split())
    listed = re.findall(r"Document (\d+) train (\d)", words)
    assert listed[0] == ("050", "2")
    assert len(listed) == 100
    assert "And 3 more documents, of fewer samples." in words
