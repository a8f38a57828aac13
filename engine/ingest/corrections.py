"""What a person says about a song's tempo, bars and key, applied on top of the analysis.

Corrections are applied in the order in which they were made, to a fresh beat map or to the one in
the library alike, so the result does not depend on when the song was analysed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from engine.analysis.records import KeyEstimate, SongAnalysis
from engine.analysis.song import analyse_song
from engine.analysis.tempo import hints_from_name
from engine.audio.waveform import Waveform
from engine.errors import UsageError
from engine.grid import BeatGrid
from engine.ingest.silence import still_true
from engine.library.library import Library
from engine.library.rows import Correction, SongRow
from engine.theory import Key, Role

__all__ = ["analyse_again", "analyse_with_corrections", "apply_correction", "correct_song"]

#: Tempos that a song may be given [BPM].
TEMPO_RANGE: Final = (20.0, 400.0)

#: A stated tempo this close to a simple multiple of the measured one means that multiple.
_SAME_TEMPO: Final = 0.005


def analyse_with_corrections(
    stems: Mapping[Role, Waveform],
    corrections: Sequence[Correction],
    *,
    loop: bool,
    name: str,
) -> SongAnalysis:
    """Analyse a song; what a person said about it before wins.

    Args:
        stems: the audio by stored role.
        corrections: in the order in which they were made.
        loop: the audio is one loop.
        name: the file's name, which may tell the tempo.
    """
    analysis = analyse_song(stems, loop=loop, tempo_hint_bpm=hints_from_name(name).tempo_bpm)
    if not corrections:
        return analysis
    return _corrected(stems, analysis, corrections)


def analyse_again(library: Library, song_id: str, *, name: str) -> SongRow:
    """Analyse a song's stored stems with this version of dawlink; corrections stay.

    Raises:
        UsageError: no such song.
        LibraryUnusable, UnwritableOutput: see :class:`Library`.
    """
    song = library.song(song_id)
    analysis = analyse_with_corrections(
        _stored_stems(library, song_id),
        library.corrections(song_id),
        loop=song.kind == "loop",
        name=name,
    )
    notes = (*analysis.notes, *still_true(song.notes))
    return library.replace_analysis(song_id, replace(analysis, notes=notes))


def correct_song(library: Library, song_id: str, corrections: Sequence[Correction]) -> SongRow:
    """Note corrections and bring the song's beats, features and windows in line with them.

    Raises:
        UsageError: no such song, a tempo that no music has, a downbeat outside the song.
        LibraryUnusable, UnwritableOutput: see :class:`Library`.
    """
    before = library.analysis(song_id)
    _check(corrections, before)
    after = _corrected(_stored_stems(library, song_id), before, corrections)
    return library.replace_analysis(song_id, after, corrections=corrections)


def apply_correction(grid: BeatGrid, correction: Correction) -> BeatGrid:
    """The beat map after one correction; keys leave it alone."""
    match correction.field:
        case "half":
            return grid.halved()
        case "double":
            return grid.doubled()
        case "downbeat":
            return grid.with_downbeat_at(float(correction.value or 0.0))
        case "metre":
            return grid.with_metre(int(correction.value or grid.beats_per_bar))
        case "tempo":
            return _at_tempo(grid, float(correction.value or grid.tempo_bpm))
        case _:
            return grid


def _corrected(
    stems: Mapping[Role, Waveform],
    before: SongAnalysis,
    corrections: Sequence[Correction],
) -> SongAnalysis:
    """A new analysis on the corrected map; a person's word has full confidence."""
    grid, key, tempo, tracker = before.grid, before.key, before.tempo, before.tracker
    for correction in corrections:
        grid = apply_correction(grid, correction)
        if correction.field == "key":
            key = KeyEstimate(Key.parse(str(correction.value)), 1.0, "person", agreement=True)
    fields = {correction.field for correction in corrections}
    if fields - {"key"}:
        grid, tracker = replace(grid, confidence=1.0), "person"
    if fields & {"tempo", "half", "double"}:
        tempo = replace(tempo, bpm=grid.tempo_bpm, confidence=1.0, hypotheses=())
    after = analyse_song(stems, grid=grid, key=key.key)
    return replace(
        after,
        key=key,
        tempo=tempo,
        tracker=tracker,
        tracked_on=before.tracked_on,
        notes=(*after.notes, *still_true(before.notes)),
    )


def _at_tempo(grid: BeatGrid, bpm: float) -> BeatGrid:
    """The map read at ``bpm``: counted differently when that explains it, else a steady grid.

    The steady grid keeps the phase that most of the old beats agree on, and the old bar lines.
    """
    ratio = bpm / grid.tempo_bpm
    if abs(ratio - 1) < _SAME_TEMPO and not _steady(grid):
        return grid
    if abs(ratio / 2 - 1) < _SAME_TEMPO:
        return grid.doubled()
    if abs(ratio * 2 - 1) < _SAME_TEMPO:
        return grid.halved()
    period_s = 60.0 / bpm
    turns = np.exp(2j * np.pi * grid.beats_s / period_s).mean()
    phase_s = float(np.angle(turns)) / (2 * np.pi) * period_s
    start_s, end_s = float(grid.beats_s[0]), float(grid.beats_s[-1])
    downbeat_s = phase_s + round((float(grid.downbeats_s[0]) - phase_s) / period_s) * period_s
    return BeatGrid.constant(
        bpm,
        downbeat_s=downbeat_s,
        start_s=start_s,
        end_s=end_s,
        beats_per_bar=grid.beats_per_bar,
    )


def _steady(grid: BeatGrid) -> bool:
    spans = np.diff(grid.beats_s)
    return bool(spans.max() - spans.min() < 1e-3)


def _stored_stems(library: Library, song_id: str) -> dict[Role, Waveform]:
    """The song's own stems, without the sum ``harmonic`` where its parts are there."""
    rows = {stem.role: stem for stem in library.stems(song_id)}
    if rows.keys() & {"bass", "other"}:
        rows.pop("harmonic", None)
    return {role: library.waveform(row) for role, row in rows.items()}


def _check(corrections: Sequence[Correction], before: SongAnalysis) -> None:
    low, high = TEMPO_RANGE
    for correction in corrections:
        value = float(correction.value or 0) if correction.field in ("tempo", "downbeat") else 0.0
        if correction.field == "tempo" and not low <= value <= high:
            raise UsageError(
                f"A tempo of {value:g} BPM is outside {low:g}..{high:g} BPM.",
                hint="Give beats per minute, like --tempo 120.",
                code="bad_tempo",
            )
        if correction.field == "downbeat" and value > before.duration_s:
            raise UsageError(
                f"The song is {before.duration_s:.1f} s long, no bar begins at {value:g} s.",
                hint="Give a second of the song on which a bar begins, like --downbeat 1.25.",
                code="bad_downbeat",
            )
