"""Small sample sets of two versions and their pairs, published in a file store."""

from datetime import UTC, datetime

from twin.domain.conversation import Turn
from twin.domain.feedback_pair import Basis, FeedbackPair, FeedbackSource
from twin.domain.sample import InstructSample, Maker, PreferencePair, Split
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSetManifest, PairSets
from twin.stores.sample_sets import SampleSetManifest, SampleSets

HISTORY = (Turn(role="user", content="One?"), Turn(role="assistant", content="Yes."))


def sample(name, split=Split.TRAIN, **fields):
    return InstructSample(
        **{
            "id": name,
            "split": split,
            "instruction": f"What of {name}?",
            "answer": f"Answer {name}.",
            "document_id": f"d-{split.value}",
            "revision": "r",
            "chunk_id": f"c-{name}",
            "chunk_ids": (f"c-{name}",),
            "title": "Pods",
            "url": f"https://a.example/{name}",
            **fields,
        }
    )


def pair(name, split=Split.TRAIN, **fields):
    return PreferencePair(
        **{
            "id": f"p-{name}",
            "split": split,
            "instruction": f"What of {name}?",
            "chosen": f"Answer {name}.",
            "rejected": f"Bad {name}.",
            "rejected_by": "m",
            "document_id": f"d-{split.value}",
            "revision": "r",
            "chunk_id": f"c-{name}",
            "sample_id": name,
            **fields,
        }
    )


def candidate(name, *documents, **fields):
    """A candidate pair of callers' feedback on an answer from these documents."""
    sources = tuple(
        FeedbackSource(document_id=each, revision="r", chunk_id=f"{each}-0", url=f"u/{each}")
        for each in documents or ("d-train",)
    )
    own = {"document_id": sources[0].document_id, "id": name, "sample_id": "", "answer_id": "a1"}
    return FeedbackPair(
        **{
            "pair": pair(name, **own, **fields.pop("pair", {})),
            "basis": Basis.CORRECTION,
            "model_version": "1",
            "created": datetime(2026, 11, 30, tzinfo=UTC),
            "sources": sources,
            "documents": tuple(sorted({each.document_id for each in sources})),
            **fields,
        }
    )


FOLLOW_UP = sample(
    "b", maker=Maker.WRITTEN, kind="why", history=HISTORY, context=("Pods\nA pod.",), facts=("b",)
)
FIRST = [sample("a"), FOLLOW_UP, sample("c"), sample("e", Split.TEST)]
SECOND = [
    sample("a", revision="r2"),
    FOLLOW_UP.model_copy(update={"answer": "Another b."}),
    sample("c", Split.TEST),
    sample("f", Split.TEST),
]


def publish(settings, version, samples, pairs=(), **fields):
    sets = SampleSets(open_files(settings), fields.get("recipe", "ann"))
    manifest = SampleSetManifest(
        **{
            "version": version,
            "recipe": "ann",
            "author_id": "ann",
            "author_name": "Ann",
            "index_fingerprint": "f",
            "recipe_digest": "d",
            "prompt_version": "1",
            "documents": {each.document_id: each.split for each in samples},
            "counts": {},
            **fields,
        }
    )
    sets.publish(manifest, samples, "card")
    if pairs:
        publish_pairs(settings, version, f"p-{version}", pairs)
    return sets


def publish_pairs(settings, samples, version, pairs):
    """Pairs made of a version of samples."""
    sets = PairSets(open_files(settings), "ann")
    manifest = PairSetManifest(
        version=version,
        recipe="ann",
        author_name="Ann",
        dataset_version=samples,
        adapter="training/ann/f/sft/adapter",
        base_model="b",
        rejected_by="m",
        samples=len(pairs),
        candidates=len(pairs),
        pairs=len(pairs),
        length_auc=0.5,
        likeness=0.5,
    )
    sets.publish(manifest, pairs, "card")
    return sets


def recipe_file(folder):
    path = folder / "ann.yaml"
    path.write_text(
        "name: ann\nauthor: {id: ann, name: Ann}\n"
        "sources: [{kind: folder, name: f, path: articles}]\n"
    )
    return path
