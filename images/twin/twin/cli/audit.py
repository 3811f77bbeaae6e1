"""`twin audit`: who did what."""

import json
from typing import Annotated

import typer

from twin.domain.terminal import printable
from twin.job import plain_errors
from twin.settings import get_settings


def audit(
    last: Annotated[int, typer.Option("--last", min=1, help="So many entries, the newest.")] = 50,
    action: Annotated[
        str | None, typer.Option("--action", help='Only these, such as "key created".')
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show who created, rotated and revoked keys, promoted, rolled back, and forgot.

    Reads: the audit log in the warehouse. Writes: nothing.
    """
    from twin.stores.audit import Audit
    from twin.stores.warehouse import open_warehouse

    with plain_errors("audit"), open_warehouse(get_settings()) as warehouse:
        entries = Audit(warehouse).entries(last, action)
    if as_json:
        data = [entry.model_dump(mode="json") for entry in entries]
        typer.echo(json.dumps(data, ensure_ascii=False, indent=2))
        return
    for entry in entries:
        run = f" (run {entry.run_id})" if entry.run_id else ""
        detail = ", ".join(f"{name}: {value}" for name, value in entry.detail.items())
        line = f"{entry.time:%Y-%m-%d %H:%M:%S}  {entry.action:<12}  {entry.subject}"
        typer.echo(printable(f"{line}  by {entry.actor}{run}  {detail}".rstrip()))
