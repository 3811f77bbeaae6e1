"""Footnotes and side notes are Markdown's, and stay with what refers to them."""

# ruff: noqa: E501 - markup as it is written

import pytest

from tests.twin.crawl.formats.prose import content

NOTE = "It was the eel that stopped it"


@pytest.mark.parametrize(
    ("reference", "note"),
    [
        ('<sup id="fnref:1"><a href="#fn:1" class="footnote-ref">1</a></sup>',
         '<div class="footnotes"><hr><ol><li id="fn:1"><p>{}&#160;<a href="#fnref:1">↩︎</a></p></li>'
         "</ol></div>"),
        ('<a href="#fn1" id="fnref1" role="doc-noteref"><sup>1</sup></a>',
         '<section class="footnotes" role="doc-endnotes"><ol><li id="fn1"><p>{}<a href="#fnref1" '
         'class="footnote-back" role="doc-backlink">↩︎</a></p></li></ol></section>'),
        ('<sup class="footnote-ref"><a href="#user-content-fn-1" id="user-content-fnref-1" '
         "data-footnote-ref>1</a></sup>",
         '<section data-footnotes class="footnotes"><h2 class="sr-only">Footnotes</h2><ol><li '
         'id="user-content-fn-1"><p>{} <a href="#user-content-fnref-1">↩</a></p></li></ol></section>'),
        ('<a name="_ftnref1" href="#_ftn1">[1]</a>',
         '<div id="ftn1"><p><a name="_ftn1" href="#_ftnref1">[1]</a> {}</p></div>'),
        ('<a class="noteref" href="#n1">1</a>', '<aside id="n1" class="footnote"><p>{}</p></aside>'),
        ('<sup><a href="#note-1">*</a></sup>', '<p id="note-1">{}</p>'),
    ],
)  # fmt: skip
def test_notes_of_every_kind(reference: str, note: str) -> None:
    text = content(
        f"<p>The wheel stood still{reference} for a week in the dry summer.</p>",
        below=note.format(f"{NOTE}."),
    )
    assert "stood still[^1] for a week" in text
    assert text.rstrip().endswith(f"[^1]: {NOTE}.")
    assert text.count(NOTE) == 1 and "↩" not in text


@pytest.mark.parametrize(
    "note",
    [
        '<label for="s1" class="margin-toggle sidenote-number"></label><input type="checkbox" id="s1"'
        ' class="margin-toggle"><span class="sidenote">{}</span>',
        '<span class="marginnote">{}</span>',
        '<small class="sidenote">{}</small>',
    ],
)
def test_a_side_note_stands_apart_from_its_sentence(note: str) -> None:
    text = content(f"<p>The wheel stood still{note.format(NOTE)} for a week in the dry summer.</p>")
    assert f"The wheel stood still[^1] for a week in the dry summer.\n\n[^1]: {NOTE}" in text


def test_a_note_of_what_is_left_out_goes_with_it() -> None:
    furniture = '<div class="newsletter"><p>Read by many.<sup><a href="#fn9">9</a></sup></p></div>'
    note = '<div class="footnotes"><ol><li id="fn9"><p>By nine.</p></li></ol></div>'
    assert "By nine" not in content("", below=furniture + note)


def test_links_within_the_page_are_no_notes() -> None:
    text = content('<p>See <a href="#part">1</a> for more of this.</p><h2 id="part">Part</h2>')
    assert "[^" not in text


def test_a_note_that_refers_to_itself_and_two_that_refer_to_each_other() -> None:
    def mark(number: int) -> str:
        return f'<sup id="r{number}"><a href="#fn{number}">{number}</a></sup>'

    notes = "".join(
        f'<li id="fn{n}"><p>Note {n} sees{mark(m)} on. <a href="#r{n}">↩</a></p></li>'
        for n, m in ((1, 1), (2, 3), (3, 2))
    )
    text = content(
        f"<p>The wheel{mark(1)} stood{mark(2)} still for a week in the dry summer.</p>",
        below=f'<div class="footnotes"><ol>{notes}</ol></div>',
    )
    assert "wheel[^1] stood[^2] still" in text
    assert all(f"[^{n}]: Note {n} sees" in text for n in (1, 2, 3))


def test_two_thousand_notes() -> None:
    marks = "".join(f'so<sup><a href="#fn{n}">{n}</a></sup> ' for n in range(1, 2001))
    notes = "".join(f'<li id="fn{n}"><p>Said by {n}.</p></li>' for n in range(1, 2001))
    text = content(f"<p>It is {marks}.</p>", below=f'<div class="footnotes"><ol>{notes}</ol></div>')
    assert "[^2000]: Said by 2000." in text
