"""``dawlink config show``: the settings in force and where each comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from dawlink.cli.context import invocation
from dawlink.cli.output import emit_json, emit_text, print_table
from dawlink.settings import default_config

app = typer.Typer(help="Show settings and where each comes from.")


@app.callback()
def _config() -> None:
    """Show settings and where each comes from."""


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each comes from.")] = False,
    default: Annotated[
        bool, typer.Option("--default", help="Print a commented settings file instead.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the settings in force.

    Order: flags, DAWLINK_* variables, ./dawlink.toml, the user's file, defaults.
    """
    if default:
        if json:
            emit_json({"default": default_config()})
        else:
            emit_text(default_config().rstrip("\n"))
        return
    settings = invocation(ctx).settings()
    values = settings.as_dict()
    if json:
        document: dict[str, object] = {"settings": values}
        emit_json({**document, "origin": settings.origin} if origin else document)
        return
    if origin:
        rows = [(key, str(value), settings.origin[key]) for key, value in values.items()]
        print_table(["setting", "value", "from"], rows)
    else:
        print_table(["setting", "value"], [(key, str(value)) for key, value in values.items()])
