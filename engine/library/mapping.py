"""Between the tables and the records: the only place that knows how one becomes the other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import (
    BEAT_ROW,
    FEATURE_VERSION,
    KeyEstimate,
    SongAnalysis,
    StemAnalysis,
    TempoEstimate,
    TempoHypothesis,
    Window,
)
from engine.grid import BeatGrid
from engine.library.rows import (
    Correction,
    CorrectionField,
    NewSong,
    SongKind,
    SongRow,
    SourceFile,
    StemRow,
    StoredAudio,
    stem_id_for,
)
from engine.library.schema import CorrectionEntry, Song, Source, Stem
from engine.theory import Key, Mode, Role

__all__ = [
    "active_of",
    "apply_analysis",
    "apply_stem_analysis",
    "check_analysis",
    "correction_of",
    "grid_of",
    "new_song",
    "new_source",
    "new_stem",
    "song_row",
    "source_of",
    "stem_row",
    "windows_of",
]


def check_analysis(analysis: SongAnalysis) -> None:
    """Refuse numbers and arrays that cannot be, before anything is stored.

    Raises:
        ValueError: something is not finite, or an array does not fit the grid.
    """
    numbers = {
        "duration_s": analysis.duration_s,
        "tempo_bpm": analysis.tempo.bpm,
        "tempo confidence": analysis.tempo.confidence,
        "key confidence": analysis.key.confidence,
        "tuning_cents": analysis.tuning_cents,
    }
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    if analysis.duration_s <= 0 or analysis.tempo.bpm <= 0:
        raise ValueError(f"{analysis.duration_s} s at {analysis.tempo.bpm} BPM cannot be")
    for stem in analysis.stems:
        _check_stem(stem, analysis.grid.intervals)


def _check_stem(stem: StemAnalysis, intervals: int) -> None:
    if stem.features.dtype != BEAT_ROW or stem.features.shape != (intervals,):
        raise ValueError(
            f"features of {stem.role} are {stem.features.dtype} {stem.features.shape}, "
            f"the grid has {intervals} intervals"
        )
    if stem.active.shape != (intervals,) or stem.active.dtype != np.bool_:
        raise ValueError(f"active beats of {stem.role} do not fit {intervals} intervals")
    for name, level in (("loudness", stem.loudness_lufs), ("true peak", stem.true_peak_db)):
        if math.isnan(level) or level == math.inf:
            raise ValueError(f"{name} of {stem.role} is {level}")


def new_song(new: NewSong, song_id: str, *, content_sha: str, added_at: str) -> Song:
    """The row of a song that is not in the library yet."""
    song = Song(
        id=song_id,
        content_sha=content_sha,
        title=_storable(new.title),
        artist=_storable(new.artist),
        kind=new.kind,
        separator=new.separator,
        added_at=added_at,
    )
    apply_analysis(song, new.analysis)
    return song


def new_stem(song_id: str, stem: StemAnalysis, *, audio: StoredAudio, features_sha: str) -> Stem:
    """The row of one of its stems."""
    row = Stem(
        id=stem_id_for(song_id, stem.role),
        song_id=song_id,
        role=stem.role,
        audio_sha=audio.sha,
        gain_db=audio.gain_db,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        frames=audio.frames,
    )
    apply_stem_analysis(row, stem, features_sha)
    return row


def new_source(song_id: str, source: SourceFile) -> Source:
    """The row of a file that it was made from."""
    return Source(
        song_id=song_id,
        file_sha=source.sha256,
        path=_storable(str(source.path)),
        size_bytes=source.size_bytes,
        mtime_ns=source.mtime_ns,
        role=source.role,
    )


def apply_analysis(song: Song, analysis: SongAnalysis) -> None:
    """Write what analysis found over what was there."""
    tempo, key = analysis.tempo, analysis.key
    song.duration_s = float(analysis.duration_s)
    song.tempo_bpm = float(tempo.bpm)
    song.tempo_confidence = float(tempo.confidence)
    song.tempo_steady = bool(tempo.steady)
    song.tempo_hypotheses = [
        [float(h.bpm), float(h.multiple), float(h.weight)] for h in tempo.hypotheses
    ]
    song.beats_per_bar = int(analysis.grid.beats_per_bar)
    song.beat_count = analysis.grid.intervals
    song.grid_confidence = float(analysis.grid.confidence)
    song.beats = analysis.grid.beats_s.astype("<f8").tobytes()
    song.key_tonic = None if key.key is None else int(key.key.tonic)
    song.key_mode = None if key.key is None else key.key.mode
    song.key_confidence = float(key.confidence)
    song.key_method = key.method
    song.key_agreement = bool(key.agreement)
    song.tuning_cents = float(analysis.tuning_cents)
    song.tracker = analysis.tracker
    song.tracked_on = analysis.tracked_on
    song.feature_version = FEATURE_VERSION
    song.notes = [_storable(note) for note in analysis.notes]
    song.windows = [
        [int(w.start_bar), int(w.bars), {r: float(a) for r, a in w.activity.items()}]
        for w in analysis.windows
    ]


def apply_stem_analysis(stem: Stem, analysis: StemAnalysis, features_sha: str) -> None:
    """Write what analysis found about a stem over what was there."""
    stem.loudness_lufs = float(analysis.loudness_lufs)
    stem.true_peak_db = float(analysis.true_peak_db)
    stem.features_sha = features_sha
    stem.beat_count = int(analysis.features.size)
    stem.active = np.packbits(analysis.active).tobytes()


def song_row(song: Song) -> SongRow:
    """The record of a song.

    Raises:
        ValueError: a stored value cannot be.
    """
    key = None
    if song.key_tonic is not None:
        key = Key(song.key_tonic, cast(Mode, song.key_mode))
    return SongRow(
        id=song.id,
        title=song.title,
        artist=song.artist,
        kind=cast(SongKind, song.kind),
        duration_s=song.duration_s,
        tempo=TempoEstimate(
            song.tempo_bpm,
            song.tempo_confidence,
            tuple(TempoHypothesis(*three) for three in song.tempo_hypotheses),
            song.tempo_steady,
        ),
        key=KeyEstimate(key, song.key_confidence, song.key_method, song.key_agreement),
        beats=song.beat_count,
        beats_per_bar=song.beats_per_bar,
        grid_confidence=song.grid_confidence,
        tuning_cents=song.tuning_cents,
        tracker=song.tracker,
        tracked_on=song.tracked_on,
        separator=song.separator,
        added_at=song.added_at,
        feature_version=song.feature_version,
        notes=tuple(song.notes),
    )


def stem_row(stem: Stem) -> StemRow:
    """The record of a stem."""
    return StemRow(
        id=stem.id,
        song_id=stem.song_id,
        role=cast(Role, stem.role),
        audio=StoredAudio(
            stem.audio_sha, stem.gain_db, stem.sample_rate, stem.channels, stem.frames
        ),
        loudness_lufs=stem.loudness_lufs,
        true_peak_db=stem.true_peak_db,
        features_sha=stem.features_sha,
        beats=stem.beat_count,
    )


def grid_of(song: Song) -> BeatGrid:
    """The beat map of a song.

    Raises:
        ValueError: the stored beats are no beat map.
    """
    return BeatGrid(np.frombuffer(song.beats, "<f8"), song.beats_per_bar, song.grid_confidence)


def windows_of(stored: list[list[object]]) -> tuple[Window, ...]:
    """The bar-aligned windows of a song, of its ``windows`` column."""
    return tuple(
        Window(cast(int, start), cast(int, bars), dict(cast("dict[str, float]", activity)))
        for start, bars, activity in stored
    )


def active_of(packed: bytes, beats: int) -> NDArray[np.bool_]:
    """(beats,) bool of a stem's packed bits.

    Raises:
        ValueError: there are fewer bits than beats.
    """
    bits = np.frombuffer(packed, np.uint8)
    if bits.size != (beats + 7) // 8:
        raise ValueError(f"{bits.size} bytes of active beats do not fit {beats} beats")
    return np.unpackbits(bits, count=beats).astype(np.bool_)


def correction_of(entry: CorrectionEntry) -> Correction:
    """The record of a person's correction."""
    return Correction(cast(CorrectionField, entry.field), entry.value, entry.made_at)


def source_of(source: Source) -> SourceFile:
    """The record of a source file."""
    return SourceFile(
        path=Path(source.path),
        sha256=source.file_sha,
        size_bytes=source.size_bytes,
        mtime_ns=source.mtime_ns,
        role=cast("Role | None", source.role),
    )


def _storable(text: str) -> str:
    """Text without what a database refuses: lone surrogates of file names, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "")
