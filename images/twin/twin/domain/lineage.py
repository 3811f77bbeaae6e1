"""What something comes from and what came of it, as a graph that people can read and look at."""

from collections.abc import Callable, Iterator
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Kind(StrEnum):
    """What a node of the graph is."""

    DOCUMENT = "document"
    CHUNK = "chunk"
    SAMPLES = "sample set"
    MODEL = "model version"
    BASE = "base model"
    RERANKER = "reranker"
    EMBEDDER = "embedder"
    ANSWER = "answer"


class Node(BaseModel):
    """One thing.

    Attributes:
        kind: what it is.
        id: its own; with the kind it is unique.
        facts: for people, by name.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    id: str
    facts: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """Unique among all nodes."""
        return f"{self.kind.value} {self.id}"


class Edge(BaseModel):
    """That something was made of something else."""

    model_config = ConfigDict(frozen=True)

    source: str = Field(description="key of the node that it was made of")
    target: str = Field(description="key of the node that was made")
    how: str = Field(default="", description="shown, trained on, cut from, …")


class Lineage(BaseModel):
    """A graph around one node.

    Attributes:
        about: key of the node.
        nodes: by key; the one that it is about is among them.
        edges: from what something was made of to what was made.
        left_out: how many more there are of a kind, where not all are shown.
    """

    about: str
    nodes: dict[str, Node] = Field(default_factory=dict)
    edges: list[Edge] = Field(default_factory=list)
    left_out: dict[str, int] = Field(default_factory=dict)

    def add(self, node: Node) -> Node:
        """Add a node; one that is there keeps the facts that it has."""
        return self.nodes.setdefault(node.key, node)

    def join(self, source: Node, target: Node, how: str = "") -> None:
        """Say that ``target`` was made of ``source``; both are added."""
        edge = Edge(source=self.add(source).key, target=self.add(target).key, how=how)
        if edge not in self.edges:
            self.edges.append(edge)

    def upwards(self, key: str) -> list[Edge]:
        """What a node was made of."""
        return [edge for edge in self.edges if edge.target == key]

    def downwards(self, key: str) -> list[Edge]:
        """What was made of a node."""
        return [edge for edge in self.edges if edge.source == key]

    def text(self) -> str:
        """The graph as two trees, for a terminal."""
        lines = [_line(self.nodes[self.about])]
        for head, walk in (("comes from", self.upwards), ("led to", self.downwards)):
            if walk(self.about):
                lines += [f"{head}:", *self._tree(self.about, walk, 1, frozenset({self.about}))]
        lines += [f"and {count} more: {what}" for what, count in self.left_out.items() if count]
        return "\n".join(lines)

    def _tree(
        self, key: str, walk: Callable[[str], list[Edge]], depth: int, seen: frozenset[str]
    ) -> Iterator[str]:
        for edge in walk(key):
            other = edge.source if edge.target == key else edge.target
            how = f" ({edge.how})" if edge.how else ""
            yield f"{'  ' * depth}{_line(self.nodes[other])}{how}"
            if other not in seen:
                yield from self._tree(other, walk, depth + 1, seen | {other})

    def mermaid(self) -> str:
        """The graph as a flowchart of Mermaid, which GitHub and many editors draw."""
        numbers = {key: f"n{number}" for number, key in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        lines += [
            f'  {numbers[key]}["{_label(node)}"]' + (":::about" if key == self.about else "")
            for key, node in self.nodes.items()
        ]
        lines += [
            f"  {numbers[edge.source]} -->{f'|{_plain(edge.how)}|' if edge.how else ''} "
            f"{numbers[edge.target]}"
            for edge in self.edges
        ]
        return "\n".join([*lines, "  classDef about stroke-width:3px"]) + "\n"


def _line(node: Node) -> str:
    facts = "".join(f"  {name}: {value}" for name, value in node.facts.items())
    return f"{node.kind.value} {node.id}{facts}"


def _label(node: Node) -> str:
    shown = [f"<b>{node.kind.value}</b> {_plain(node.id)}"]
    shown += [f"{_plain(name)}: {_plain(value)}" for name, value in node.facts.items()]
    return "<br>".join(shown)


def _plain(text: str) -> str:
    """A text without what Mermaid or HTML would read as their own (titles are strangers' words)."""
    signs = {'"': "'", "<": "(", ">": ")", "|": "/", "&": "+", "`": "'", "#": "No. ", ";": ","}
    return "".join(signs.get(sign, sign) for sign in " ".join(text.split()))[:80]
