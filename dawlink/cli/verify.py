"""``dawlink verify``: checks every file and row of the library."""

from __future__ import annotations

import typer

from dawlink.cli.context import invocation, open_library
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json, emit_text
from engine.errors import SomeItemsFailed

app = typer.Typer(help="Check every file and row of the library.")


@app.command()
def verify(ctx: typer.Context, json: Json = False) -> None:
    """Check every file and row of the library; names what is damaged or missing."""
    settings = invocation(ctx).settings()
    with open_library(settings) as library:
        problems = library.verify()
        songs = len(library.songs())
    if json:
        emit_json({"library": str(settings.library), "songs": songs, "problems": list(problems)})
    else:
        for problem in problems:
            emit_text(f"{problem.kind}: {problem.message} {problem.hint}".rstrip())
        emit_text(f"{songs} songs, {len(problems)} problems.")
    serious = [problem for problem in problems if not problem.harmless]
    if serious:
        raise SomeItemsFailed(
            f"{len(serious)} things in the library are damaged or missing.",
            hint="Remove the songs named above and add them again.",
            code="library_damaged",
        )
