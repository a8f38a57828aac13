"""A rendered suggestion over the bars of its session: clip, stems and mix, and the mix's spectrum.

The tracks share one scale, so their heights compare; the mix, which is mastered to a loudness, has
its own. Bars count from 1 at the start of the files. A dashed line marks where a stem that is
shorter than the clip starts again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dawlink.pictures.canvas import (
    COLOURS,
    INK,
    Sheet,
    draw_envelope,
    level_colours,
    new_sheet,
    picture_format,
    save,
    styled,
)
from dawlink.pictures.envelopes import (
    AudioReader,
    Envelope,
    file_reader,
    measure_envelope,
    sum_of,
)
from dawlink.pictures.spectrogram import FLOOR_DB, measure_spectrogram
from dawlink.pictures.timeline import Lines, bar_step, draw_lines
from engine.delivery.records import RenderedFile, RenderedSuggestion
from engine.rendering.renderer import Session

__all__ = ["plot_render"]

_TRACK_IN: Final = 0.72
_SPECTROGRAM_IN: Final = 1.9
_LABEL_IN: Final = 2.0
_DECADES_HZ: Final = (50, 100, 200, 500, 1000, 2000, 5000, 10000)
#: What names of rendered files add to a title: rank before it, tempo, key and role after it.
_RANK: Final = re.compile(r"^\d{2,} ")
_TAIL: Final = re.compile(r" \d+(\.\d+)?bpm( [A-G]#?m?)? \w+$")


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One row: what it is, what is said about it, and its sound."""

    name: str
    details: tuple[str, ...]
    colour: str
    audio: AudioReader
    loop_bars: int | None = None


def plot_render(rendered: RenderedSuggestion, path: Path, *, title: str) -> None:
    """Draw what was rendered into ``path`` (.png, .svg or .pdf).

    Args:
        rendered: its files are read.
        path: is replaced when it is there.
        title: stands above the picture.

    Raises:
        UsageError: the ending names no picture format.
        UnusableInput: a rendered file is gone or damaged.
        UnwritableOutput: the folder cannot be written, or the disk is full.
    """
    picture_format(path)
    session = rendered.session
    tracks = _tracks(rendered)
    mix = _mix(rendered)
    heard = mix.audio if mix else sum_of(tuple(track.audio for track in tracks))
    drawn = (*tracks, mix) if mix else tracks
    with styled():
        sheet = new_sheet(
            (*[_TRACK_IN] * len(drawn), _SPECTROGRAM_IN),
            label_in=_LABEL_IN,
            title=title,
            subtitle=_facts(session),
            top_axis=False,
        )
        lines = _bar_lines(session)
        _draw_tracks(sheet, drawn, mixes=1 if mix else 0, session=session)
        _draw_spectrogram(sheet, heard, session, name="mix" if mix else "all tracks")
        for row in range(len(drawn)):
            draw_lines(sheet, row, lines)
        _draw_bars(sheet, session)
        save(sheet, path)


def _facts(session: Session) -> str:
    seconds = session.frames / session.sample_rate
    bars = f"{session.bars} bar{'s' if session.bars > 1 else ''}"
    return "   |   ".join(
        (
            f"{session.tempo_bpm:g} BPM",
            f"{bars} of {session.beats_per_bar} beats",
            f"{seconds:.1f} s",
            f"{session.sample_rate / 1000:g} kHz",
        )
    )


def _tracks(rendered: RenderedSuggestion) -> tuple[_Drawn, ...]:
    files = (rendered.clip, *rendered.stems) if rendered.clip else rendered.stems
    return tuple(_track(file, rendered.session) for file in files)


def _track(file: RenderedFile, session: Session) -> _Drawn:
    placement = file.placement
    title, stretch = _title_of(file.path), _stretch(file, session)
    audio = file_reader(file.path)
    if placement is None:
        return _Drawn("clip", (title, stretch), COLOURS["vocals"], audio)
    facts = [f"{placement.semitones:+d} st" if placement.semitones else "0 st"]
    if placement.role in ("drums", "percussion"):
        facts = []
    facts.append(f"{round(placement.gain_db, 1) + 0.0:+.1f} dB")
    looped = placement.loop_bars < placement.bars
    more = f"{stretch}, loops {placement.loop_bars} bars" if looped else stretch
    return _Drawn(
        placement.role,
        (title, ", ".join(facts).replace("-", "−"), more),
        COLOURS[placement.role],
        audio,
        placement.loop_bars if looped else None,
    )


def _mix(rendered: RenderedSuggestion) -> _Drawn | None:
    mix = rendered.mix
    if mix is None:
        return None
    level = f"{mix.lufs:.1f} LUFS" if np.isfinite(mix.lufs) else "silent"
    peak = f"peak {mix.true_peak_db:.1f} dBTP" if np.isfinite(mix.true_peak_db) else ""
    details = tuple(text.replace("-", "−") for text in (level, peak) if text)
    return _Drawn("mix", details, COLOURS["mix"], file_reader(mix.path))


def _title_of(path: Path) -> str:
    """The title in the name of a rendered file."""
    return _TAIL.sub("", _RANK.sub("", path.stem))


def _stretch(file: RenderedFile, session: Session) -> str:
    """Duration in the session over duration in the source."""
    first, last = file.warp[0], file.warp[-1]
    source_s = last.source_s - first.source_s
    ratio = (last.beat - first.beat) * 60.0 / session.tempo_bpm / source_s
    return f"stretch ×{ratio:.3f}"


def _bar_lines(session: Session) -> Lines:
    """In bars from 1; the first row of beats is the start of the files."""
    beats = 1 + np.arange(session.beats + 1, dtype=np.float64) / session.beats_per_bar
    return Lines(beats, beats[:: session.beats_per_bar], 1.0, 1.0 + session.bars)


def _draw_tracks(sheet: Sheet, drawn: tuple[_Drawn, ...], *, mixes: int, session: Session) -> None:
    """Waveforms: the tracks on one scale, the mix (the last ``mixes`` rows) on its own."""
    columns = round(sheet.width_px)
    envelopes = [measure_envelope(track.audio, columns) for track in drawn]
    tracks = len(drawn) - mixes
    loudest = max(envelope.peak for envelope in envelopes[:tracks]) if tracks else 0.0
    for row, (track, envelope) in enumerate(zip(drawn, envelopes, strict=True)):
        scale = loudest if row < tracks else envelope.peak
        _draw_track(sheet, row, track, envelope=envelope, full_scale=scale, session=session)


def _draw_track(
    sheet: Sheet,
    row: int,
    track: _Drawn,
    *,
    envelope: Envelope,
    full_scale: float,
    session: Session,
) -> None:
    axes = sheet.rows[row]
    bar_s = session.beats_per_bar * 60.0 / session.tempo_bpm
    x = 1 + envelope.centres_s / bar_s
    draw_envelope(axes, envelope, x, colour=track.colour, full_scale=full_scale)
    if track.loop_bars is not None:
        for bar in range(1 + track.loop_bars, 1 + session.bars, track.loop_bars):
            axes.axvline(bar, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=3)
    sheet.label(row, track.name, track.details, colour=track.colour)


def _draw_spectrogram(sheet: Sheet, audio: AudioReader, session: Session, *, name: str) -> None:
    """The spectrum over time, with bar lines on top of it."""
    row = len(sheet.rows) - 1
    axes = sheet.rows[row]
    found = measure_spectrogram(audio, round(sheet.width_px / 1.5))
    bar_s = session.beats_per_bar * 60.0 / session.tempo_bpm
    edges = 1 + np.linspace(0, audio.duration_s / bar_s, found.level_db.shape[1] + 1)
    axes.pcolormesh(
        edges,
        found.edges_hz,
        found.level_db,
        cmap=level_colours(),
        vmin=FLOOR_DB,
        vmax=0.0,
        rasterized=True,
    )
    axes.set_yscale("log")
    axes.set_ylim(found.edges_hz[0], found.edges_hz[-1])
    ticks = [hz for hz in _DECADES_HZ if found.edges_hz[0] <= hz <= found.edges_hz[-1]]
    axes.set_yticks(ticks, [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    axes.set_yticks([], minor=True)
    lines = _bar_lines(session)
    step = bar_step(lines, sheet.width_px)
    axes.vlines(
        lines.bars[::step],
        *axes.get_ylim(),
        colors=INK,
        linewidths=0.6,
        alpha=0.45,
        zorder=3,
    )
    sheet.label(row, "spectrum", (f"of the {name}" if name == "mix" else f"of {name}", "in Hz"))


def _draw_bars(sheet: Sheet, session: Session) -> None:
    """Bar numbers below the last row."""
    axes = sheet.rows[-1]
    step = bar_step(_bar_lines(session), sheet.width_px)
    numbers = np.arange(1, session.bars + 1, step)
    axes.set_xlim(1.0, 1.0 + session.bars)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.annotate(
        "bar",
        (0, 0),
        (-9, -11),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        fontsize=7.5,
    )
