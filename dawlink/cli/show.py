"""``dawlink show``: everything that is known about one song."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dawlink.cli.context import invocation, open_library
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json, emit_text, print_table
from dawlink.documents import song_document
from engine.library.rows import SongRow

app = typer.Typer(help="Show one song of the library.")


@app.command()
def show(
    ctx: typer.Context,
    song: Annotated[str, typer.Argument(metavar="ID", help="Id of a song or of a stem.")],
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw waveforms, beats, key and windows (PNG)."),
    ] = None,
    json: Json = False,
) -> None:
    """Show what is known about one song: tempo, key, beats, stems, windows, sources."""
    with open_library(invocation(ctx).settings()) as library:
        found = library.resolve(song)
        song_id = library.stem(found).song_id if found.startswith("s") else found
        row, stems = library.song(song_id), library.stems(song_id)
        grid, windows = library.grid(song_id), library.windows(song_id)
        sources = library.sources(song_id)
        corrections = library.corrections(song_id)
        paths = {stem.id: library.audio_path(stem.id) for stem in stems}
        if plot is not None:
            from dawlink.pictures import plot_song

            plot_song(library, song_id, plot)
    if json:
        document = song_document(row, stems)
        document["downbeats_s"] = [round(float(time_s), 4) for time_s in grid.downbeats_s]
        document["beats_s"] = [round(float(time_s), 4) for time_s in grid.beats_s]
        document["windows"] = list(windows)
        document["sources"] = [{"path": s.path, "role": s.role} for s in sources]
        document["corrections"] = list(corrections)
        document["paths"] = paths
        document["plot"] = plot
        emit_json(document)
        return
    _print_song(row)
    print_table(
        ["stem", "role", "loudness", "peak", "rate", "file"],
        [
            (
                stem.id,
                stem.role,
                f"{stem.loudness_lufs:.1f} LUFS",
                f"{stem.true_peak_db:.1f} dBTP",
                f"{stem.audio.sample_rate} Hz",
                paths[stem.id],
            )
            for stem in stems
        ],
    )
    for source in sources:
        emit_text(f"from {source.path}" + (f" ({source.role})" if source.role else ""))
    for correction in corrections:
        emit_text(f"corrected: {correction.field} {correction.value or ''}".rstrip())
    if plot is not None:
        emit_text(f"picture: {plot}")


def _print_song(song: SongRow) -> None:
    others = ", ".join(
        f"{hypothesis.bpm:.1f} ({hypothesis.weight:.0%})" for hypothesis in song.tempo.hypotheses
    )
    key = f"{song.key.key} ({song.key.key.camelot})" if song.key.key else "none"
    separated = f", separated by {song.separator}" if song.separator else ""
    disputed = " (they disagree)" if "+" in song.key.method and not song.key.agreement else ""
    lines = (
        f"{song.id}  {song.title}  [{song.kind}{separated}]",
        f"tempo    {song.tempo.bpm:.2f} BPM, {song.tempo.confidence:.0%} sure"
        + (", steady" if song.tempo.steady else "")
        + (f"; hypotheses {others}" if others else ""),
        f"key      {key}, {song.key.confidence:.0%} sure, by {song.key.method}{disputed}; "
        f"tuning {song.tuning_cents:+.0f} cents",
        f"beats    {song.beats} in {song.beats // song.beats_per_bar} bars of "
        f"{song.beats_per_bar}, {song.grid_confidence:.0%} sure, "
        f"by {song.tracker} on {song.tracked_on}",
    )
    for line in (*lines, *song.notes):
        emit_text(line)
