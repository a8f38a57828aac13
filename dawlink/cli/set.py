"""``dawlink set``: a person's correction, which beats every analysis."""

from __future__ import annotations

from typing import Annotated

import typer

from dawlink.cli.context import invocation
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json, emit_text
from dawlink.documents import song_document
from engine.errors import UsageError
from engine.library.rows import Correction

app = typer.Typer(help="Correct a song's tempo, key or bars.")


@app.command("set")
def set_song(
    ctx: typer.Context,
    song: Annotated[str, typer.Argument(metavar="ID", help="Id of the song.")],
    tempo: Annotated[float | None, typer.Option(metavar="BPM", help="Its tempo.")] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Its key.")] = None,
    downbeat: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="A second on which a bar begins.")
    ] = None,
    metre: Annotated[
        int | None, typer.Option(metavar="N", help="Beats in a bar; the first bar line stays.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Half the tempo.")] = False,
    double: Annotated[bool, typer.Option("--double", help="Twice the tempo.")] = False,
    json: Json = False,
) -> None:
    """Correct a song's tempo, key or bar lines; it holds through every later analysis."""
    if sum((half, double, tempo is not None)) > 1:
        raise UsageError(
            "More than one of --tempo, --half and --double was given.", hint="Give one of them."
        )
    made: list[Correction] = []
    if half or double:
        made.append(Correction("half" if half else "double"))
    if tempo is not None:
        made.append(Correction("tempo", tempo))
    if metre is not None:
        made.append(Correction("metre", metre))
    if downbeat is not None:
        made.append(Correction("downbeat", downbeat))
    if key is not None:
        made.append(Correction("key", key))
    if not made:
        raise UsageError(
            "Nothing to correct was given.",
            hint="Give --tempo, --key, --downbeat, --metre, --half or --double.",
        )
    from engine.ingest.corrections import correct_song
    from engine.library.library import Library

    with Library.open(invocation(ctx).settings().library, create=False) as library:
        row = correct_song(library, library.resolve(song, kind="song"), made)
        stems = library.stems(row.id)
    if json:
        emit_json(song_document(row, stems))
    else:
        emit_text(f"{row.id}  {row.title}: {row.tempo.bpm:.2f} BPM, {row.key.key or 'no key'}")
