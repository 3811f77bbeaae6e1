"""The handbook stays a corpus worth training on, and stays true of the system that it explains.

Every command, path, recipe key, setting, port, exit code and HTTP route that an article shows is
looked up in the code, so a rename that forgets the documentation fails here.
"""

import re
import shlex
import typing
from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path

import frontmatter
import pytest
import typer
import yaml
from typer.core import TyperCommand, TyperGroup

from twin.cli import app
from twin.crawl.sources.folder import file_url
from twin.datasets.splits import split_documents
from twin.domain.document import document_id
from twin.domain.errors import ExitCode
from twin.domain.sample import Split
from twin.recipes import Recipe, load_recipe
from twin.settings import Settings

ROOT = Path(__file__).parents[3]
HANDBOOK = ROOT / "include" / "handbook"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ARTICLES = sorted(path.name for path in HANDBOOK.glob("*.md"))

every_article = pytest.mark.parametrize("name", ARTICLES)


@cache
def article(name: str) -> frontmatter.Post:
    return frontmatter.loads((HANDBOOK / name).read_text(encoding="utf-8"))


def prose(name: str) -> str:
    """The article without its fenced blocks."""
    return FENCE.sub("", article(name).content)


def fenced(name: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(article(name).content) if kind == language]


def paragraphs(name: str) -> list[str]:
    blocks = (block.strip() for block in prose(name).split("\n\n"))
    return [block for block in blocks if block and block[0] not in "#|"]


def headings(name: str) -> list[str]:
    return re.findall(r"^## (.+)$", prose(name), re.MULTILINE)


def in_backticks(name: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(name))


def shell_lines(name: str) -> list[str]:
    """Commands of the article's shell blocks, continued lines joined."""
    joined = "\n".join(fenced(name, "sh")).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def mentions(pattern: str) -> list[str]:
    """Every match of ``pattern`` in the handbook, as ``article: match``."""
    return [
        f"{name}: {found}"
        for name in ARTICLES
        for found in re.findall(pattern, article(name).content)
    ]


# The corpus


def test_there_is_enough_to_train_on() -> None:
    assert len(ARTICLES) >= 12


@every_article
def test_front_matter_is_complete(name: str) -> None:
    post = article(name)
    assert {"title", "subtitle", "date", "tags"} == set(post.keys())
    assert all(str(post[key]).strip() for key in ("title", "subtitle"))
    assert isinstance(post["date"], date) and post["date"].year == 2026
    assert post["tags"] and all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in post["tags"])


@every_article
def test_length_and_headings(name: str) -> None:
    assert 500 <= len(article(name).content.split()) <= 1_500
    assert 5 <= len(headings(name)) <= 8
    assert all(len(heading.split()) >= 3 for heading in headings(name)), "say something"


@every_article
def test_paragraphs_can_stand_as_answers(name: str) -> None:
    """A sample is a paragraph or two: none may be too long for a chunk of the default budget."""
    lengths = [len(paragraph.split()) for paragraph in paragraphs(name)]
    assert max(lengths) <= 135
    assert sum(length >= 40 for length in lengths) >= 0.6 * len(lengths), lengths


def test_no_title_heading_or_paragraph_twice() -> None:
    for texts in (
        [article(name)["title"] for name in ARTICLES],
        [heading for name in ARTICLES for heading in headings(name)],
        [paragraph for name in ARTICLES for paragraph in paragraphs(name)],
    ):
        assert [text for text, count in Counter(texts).items() if count > 1] == []


@every_article
def test_voice_is_recognisable(name: str) -> None:
    """The author's habits, which the twin is meant to pick up, are in every article."""
    text = prose(name)
    assert text.count("I keep a rule about this.") == 1
    assert re.search(r"\b(cost|costs|price)\b", paragraphs(name)[-1]), "ends on the cost"
    assert "—" not in text and "!" not in text


def test_enough_articles_are_held_out() -> None:
    """Places are drawn from ids, and with few articles a draw can leave one for the test."""
    recipe = load_recipe("handbook", ROOT / "include" / "recipes")
    source = recipe.sources[0]
    urls = [file_url(source, source.path / name) for name in ARTICLES]
    splits = split_documents(
        [document_id(recipe.author.id, url) for url in urls],
        validation=recipe.datasets.validation_share,
        test=recipe.datasets.test_share,
        seed=recipe.datasets.split_seed,
    )
    counts = Counter(splits.values())
    assert counts[Split.TEST] >= 3
    assert counts[Split.VALIDATION] >= 1


# The truth


@every_article
def test_twin_commands_parse(name: str) -> None:
    """Parsed by the real command line, so names, options and arguments must all exist."""
    for line in shell_lines(name):
        program, *arguments = shlex.split(line, comments=True)
        if program == "twin":
            parse(arguments)


def parse(arguments: list[str]) -> None:
    """Parse as the command line does, without running anything."""
    command, words, rest = command_of(arguments)
    command.make_context(" ".join(words), rest)


def command_of(arguments: list[str]) -> tuple[TyperCommand, list[str], list[str]]:
    """The command, the words that name it, and what is left."""
    command, words = typer.main.get_command(app), ["twin"]
    while isinstance(command, TyperGroup):
        words.append(arguments[0])
        assert arguments[0] in command.commands, f"no command {' '.join(words)!r}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, words, arguments


@every_article
def test_commands_spoken_of_exist(name: str) -> None:
    for text in in_backticks(name):
        if text.startswith("twin "):
            command_of(text.split()[1:])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("crawl walk", "no command 'twin crawl walk'"),
        ("rollout status --recipes handbook", "No such option: --recipes"),
        ("rag search", "question"),
    ],
)
def test_a_wrong_command_would_be_found(line: str, complaint: str) -> None:
    with pytest.raises(Exception, match=complaint):
        parse(shlex.split(line))


def test_links_into_the_handbook_lead_somewhere() -> None:
    links = re.findall(r"\(include/handbook/([^)#]+)\)", (ROOT / "README.md").read_text())
    assert [name for name in links if name not in ARTICLES] == []


@every_article
def test_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [text for text in (*shell_lines(name), *in_backticks(name)) if text.startswith("make ")]
    assert [text for text in shown if text.split()[1] not in targets] == []


@every_article
def test_paths_exist(name: str) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    words = [word for line in shell_lines(name) for word in line.split()]
    paths = [text for text in (*in_backticks(name), *words) if text.split("/")[0] in folders]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@every_article
def test_recipe_keys_exist(name: str) -> None:
    for key in in_backticks(name):
        section, *rest = key.split(".")
        if rest and section in Recipe.model_fields:
            assert exists_in_recipe(key), key


@every_article
def test_snake_case_names_are_recipe_keys(name: str) -> None:
    known = set(keys_below(Recipe))
    names = [text for text in in_backticks(name) if re.fullmatch(r"[a-z]+(_[a-z]+)+", text)]
    assert [text for text in names if text not in known] == []


def keys_below(model: type) -> Iterator[str]:
    """Every key of a section and of the sections in it, lists of sources included."""
    for key, field in model.model_fields.items():
        yield key
        parts = [field.annotation, *typing.get_args(field.annotation)]
        while parts:
            part = parts.pop()
            parts += typing.get_args(part)
            if hasattr(part, "model_fields"):
                yield from keys_below(part)


def exists_in_recipe(key: str) -> bool:
    """Whether a dotted key is a field; sections all have defaults, so types are at hand."""
    model: object = Recipe
    for part in key.split("."):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return False
        model = fields[part].annotation
    return True


def test_recipes_shown_are_valid(tmp_path: Path) -> None:
    shown = [yaml.safe_load(body) for name in ARTICLES for body in fenced(name, "yaml")]
    whole = next(recipe for recipe in shown if "author" in recipe)
    assert len(shown) >= 2
    for number, part in enumerate(shown):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(whole | part))
        load_recipe(str(file), tmp_path)


def test_settings_exist() -> None:
    known = {f"TWIN_{field}".upper() for field in Settings.model_fields}
    shown = mentions(r"TWIN_[A-Z_]*[A-Z]")
    assert len(shown) >= 5
    assert [text for text in shown if text.split()[-1] not in known] == []


def test_ports_are_the_settings_defaults() -> None:
    rows = dict(
        re.findall(
            r"^\| ([^|]+?) \| (\d+) \|", article("the-laptop-and-the-cluster.md").content, re.M
        )
    )
    defaults = {name: str(field.default) for name, field in Settings.model_fields.items()}
    for door, setting in {
        "MLflow": "mlflow_tracking_uri",
        "The endpoint": "endpoint_url",
        "Ray's dashboard and Serve API": "serve_api_url",
    }.items():
        assert defaults[setting].endswith(f":{rows[door]}"), door
    port = rows["Warehouse (MongoDB protocol)"]
    assert f":{port}/" in Settings.model_fields["mongo_uri"].default.get_secret_value()


def test_exit_codes_are_those_of_the_jobs() -> None:
    table = article("when-something-is-killed.md").content
    assert set(map(int, re.findall(r"^\| (\d+) \|", table, re.M))) == set(map(int, ExitCode))


def test_routes_exist() -> None:
    source = "\n".join(
        path.read_text() for path in (ROOT / "images/twin/twin/serving").glob("*.py")
    )
    shown = {text.split()[-1] for text in mentions(r"/v1/[a-z/]*[a-z]|/healthz")}
    assert {"/v1/answers", "/v1/chat/completions", "/v1/models", "/healthz"} <= shown
    assert [route for route in sorted(shown) if route.removeprefix("/v1") not in source] == []
