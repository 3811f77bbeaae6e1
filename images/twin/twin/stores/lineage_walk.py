"""Walks from an answer, a chunk, a document or a model version to all that it hangs together with.

Nothing is recorded for this: each store's own manifests name what they were made of.
"""

from collections.abc import Iterator
from typing import Any

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.domain.lineage import Kind, Lineage, Node
from twin.domain.rollout import registered_number
from twin.domain.sample import InstructSample, Split
from twin.settings import Settings
from twin.stores.answer_records import ANSWERS
from twin.stores.files import open_files
from twin.stores.index import open_index_of
from twin.stores.lineage import (
    embedders_trained_on,
    models_trained_on,
    rerankers_trained_on,
    sample_sets,
)
from twin.stores.registry import MODEL_PREFIX, ModelVersion, Registry
from twin.stores.sample_sets import SampleSets, recipes_with_samples
from twin.stores.warehouse import Warehouse, open_warehouse

#: Of answers, documents and samples so many are shown; the others are counted.
SHOWN = 10


def lineage_of(settings: Settings, thing: str) -> Lineage:
    """The graph around an answer, a chunk, a document or a model version.

    Args:
        settings: where the stores are.
        thing: an id, or ``model:version`` or ``model@alias``.

    Raises:
        BadDataError: nothing of that name is in the stores.
        TryAgainError: a store is away.
    """
    with open_warehouse(settings) as warehouse:
        walk = _Walk(settings, warehouse)
        if thing.startswith(MODEL_PREFIX):
            return walk.of_model(thing)
        found = walk.of_answer(thing) or walk.of_document(thing) or walk.of_chunk(thing)
    if found is None:
        raise BadDataError(
            f"{thing}: no answer, document, chunk or model version of this name is in the stores: "
            "answers go when their time is over, chunks with their release"
        )
    return found


class _Walk:
    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self._settings = settings
        self._warehouse = warehouse
        self._files = open_files(settings)

    def of_answer(self, identity: str) -> Lineage | None:
        fields = {
            "created": 1,
            "answer.model": 1,
            "answer.model_version": 1,
            "answer.prompt_version": 1,
            "answer.configuration": 1,
            "answer.trace_id": 1,
            "answer.sources": 1,
        }
        with self._warehouse.plain_errors():
            record = self._warehouse.collection(ANSWERS).find_one({"_id": identity}, fields)
        if record is None:
            return None
        given = record["answer"]
        facts = {
            "given": f"{record['created']:%Y-%m-%d %H:%M} UTC",
            "prompt": given.get("prompt_version") or "unknown",
            "configuration": given.get("configuration") or "unknown",
            "trace": given["trace_id"],
        }
        answer = Node(kind=Kind.ANSWER, id=identity, facts=facts)
        graph = _about(answer)
        for source in given["sources"]:
            chunk = Node(kind=Kind.CHUNK, id=source["chunk_id"])
            graph.join(chunk, answer, "shown")
            self._join_document(graph, chunk, source["document_id"], source["revision"])
        version = self._version(given["model"], given["model_version"])
        if version is None:
            gone = Node(kind=Kind.MODEL, id=f"{given['model']}:{given['model_version']}")
            graph.join(gone, answer, "written by")
        else:
            graph.join(self._join_origins(graph, version), answer, "written by")
        return graph

    def of_document(self, identity: str) -> Lineage | None:
        document = self._warehouse.document(identity)
        if document is None:
            return None
        node = self._document(identity)
        graph = _about(node)
        chunks = [chunk for _, chunk in self._chunks_of(identity)]
        for chunk in chunks[:SHOWN]:
            graph.join(node, _chunk(chunk), f"revision {chunk.revision[:8]}")
        graph.left_out["chunks"] = max(len(chunks) - SHOWN, 0)
        self._join_learners(graph, node, identity)
        self._join_answers(graph, node, {"documents": identity})
        return graph

    def of_chunk(self, identity: str) -> Lineage | None:
        found = self._find_chunk(identity)
        if found is None:
            return None
        node = _chunk(found)
        graph = _about(node)
        self._join_document(graph, node, found.document_id, found.revision)
        for recipe in recipes_with_samples(self._files):
            sets = SampleSets(self._files, recipe)
            for version in sets.versions():
                count = sum(1 for each in _samples(sets, version) if _is_of(each, identity))
                if count:
                    samples = self._samples(recipe, version)
                    graph.join(node, samples, f"{count} samples")
                    self._join_trained(graph, samples, recipe, version)
        self._join_answers(graph, node, {"answer.sources.chunk_id": identity})
        return graph

    def of_model(self, name: str) -> Lineage:
        with Registry(self._settings) as registry:
            if "@" in name:
                version = registry.by_alias(*name.split("@", 1))
            elif ":" in name:
                model, served = name.split(":", 1)
                version = registry.version(model, registered_number(served))
            else:
                versions = registry.versions(name)
                version = versions[-1] if versions else None
        if version is None:
            raise BadDataError(f"{name}: the registry has no such version")
        graph = Lineage(about=_model(version).key)
        node = self._join_origins(graph, version)
        number, field = version.version, "answer.model_version"
        # In whichever configuration: 7, or 7-1f3a09bc; "." comes after "-".
        either = [{field: number}, {field: {"$gte": f"{number}-", "$lt": f"{number}."}}]
        query = {"answer.model": version.name, "$or": either}
        self._join_answers(graph, node, query)
        return graph

    # Upwards

    def _join_document(self, graph: Lineage, chunk: Node, document: str, revision: str) -> None:
        graph.join(self._document(document), chunk, f"revision {revision[:8]}")

    def _document(self, identity: str) -> Node:
        found = self._warehouse.document(identity)
        facts = {} if found is None else {"title": found.title, "url": found.url}
        return Node(kind=Kind.DOCUMENT, id=identity, facts=facts or {"state": "not there"})

    def _join_origins(self, graph: Lineage, version: ModelVersion) -> Node:
        """Add a version with its samples, their documents, and its base model."""
        node = graph.add(_model(version))
        if base := version.tags.get("base_model"):
            graph.join(Node(kind=Kind.BASE, id=base), node, "trained from")
        recipe, dataset = (
            version.name.removeprefix(MODEL_PREFIX),
            version.tags.get("dataset_version"),
        )
        if dataset:
            samples = self._samples(recipe, dataset)
            graph.join(samples, node, "trained on")
            self._join_sources(graph, samples, recipe, dataset)
        return node

    def _join_sources(self, graph: Lineage, samples: Node, recipe: str, version: str) -> None:
        sets = SampleSets(self._files, recipe)
        if not sets.is_published(version):
            return
        learnt = [
            id_
            for id_, split in sets.manifest(version).documents.items()
            if split is not Split.TEST
        ]
        for identity in learnt[:SHOWN]:
            graph.join(self._document(identity), samples, "dealt to it")
        graph.left_out["documents"] = max(len(learnt) - SHOWN, 0)

    def _samples(self, recipe: str, version: str) -> Node:
        return Node(kind=Kind.SAMPLES, id=f"{recipe}/{version}")

    # Downwards

    def _join_learners(self, graph: Lineage, document: Node, identity: str) -> None:
        for recipe, version in sample_sets(
            self._settings, lambda manifest: identity in manifest.documents
        ):
            samples = self._samples(recipe, version)
            graph.join(document, samples, "dealt to it")
            self._join_trained(graph, samples, recipe, version)

    def _join_trained(self, graph: Lineage, samples: Node, recipe: str, version: str) -> None:
        chosen = [(recipe, version)]
        for model in models_trained_on(self._settings, chosen):
            graph.join(samples, _model(model), "trained on")
        for reranker in rerankers_trained_on(self._settings, chosen):
            graph.join(samples, Node(kind=Kind.RERANKER, id=reranker), "trained on")
        for embedder in embedders_trained_on(self._settings, chosen):
            graph.join(samples, Node(kind=Kind.EMBEDDER, id=embedder), "trained on")

    def _join_answers(self, graph: Lineage, node: Node, query: dict[str, Any]) -> None:
        """Add the newest answers that a query finds, and count the others."""
        with self._warehouse.plain_errors():
            answers = self._warehouse.collection(ANSWERS)
            newest = answers.find(query, {"created": 1}).sort("created", -1).limit(SHOWN)
            for record in newest:
                facts = {"given": f"{record['created']:%Y-%m-%d %H:%M} UTC"}
                graph.join(node, Node(kind=Kind.ANSWER, id=record["_id"], facts=facts), "used by")
            graph.left_out["answers"] = max(answers.count_documents(query) - SHOWN, 0)

    # Finding

    def _version(self, name: str, version: str) -> ModelVersion | None:
        with Registry(self._settings) as registry:
            return registry.version(name, registered_number(version))

    def _indexes(self) -> Iterator[str]:
        yield from open_index_of(self._settings, "any").recipes()

    def _find_chunk(self, identity: str) -> Chunk | None:
        for recipe in self._indexes():
            index = open_index_of(self._settings, recipe)
            if index.state() is None:
                continue
            reader = index.read()
            try:
                if found := reader.get([identity]).get(identity):
                    return found
            finally:
                reader.close()
        return None

    def _chunks_of(self, document: str) -> Iterator[tuple[str, Chunk]]:
        for recipe in self._indexes():
            index = open_index_of(self._settings, recipe)
            if index.state() is None:
                continue
            reader = index.read()
            try:
                yield from ((recipe, chunk) for chunk in reader.chunks([document]))
            finally:
                reader.close()


def _about(node: Node) -> Lineage:
    graph = Lineage(about=node.key)
    graph.add(node)
    return graph


def _chunk(chunk: Chunk) -> Node:
    place = " > ".join(chunk.headings)
    return Node(kind=Kind.CHUNK, id=chunk.id, facts={"section": place} if place else {})


def _model(version: ModelVersion) -> Node:
    known = {
        "code": version.tags.get("code_version", ""),
        "recipe": version.tags.get("recipe_digest", ""),
        "run": version.run_id,
    }
    facts = {name: value for name, value in known.items() if value}
    return Node(kind=Kind.MODEL, id=f"{version.name}:{version.version}", facts=facts)


def _samples(sets: SampleSets, version: str) -> Iterator[InstructSample]:
    for split in Split:
        yield from sets.instruct(version, split)


def _is_of(sample: InstructSample, chunk: str) -> bool:
    return chunk == sample.chunk_id or chunk in sample.chunk_ids
