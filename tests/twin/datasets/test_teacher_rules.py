"""Rules for what a teacher writes, with the real embedder as verifier of support."""

import pytest

from tests.twin import corpora
from twin.datasets.gates import Reason
from twin.datasets.passages import Passage
from twin.datasets.teacher_rules import TeacherRules
from twin.domain.sample import InstructSample, Maker, Split, TeacherKind
from twin.models.embedder import load_embedder
from twin.rag.prompt import format_passage
from twin.rag.support import SupportVerifier
from twin.settings import Settings

TEXT = (
    "Each night the keeper of the lighthouse walks up 117 steps and lights the oil lamp by hand. "
    "He has done so for thirty years, in storms and in calm weather, and never missed an evening. "
    "The harbour master pays him in fish, since the village has no money left after the flood."
)
GERMAN = (
    "Jede Nacht steigt der Wärter des Leuchtturms die hundertsiebzehn Stufen hinauf und zündet die "
    "Lampe mit der Hand an, seit dreißig Jahren schon, bei Sturm und bei ruhigem Wetter."
)
PLAIN = (
    "The lighthouse keeper goes up 117 steps every night to light the oil lamp by hand. For thirty "
    "years, whether in storms or calm weather, he never missed one evening. The village has no "
    "money left because of the flood, so the harbour master pays the keeper in fish."
)
INSTRUCTION, QUESTION, REWRITE = TeacherKind


@pytest.fixture(scope="module")
def verifier():
    return SupportVerifier(load_embedder("all-minilm-l6-v2", Settings()))


def passage(text=TEXT, **fields):
    chunk = corpora.document("d")[0].model_copy(update={"text": text, **fields})
    return Passage(chunk, text)


def sample(kind, instruction, answer=TEXT, text=TEXT):
    chunk = passage(text).chunk
    return InstructSample(
        id=instruction[:20], split=Split.TRAIN, instruction=instruction, answer=answer,
        context=(format_passage(chunk),) if kind is QUESTION else (),
        document_id="d", revision="r", chunk_id=chunk.id, title="t", url="u",
        maker=Maker.TEACHER, kind=kind.value,
    )  # fmt: skip


def fault(verifier, made, **fields):
    passed = TeacherRules(verifier, "I have not written about that.", 60).check(
        passage(**fields), [made]
    )
    assert len(passed.kept) + len(passed.rejected) == 1
    return passed.rejected[0].reason if passed.rejected else None


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("How does the lighthouse keeper live?", None),
        ("The lighthouse keeper?", None),  # three words
        ("Lighthouse keeper?", Reason.LENGTH),
        ("keeper " * 80, None),
        ("keeper " * 81, Reason.LENGTH),
        ("What does this passage say of the keeper?", Reason.POINTS),
        ("According to The Text Above, who lights the lamp?", Reason.POINTS),
        ("Who lights the lamp by hand?", None),
        ("Who lights the oil lamp by hand?", Reason.GIVES_AWAY),  # six words in a row
        (GERMAN, Reason.LANGUAGE),
    ],
)
def test_instructions(verifier, instruction, reason):
    assert fault(verifier, sample(INSTRUCTION, instruction)) is reason


def test_the_language_is_the_passages(verifier):
    asked = "Was schreibst du über den Wärter des Leuchtturms, der jede Nacht die Stufen steigt?"
    made = sample(INSTRUCTION, asked, GERMAN, GERMAN)
    assert fault(verifier, made, text=GERMAN) is None
    assert fault(verifier, sample(INSTRUCTION, asked)) is Reason.LANGUAGE
    # Too little of it to tell: what the index says of the chunk counts.
    short = "Zu kurz."
    assert fault(verifier, sample(INSTRUCTION, asked), text=short, language="de") is None
    assert fault(verifier, sample(INSTRUCTION, asked), text=short, language="fr") is Reason.LANGUAGE
    assert fault(verifier, sample(INSTRUCTION, asked), text=short) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I climb 117 steps to light the lamp by hand.", None),
        ("In fish.", None),  # too short to be verified, and in the author's words
        ("In gold.", Reason.UNSUPPORTED),
        ("I climb 118 steps to light the lamp by hand.", Reason.UNSUPPORTED),
        ("The mayor of London sails on Sundays with a crew of nine.", Reason.UNSUPPORTED),
        (TEXT.partition(".")[0] + ".", Reason.COPY),
        ("The harbour master pays him in fish", None),  # seven words
        ("The harbour master pays him in fish, since", Reason.COPY),
        ("I have not written about that.", Reason.REFUSES),
        ("The keeper lights the lamp by hand. " * 9, Reason.LENGTH),
        (GERMAN, Reason.LANGUAGE),
    ],
)
def test_answers(verifier, answer, reason):
    made = sample(QUESTION, "What does the lighthouse keeper do?", answer)
    assert fault(verifier, made) is reason


def test_an_answers_question_keeps_the_rules_of_instructions(verifier):
    made = sample(QUESTION, "What does this passage say?", "In fish.")
    assert fault(verifier, made) is Reason.POINTS


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (PLAIN, None),
        (TEXT, Reason.COPY),
        ("So it.", Reason.LENGTH),
        (f"{PLAIN} {PLAIN}", Reason.LENGTH),
        ("The lighthouse keeper goes up 117 steps every night.", Reason.UNSUPPORTED),  # lacks most
        (
            "Sheep graze on the hills of the mainland. Trains run on Sundays to the capital. A new "
            "theatre was opened by the queen.",
            Reason.UNSUPPORTED,
        ),
        (GERMAN, Reason.LANGUAGE),
    ],
)
def test_plain_texts(verifier, plain, reason):
    made = sample(REWRITE, f"Put this into your own words.\n\n{plain}")
    assert fault(verifier, made) is reason


def test_a_plain_text_adds_nothing(verifier):
    added = (
        f"{PLAIN} Sheep graze on the hills of the mainland. Trains run to the capital. A theatre "
        "was opened."
    )
    assert fault(verifier, sample(REWRITE, f"Put this.\n\n{added}")) is Reason.UNSUPPORTED


def test_nothing_is_asked_twice_by_one_teacher(verifier):
    rules = TeacherRules(verifier, "No.", 60)
    asked = [
        sample(INSTRUCTION, "How does the keeper live?"),
        sample(INSTRUCTION, "The keeper, how does he live?"),
        sample(INSTRUCTION, "How does the KEEPER live"),
    ]
    passed = rules.check(passage(), asked)
    assert passed.kept == asked[:2]
    assert [each.reason for each in passed.rejected] == [Reason.REPEATED]
    later = rules.check(passage(), [asked[0], sample(INSTRUCTION, "Where does he live?")])
    assert [each.instruction for each in later.kept] == ["Where does he live?"]
