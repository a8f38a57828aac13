"""``dawlink list``: the songs of the library."""

from __future__ import annotations

import typer

from dawlink.cli.context import invocation, open_library
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json, emit_text, print_table
from dawlink.documents import song_document

app = typer.Typer(help="List the songs of the library.")


@app.command("list")
def list_songs(ctx: typer.Context, json: Json = False) -> None:
    """List the songs of the library with their tempo, key and stems."""
    settings = invocation(ctx).settings()
    with open_library(settings) as library:
        songs = library.songs()
        stems = library.stems()
    of_song = {song.id: [stem for stem in stems if stem.song_id == song.id] for song in songs}
    if json:
        documents = [song_document(song, of_song[song.id]) for song in songs]
        emit_json({"library": str(settings.library), "songs": documents})
        return
    if not songs:
        emit_text(f"The library {settings.library} is empty; add music: dawlink add FOLDER")
        return
    rows = [
        (
            song.id,
            song.title,
            f"{song.tempo.bpm:.1f}",
            str(song.key.key or "-"),
            f"{song.duration_s // 60:.0f}:{song.duration_s % 60:02.0f}",
            song.kind,
            " ".join(stem.role for stem in of_song[song.id]),
        )
        for song in songs
    ]
    print_table(["id", "title", "BPM", "key", "length", "kind", "stems"], rows)
