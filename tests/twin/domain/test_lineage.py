"""The graph of what came from what, as text and as a picture."""

from twin.domain.lineage import Kind, Lineage, Node

DOCUMENT = Node(kind=Kind.DOCUMENT, id="d", facts={"title": 'On "pods" <b>|x</b>'})
CHUNK = Node(kind=Kind.CHUNK, id="c")
ANSWERS = [Node(kind=Kind.ANSWER, id=f"a{n}") for n in (1, 2)]


def graph():
    made = Lineage(about=CHUNK.key, left_out={"answers": 3, "documents": 0})
    made.join(DOCUMENT, CHUNK, "revision 1")
    for answer in ANSWERS:
        made.join(CHUNK, answer, "shown")
    return made


def test_a_terminal_shows_both_ways_from_what_it_is_about():
    assert graph().text().splitlines() == [
        "chunk c",
        "comes from:",
        '  document d  title: On "pods" <b>|x</b> (revision 1)',
        "led to:",
        "  answer a1 (shown)",
        "  answer a2 (shown)",
        "and 3 more: answers",
    ]


def test_it_walks_on_and_a_ring_does_not_hold_it():
    made = graph()
    made.join(Node(kind=Kind.BASE, id="b"), DOCUMENT)
    made.join(CHUNK, Node(kind=Kind.BASE, id="b"))
    lines = made.text().splitlines()
    assert "    base model b" in lines
    assert len(lines) < 20


def test_the_picture_has_every_node_and_edge_and_nothing_of_strangers_markup():
    picture = graph().mermaid()
    assert picture.startswith("flowchart LR\n")
    assert picture.count("-->") == 3
    assert "-->|revision 1|" in picture
    assert '"pods"' not in picture and "<b>|x" not in picture
    assert "On 'pods' (b)/x(/b)" in picture
    assert picture.count(":::about") == 1


def test_a_node_keeps_the_facts_that_it_came_with():
    made = graph()
    made.join(Node(kind=Kind.DOCUMENT, id="d"), CHUNK, "revision 1")
    assert made.nodes[DOCUMENT.key] == DOCUMENT
    assert len(made.edges) == 3
