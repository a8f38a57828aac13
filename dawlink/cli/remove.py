"""``dawlink remove``: a song out of the library."""

from __future__ import annotations

from typing import Annotated

import typer

from dawlink.cli.context import invocation
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json, emit_text

app = typer.Typer(help="Remove a song from the library.")


@app.command()
def remove(
    ctx: typer.Context,
    song: Annotated[str, typer.Argument(metavar="ID", help="Id of the song.")],
    json: Json = False,
) -> None:
    """Remove a song and every file that no other song needs; your own files are not touched."""
    from engine.library.library import Library

    with Library.open(invocation(ctx).settings().library, create=False) as library:
        row = library.remove(library.resolve(song, kind="song"))
    if json:
        emit_json({"removed": {"song_id": row.id, "title": row.title}})
    else:
        emit_text(f"removed {row.id}  {row.title}")
