"""``dawlink verify``: checks every file and row of the library, and the models kept with it."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from dawlink.cli.context import invocation, open_library
from dawlink.cli.options import Json
from dawlink.cli.output import Documented, emit_json, emit_text, error_fields
from dawlink.documents import Document
from engine.errors import SomeItemsFailed
from engine.library.rows import Problem

app = typer.Typer(help="Check every file and row of the library.")


@app.command()
def verify(ctx: typer.Context, json: Json = False) -> None:
    """Check every file and row of the library; names what is damaged or missing."""
    from engine.embeddings.stems import embedding_problems
    from engine.models.registry import checkpoint_problems

    settings = invocation(ctx).settings()
    with open_library(settings) as library:
        problems = [
            *library.verify(),
            *embedding_problems(library),
            *checkpoint_problems((library.folder / "models",)),
        ]
        songs = len(library.songs())
    error = _failure(problems)
    if json:
        found: Document = {
            "library": str(settings.library),
            "songs": songs,
            "problems": list(problems),
        }
        emit_json(found if error is None else {**found, "error": error_fields(error)})
    else:
        for problem in problems:
            emit_text(f"{problem.kind}: {problem.message} {problem.hint}".rstrip())
        emit_text(f"{songs} songs, {len(problems)} problems.")
    if error is not None:
        raise Documented(error)


def _failure(problems: Sequence[Problem]) -> SomeItemsFailed | None:
    serious = sum(not problem.harmless for problem in problems)
    if not serious:
        return None
    things = "thing in the library is" if serious == 1 else "things in the library are"
    return SomeItemsFailed(
        f"{serious} {things} damaged or missing.",
        hint="Do what is said of each of the problems, and check again.",
        code="library_damaged",
    )
