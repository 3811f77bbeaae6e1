"""Commands of `twin rag`."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.domain.answer import Passage
from twin.domain.terminal import printable
from twin.job import RecipeOption, plain_errors
from twin.rag.ask_commands import ask
from twin.recipes import load_recipe
from twin.settings import get_settings

if TYPE_CHECKING:
    from twin.rag.dont_know import Point
    from twin.rag.retrieve import Found

app = typer.Typer(help="Search and ask on the command line.", no_args_is_help=True)

LINES_SHOWN = 4
WIDTH = 96

app.command()(ask)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    recipe: RecipeOption,
    k: Annotated[int, typer.Option("--k", min=1, max=1_000, help="Passages to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Find the passages that a question would be answered from, best first.

    By the arms, fusion and reranking of the recipe's section `retrieval`.

    Reads: the recipe's index (built by `twin features build`). Writes: nothing.
    """
    from twin.rag.retrieve import open_retriever

    with plain_errors("rag search"):
        settings = get_settings()
        retriever = open_retriever(load_recipe(recipe, settings.recipes), settings)
        found = retriever.find(question, k)
    if as_json:
        data = [passage.model_dump(mode="json") for passage in found.passages]
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return
    for note in found.notes:
        print(f"({note})")
    if not found.answerable:
        print(f"({_why_unanswered(found)}: not answered)")
    _print(found.passages)


@app.command()
def calibrate(
    questions: Annotated[
        Path, typer.Argument(help="YAML: lists of questions, `answered` and `unanswered`.")
    ],
    recipe: RecipeOption,
    false_refusals: Annotated[
        float, typer.Option(min=0, max=1, help="Share of answered questions that may be refused.")
    ] = 0.02,
) -> None:
    """Find the `retrieval.min_score` below which the twin should say that it does not know.

    Reads: the recipe's index, and questions that the texts answer and some that they don't.
    Writes: nothing; prints thresholds with what each would refuse, and the one to put into the
    recipe.
    """
    from twin.rag import dont_know
    from twin.rag.retrieve import open_retriever

    with plain_errors("rag calibrate"):
        asked = dont_know.read_questions(questions)
        settings = get_settings()
        retriever = open_retriever(load_recipe(recipe, settings.recipes), settings)
        near = {
            kind: [retriever.find(one, 1).similarity or 0.0 for one in asked[kind]]
            for kind in dont_know.KINDS
        }
        points = dont_know.curve(*near.values())
        print("min_score  refused of unanswered  refused of answered")
        for share in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2):
            _print_point(dont_know.calibrate(points, share))
        print("recommended:")
        _print_point(dont_know.calibrate(points, false_refusals))


@app.command("train-guardrail")
def train_guardrail(
    texts: Annotated[Path, typer.Argument(help="YAML: lists of texts, `attacks` and `harmless`.")],
    recipe: RecipeOption,
    out: Annotated[Path, typer.Option(help="Folder that the guardrail is written to.")],
    wrongly: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the harmless texts that it may meet.")
    ] = 0.005,
) -> None:
    """Train a guardrail over the recipe's embedder that tells attacks from harmless texts.

    Name its folder as `model` of one of `serving.guardrails.classifiers`, with the label INJECTION.
    The harmless texts should be near the attacks (questions about keys, prompts and rules), and
    some questions that callers do ask; keep texts of both kinds back to see what it is worth.

    Reads: the texts. Writes: `head.safetensors` in the folder; prints what it meets of texts that
    it was not fitted to (cross-validation).
    """
    from twin.models.embedder import load_embedder
    from twin.rag.guardrail_head import FILE, read_texts, train_head

    with plain_errors("rag train-guardrail"):
        given = read_texts(texts)
        settings = get_settings()
        embedder = load_embedder(load_recipe(recipe, settings.recipes).features.embedder, settings)
        trained = train_head(given["attacks"], given["harmless"], embedder, wrongly)
        trained.save(out)
    print(
        f"{len(given['attacks'])} attacks, {len(given['harmless'])} harmless texts: meets "
        f"{trained.caught:.1%} of attacks and {trained.wrongly:.1%} of harmless texts\n{out / FILE}"
    )


def _print_point(point: "Point") -> None:
    print(f"{point.threshold:9.3f}  {point.refused:21.1%}  {point.wrongly:19.1%}")


def _print(passages: Sequence[Passage]) -> None:
    if not passages:
        print("Nothing found.")
    for passage in passages:
        where = " > ".join((passage.title, *passage.headings))
        text = textwrap.shorten(passage.text, WIDTH * LINES_SHOWN, placeholder=" …")
        lines = [
            f"{passage.rank:>3}  {passage.score:.4f}  {where}",
            f"     {passage.url}",
            textwrap.indent(textwrap.fill(text, WIDTH), "     "),
        ]
        print(printable("\n".join(lines)), end="\n\n")


def _why_unanswered(found: "Found") -> str:
    if found.similarity is None:
        return "the question has no word"
    return f"best cosine {found.similarity:.2f}, under retrieval.min_score"
