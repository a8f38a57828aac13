"""What the library knows about a song, drawn over its time.

From top to bottom: every stem with its waveform and the beats in which it sounds, the pitch classes
of the harmony, the tempo along the beat map, and the bar-aligned windows. Bar numbers on top count
from 1 at the first downbeat of the map; the time below is minutes and seconds of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from dawlink.pictures.canvas import (
    ACCENT,
    COLOURS,
    Sheet,
    draw_envelope,
    level_colours,
    new_sheet,
    picture_format,
    save,
    styled,
)
from dawlink.pictures.envelopes import AudioReader, measure_envelope
from dawlink.pictures.timeline import Lines, draw_bar_numbers, draw_lines, draw_time
from engine.analysis.records import WINDOW_BARS, SongAnalysis, StemAnalysis, Window
from engine.grid import BeatGrid
from engine.library.reading import LibraryReader
from engine.library.rows import SongRow, StemRow
from engine.theory import PITCH_NAMES, ROLES, Role

if TYPE_CHECKING:
    from matplotlib.patches import Rectangle

__all__ = ["plot_song"]

_STEM_IN: Final = 0.62
_CHROMA_IN: Final = 1.32
_TEMPO_IN: Final = 0.7
_WINDOWS_IN: Final = 0.92
_LABEL_IN: Final = 1.5
#: Whose chroma is drawn: the first of these that the song has.
_CHROMA_FROM: Final[tuple[Role, ...]] = (
    "harmonic",
    "other",
    "mix",
    "bass",
    "vocals",
    "drums",
    "percussion",
)
#: The tempo axis spans at least this share around the middle; less would magnify rounding.
_LEAST_TEMPO_SPAN: Final = 0.03


def plot_song(library: LibraryReader, song_id: str, path: Path) -> None:
    """Draw a song into ``path`` (.png, .svg or .pdf).

    Args:
        library: where it is.
        song_id: its full id.
        path: is replaced when it is there.

    Raises:
        UsageError: no such song, or an ending that names no picture format.
        LibraryUnusable: a file of the song is missing or damaged.
        UnwritableOutput: the folder cannot be written, or the disk is full.
    """
    picture_format(path)
    song, analysis = library.song(song_id), library.analysis(song_id)
    rows = {row.role: row for row in library.stems(song_id)}
    stems = sorted(analysis.stems, key=lambda stem: ROLES.index(stem.role))
    extra = (_CHROMA_IN, _TEMPO_IN, _WINDOWS_IN)
    with styled():
        sheet = new_sheet(
            (*[_STEM_IN] * len(stems), *extra),
            label_in=_LABEL_IN,
            title=" – ".join(filter(None, (song.artist, song.title))),
            subtitle=_facts(song, analysis.grid),
            top_axis=True,
        )
        lines = _time_lines(analysis)
        for number, stem in enumerate(stems):
            audio = _stem_reader(library, rows[stem.role])
            _draw_stem(sheet, number, stem, audio=audio, grid=analysis.grid)
            draw_lines(sheet, number, lines)
        _draw_chroma(sheet, len(stems), analysis)
        _draw_tempo(sheet, len(stems) + 1, analysis)
        draw_lines(sheet, len(stems) + 1, lines)
        _draw_windows(sheet, len(stems) + 2, analysis)
        draw_time(sheet.rows[-1], analysis.duration_s)
        draw_bar_numbers(sheet, lines)
        save(sheet, path)


def _facts(song: SongRow, grid: BeatGrid) -> str:
    """The line under the title."""
    key = song.key
    named = f"{key.key} · {key.key.camelot} ({key.confidence:.0%} sure)" if key.key else "no key"
    minutes, seconds = divmod(round(song.duration_s), 60)
    return "   |   ".join(
        (
            f"{grid.tempo_bpm:.1f} BPM ({song.tempo.confidence:.0%} sure)",
            named,
            f"{song.beats_per_bar} beats per bar",
            f"beats: {song.tracker} on {song.tracked_on} ({grid.confidence:.0%} sure)",
            f"{minutes}:{seconds:02d}",
        )
    )


def _time_lines(analysis: SongAnalysis) -> Lines:
    grid = analysis.grid
    return Lines(grid.beats_s, grid.downbeats_s, 0.0, analysis.duration_s)


def _stem_reader(library: LibraryReader, row: StemRow) -> AudioReader:
    return AudioReader(
        row.audio.frames,
        row.audio.sample_rate,
        lambda first, frames: library.waveform(row, start_frame=first, frames=frames),
    )


def _draw_stem(
    sheet: Sheet, row: int, stem: StemAnalysis, *, audio: AudioReader, grid: BeatGrid
) -> None:
    """The waveform, filling the row by its own peak, over the beats in which it sounds."""
    colour = COLOURS[stem.role]
    envelope = measure_envelope(audio, round(sheet.width_px))
    axes = sheet.rows[row]
    draw_envelope(axes, envelope, envelope.centres_s, colour=colour, full_scale=envelope.peak)
    for start, end in _spans(stem.active):
        axes.axvspan(
            grid.beats_s[start], grid.beats_s[end], color=colour, alpha=0.13, linewidth=0, zorder=0
        )
    loud = np.isfinite(stem.loudness_lufs)
    share = float(np.mean(stem.active)) if stem.active.size else 0.0
    sheet.label(
        row,
        stem.role,
        (
            f"{stem.loudness_lufs:.1f} LUFS".replace("-", "−") if loud else "silent",
            f"{share:.0%} of beats",
        ),
        colour=colour,
    )


def _spans(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of true values as [start, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _draw_chroma(sheet: Sheet, row: int, analysis: SongAnalysis) -> None:
    """Pitch classes of the harmony, beat by beat; the tonic's name stands out."""
    axes = sheet.rows[row]
    by_role = {stem.role: stem for stem in analysis.stems}
    role = next(role for role in _CHROMA_FROM if role in by_role)
    chroma = by_role[role].features["chroma"].astype(np.float32)
    axes.pcolormesh(
        analysis.grid.beats_s[: chroma.shape[0] + 1],
        np.arange(13) - 0.5,
        chroma.T,
        cmap=level_colours(),
        vmin=0.0,
        vmax=max(float(np.percentile(chroma, 99.5)), 1e-3),
        rasterized=True,
    )
    axes.set_yticks(range(12), PITCH_NAMES)
    key = analysis.key.key
    if key is not None:
        tonic = axes.get_yticklabels()[key.tonic]
        tonic.set_color(ACCENT)
        tonic.set_fontfamily("DejaVu Sans")  # the one that surely has a bold face
        tonic.set_fontweight("bold")
    details = [f"of {role}", "per beat"] + ([f"tonic {PITCH_NAMES[key.tonic]}"] if key else [])
    sheet.label(row, "pitch classes", details)


def _draw_tempo(sheet: Sheet, row: int, analysis: SongAnalysis) -> None:
    """Tempo of every bar as a line, of every beat as dots."""
    axes, grid = sheet.rows[row], analysis.grid
    per_beat = 60.0 / np.diff(grid.beats_s)
    span = min(grid.beats_per_bar, grid.intervals)
    per_bar = 60.0 * span / (grid.beats_s[span:] - grid.beats_s[:-span])
    centres = (grid.beats_s[span:] + grid.beats_s[:-span]) / 2
    ends = (grid.beats_s[:1], centres, grid.beats_s[-1:])
    middle = (grid.beats_s[1:] + grid.beats_s[:-1]) / 2
    axes.plot(middle, per_beat, ".", markersize=1.6, color="#9aa1ab", zorder=2)
    axes.plot(
        np.concatenate(ends), np.pad(per_bar, 1, mode="edge"), color=ACCENT, linewidth=1.3, zorder=3
    )
    low, high = float(per_bar.min()), float(per_bar.max())
    half = max((high - low) * 0.65, grid.tempo_bpm * _LEAST_TEMPO_SPAN / 2)
    bottom, top = (low + high) / 2 - half, (low + high) / 2 + half
    axes.set_ylim(bottom, top)
    ticks = np.linspace(bottom + half * 0.25, top - half * 0.25, 3)
    axes.set_yticks(ticks, [f"{tick:.1f}" for tick in ticks])
    steady = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f}–{high:.1f}"
    sheet.label(row, "tempo", (f"{steady} BPM", "line: per bar", "dots: per beat"), colour=ACCENT)


def _draw_windows(sheet: Sheet, row: int, analysis: SongAnalysis) -> None:
    """Windows by length; they overlap by half, so every other one lies a little lower."""
    axes = sheet.rows[row]
    lengths = sorted({window.bars for window in analysis.windows}) or list(WINDOW_BARS)
    for number, bars in enumerate(lengths):
        same = [window for window in analysis.windows if window.bars == bars]
        lanes = 2 if len(same) > 1 else 1
        for window in same:
            lane = window.start_bar // max(bars // 2, 1) % lanes
            box = _window_box(
                window, analysis.grid, top=number + 0.06 + 0.45 * lane, height=0.88 / lanes
            )
            axes.add_patch(box)
    axes.set_ylim(len(lengths) + 0.05, -0.05)
    axes.set_yticks([number + 0.5 for number in range(len(lengths))], [f"{n}" for n in lengths])
    unit = "bar" if lengths == [1] else "bars"
    named = f"of {', '.join(str(bars) for bars in lengths)} {unit}"
    sheet.label(row, "windows", (named, "darker: more stems", "sound for longer"))


def _window_box(window: Window, grid: BeatGrid, *, top: float, height: float) -> Rectangle:
    """A window over its time; its colour is the share of beats that sound, over all stems."""
    from matplotlib.patches import Rectangle

    start = grid.time_at(float(window.start_bar * grid.beats_per_bar))
    end = grid.time_at(float((window.start_bar + window.bars) * grid.beats_per_bar))
    share = float(np.mean(list(window.activity.values()))) if window.activity else 0.0
    return Rectangle(
        (start, top),
        end - start,
        height - 0.06,
        facecolor=level_colours()(0.08 + 0.8 * share),
        edgecolor="white",
        linewidth=0.6,
    )
