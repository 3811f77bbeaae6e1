"""Commands of `twin serving keys`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twin.domain.api_key import ApiKey, KeyLimits, Right, Secret, key_digest, new_key_text
from twin.domain.profile import Length, Profile
from twin.domain.terminal import printable
from twin.job import plain_errors
from twin.settings import get_settings

if TYPE_CHECKING:
    from twin.stores.api_keys import ApiKeys
    from twin.stores.audit import Actor

app = typer.Typer(help="Who may ask the endpoint, what, and how much.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
WhichArgument = Annotated[str, typer.Argument(metavar="KEY", help="Its id or its name.")]
ToneOption = Annotated[
    str | None,
    typer.Option("--tone", help="Of its answers, in words, as in: warm, for beginners."),
]
LengthOption = Annotated[Length | None, typer.Option("--length", help="Of its answers.")]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="Of its answers: ISO 639-1, as in de.")
]
COLUMNS_OF_A_FILE = 200


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is or what for; unique among live keys.")],
    twin: Annotated[
        list[str] | None,
        typer.Option("--twin", help="Recipe that it opens; may be repeated. All if not given."),
    ] = None,
    right: Annotated[
        list[Right] | None,
        typer.Option(
            "--right",
            help="ask: ask and search; feedback: judge answers; admin: read metrics. May be "
            "repeated; ask and feedback if not given.",
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="Days that it opens; for ever if not given.")
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(min=0, help="0: any number. TWIN_KEY_REQUESTS_PER_MINUTE if not given."),
    ] = None,
    tokens_per_day: Annotated[
        int | None,
        typer.Option(min=0, help="Read and written, UTC; 0: any number. TWIN_KEY_TOKENS_PER_DAY "
                     "if not given."),
    ] = None,
    concurrent_requests: Annotated[
        int | None,
        typer.Option(min=0, help="0: any number. TWIN_KEY_CONCURRENT_REQUESTS if not given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make a key and print it, this once: only a hash of it is kept.

    Reads and writes: the warehouse, with an entry in the audit log. All replicas know the key
    within a few seconds.
    """
    now = datetime.now(UTC)
    text = new_key_text()
    limits = KeyLimits(
        requests_per_minute=requests_per_minute,
        tokens_per_day=tokens_per_day,
        concurrent_requests=concurrent_requests,
    )
    with plain_errors("serving keys create"), _keys() as (keys, actor):
        key = ApiKey(
            name=_name(name),
            secrets=(Secret(digest=key_digest(text), created=now),),
            twins=_models(twin) if twin else None,
            rights=tuple(dict.fromkeys(right or (Right.ASK, Right.FEEDBACK))),
            limits=limits,
            created=now,
            created_by=actor.name,
            expires=now + timedelta(days=days) if days else None,
        )
        keys.add(key, actor)
    _print_new(key, text, as_json=as_json)


@app.command("list")
def list_keys(
    every: Annotated[
        bool, typer.Option("--all", help="Those that are over or revoked as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the keys, oldest first, without what they open with.

    Reads: the warehouse. Writes: nothing. Keys of TWIN_API_KEYS are not among them.
    """
    with plain_errors("serving keys list"), _keys() as (keys, _):
        found = keys.all() if every else keys.live()
    if as_json:
        typer.echo(json.dumps([_shown(key) for key in found], ensure_ascii=False, indent=2))
    else:
        _print_table(found)


@app.command()
def rotate(
    key: WhichArgument,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, help="How long the old text opens as well.")
    ] = 24,
    as_json: JsonOption = False,
) -> None:
    """Give a key a new text, printed this once; rights, limits and counts stay.

    Reads and writes: the warehouse, with an entry in the audit log.
    """
    with plain_errors("serving keys rotate"), _keys() as (keys, actor):
        found = keys.find(key)
        text = keys.rotate(found, timedelta(hours=grace_hours), actor)
    _print_new(found, text, as_json=as_json)


@app.command()
def profile(
    key: WhichArgument,
    tone: ToneOption = None,
    length: LengthOption = None,
    language: LanguageOption = None,
) -> None:
    """Set the manner in which a key's callers are answered; without an option, clear it.

    It changes how an answer is written: what it says, the passages and the citations come from the
    author's texts all the same. A request may bring a `profile` of its own, which goes before.

    Reads and writes: the warehouse, with an entry in the audit log. Replicas know it within a few
    seconds.
    """
    with plain_errors("serving keys profile"), _keys() as (keys, actor):
        found = keys.find(key)
        wished = _profile(tone, length, language)
        keys.set_profile(found, wished, actor)
    told = _manner(wished) or "as the author writes"
    typer.echo(printable(f"{found.id} ({found.name}): {told}"))


@app.command()
def revoke(key: WhichArgument) -> None:
    """Let a key open nothing any more, in any of its texts.

    Reads and writes: the warehouse, with an entry in the audit log. All replicas heed it within a
    few seconds of reading it; one that can't reach the warehouse does when it can.
    """
    with plain_errors("serving keys revoke"), _keys() as (keys, actor):
        found = keys.find(key)
        keys.revoke(found, actor)
    typer.echo(f"{found.id} ({printable(found.name)}) is revoked")


@app.command("webhook-secret")
def webhook_secret(
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="[KEY]", help="Its id or its name; the first of TWIN_API_KEYS if not given."
        ),
    ] = None,
) -> None:
    """Print the secret by which a key's owner checks what webhooks are told.

    It stays when the key is rotated. Reads: the warehouse, and TWIN_WEBHOOK_SECRET, from which it
    is made. Writes: nothing.
    """
    from twin.domain.errors import BadConfigurationError
    from twin.serving.access import Keys
    from twin.serving.webhooks import secret_of

    with plain_errors("serving keys webhook-secret"):
        settings = get_settings()
        if key is None:
            first = Keys(settings.api_keys).check(
                f"Bearer {settings.api_keys[0].get_secret_value()}"
            )
            identity = first.id
        else:
            with _keys() as (keys, _):
                identity = keys.find(key).id
        secret = secret_of(identity, settings)
        if secret is None:
            raise BadConfigurationError(
                "TWIN_WEBHOOK_SECRET is not set: set it to at least 32 random characters, the same "
                "for all replicas of the router"
            )
    typer.echo(secret)


@contextmanager
def _keys() -> "Iterator[tuple[ApiKeys, Actor]]":
    from twin.stores.api_keys import ApiKeys
    from twin.stores.audit import Actor
    from twin.stores.warehouse import open_warehouse

    settings = get_settings()
    with open_warehouse(settings) as warehouse:
        yield ApiKeys(warehouse), Actor.of(settings)


def _profile(tone: str | None, length: Length | None, language: str | None) -> Profile | None:
    """The profile of these options; None without any.

    Raises:
        BadDataError: it can't be taken; says why.
    """
    from pydantic import ValidationError

    from twin.domain.errors import BadDataError
    from twin.rag.manner import check_profile

    if tone is None and length is None and language is None:
        return None
    try:
        return check_profile(Profile(tone=tone, length=length, language=language))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadDataError(f"--{first['loc'][0]}: {first['msg']}") from None
    except ValueError as error:
        raise BadDataError(str(error)) from None


def _manner(wished: Profile | None) -> str:
    return ", ".join(wished.model_dump(mode="json", exclude_none=True).values()) if wished else ""


def _name(name: str) -> str:
    from twin.domain.errors import BadDataError

    if not name.strip() or not name.isprintable():
        raise BadDataError("a key's name is one line of visible characters")
    return name.strip()


def _models(recipes: list[str]) -> tuple[str, ...]:
    """The registered models of recipes; a model's own name is taken as well.

    The recipe need not be here: keys are made where people are, recipes where jobs run.
    """
    from twin.stores.registry import MODEL_PREFIX

    return tuple(MODEL_PREFIX + name.removeprefix(MODEL_PREFIX) for name in recipes)


def _shown(key: ApiKey) -> dict[str, Any]:
    """For people and programs: everything but the hashes."""
    data = key.model_dump(mode="json", exclude={"secrets"})
    now = datetime.now(UTC)
    data["live"] = key.is_live(now)
    data["secrets"] = [
        one.model_dump(mode="json", exclude={"digest"})
        for one in key.secrets
        if key.opens(one, now)
    ]
    return data


def _print_new(key: ApiKey, text: str, *, as_json: bool) -> None:
    """The text alone on standard output, so that a shell can take it."""
    if as_json:
        typer.echo(json.dumps({"key": text, **_shown(key)}, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{key.id} ({printable(key.name)}), shown this once:", err=True)
    typer.echo(text)


def _print_table(keys: list[ApiKey]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for name in ("id", "name", "twins", "rights", "until", "limits", "profile", "by"):
        table.add_column(name, overflow="fold", no_wrap=name == "id")
    for key in keys:
        cells = (
            key.id,
            key.name,
            ", ".join(key.twins) if key.twins is not None else "all",
            ", ".join(key.rights),
            _until(key),
            _limits(key.limits),
            _manner(key.profile),
            key.created_by,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console = Console()
    if not console.is_terminal:
        console.width = COLUMNS_OF_A_FILE
    console.print(table)
    console.print(f"{len(keys)} keys")


def _until(key: ApiKey) -> str:
    if key.revoked:
        return f"revoked {key.revoked:%Y-%m-%d %H:%M}"
    return f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else ""


def _limits(limits: KeyLimits) -> str:
    words = {
        "requests_per_minute": "/min",
        "tokens_per_day": " tokens/day",
        "concurrent_requests": " at once",
    }
    given = limits.model_dump(exclude_none=True)
    return ", ".join(f"{value or 'any'}{words[name]}" for name, value in given.items())
