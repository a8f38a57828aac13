"""From a :class:`~engine.clips.clip.ClipRequest` to its analysis, cached.

What the beat map rests on, in this order: the DAW's own map of a warped clip, which is taken as it
is; a person's tempo and downbeat; the beat map of the
library's song that the clip is cut from; the tempo in the file's name; the tracker, helped by the
session's tempo when the voice alone leaves it unsure. A tempo that a person states is the clip's,
also where its beats, which are looked for near it, lie a little apart. What was analysed is kept
(see :mod:`engine.clips.cache`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from engine.analysis.clip import USUAL_METRE, track_clip
from engine.analysis.features import active_beats, beat_features
from engine.analysis.key import PitchedAudio, estimate_key
from engine.analysis.records import KeyEstimate
from engine.analysis.tempo import hints_from_name
from engine.analysis.tuning import PITCH_RATE_HZ, SpectralPeaks, spectral_peaks, tuning_cents
from engine.audio.decode import decode, require_length, require_sound
from engine.audio.loudness import true_peak_db
from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.clips.cache import ClipCache, cache_name
from engine.clips.clip import ClipAnalysis, ClipRequest, ClipSource
from engine.clips.fingerprints import recognise
from engine.clips.region import (
    LEAST_PICKUP_BEATS,
    PHRASE_BARS,
    bars_filled,
    bars_of_region,
    pickup_sounds,
    upbeat_sounds,
)
from engine.errors import UnusableInput
from engine.files import sha256_of
from engine.grid import BeatGrid
from engine.library.library import Library

__all__ = ["analyse_clip", "content_sha"]

#: A clip needs about a bar.
LEAST_CLIP_S: Final = 2.0
#: Where the DAW says where the beats are, a beat is enough.
LEAST_MAPPED_S: Final = 0.3
#: A voice that does not tell its tempo is counted in the octave nearest to this one.
TYPICAL_TEMPO_BPM: Final = 100.0
#: The key network's rate [Hz].
_KEY_RATE_HZ: Final = 44100
#: A stated tempo that differs from the song's by less is the same: the song's beats are known.
_SAME_TEMPO: Final = 0.005


def analyse_clip(
    request: ClipRequest,
    library: Library,
    *,
    session_tempo_bpm: float | None = None,
    cache: ClipCache | None = None,
) -> ClipAnalysis:
    """Everything that ranking and rendering need to know about a clip.

    Args:
        request: which part of which file.
        library: where its song may be found.
        session_tempo_bpm: believed when the clip itself leaves its tempo open.
        cache: what was analysed before; the library's own, on disk only, when None.

    Raises:
        UnusableInput: missing, not audio, silent, too short, or without any beat.
    """
    sha = content_sha(request.path)
    cache = cache or ClipCache(library.cache)
    name = cache_name(request, sha, session_tempo_bpm, library.revision())
    found = cache.read(name, request)
    if found is None:
        found = _analyse(request, sha, library, session_tempo_bpm)
        cache.write(name, found)
    return found


def content_sha(path: Path) -> str:
    """SHA-256 of a file's bytes, read again only when its size or time has changed.

    Raises:
        UnusableInput: missing, no file, or unreadable.
    """
    if not path.is_file():
        raise UnusableInput(
            f"{path} is not there." if not path.exists() else f"{path} is not a file.",
            hint="Name an audio file.",
            code="missing_file",
        )
    try:
        status = path.stat()
        return _hashed(path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UnusableInput(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Check that the file is still there and readable.",
            code="unreadable",
        ) from error


@functools.lru_cache(maxsize=256)
def _hashed(path: Path, _size_bytes: int, _mtime_ns: int) -> str:
    return sha256_of(path)


def _analyse(
    request: ClipRequest, sha: str, library: Library, session_tempo_bpm: float | None
) -> ClipAnalysis:
    path = request.path
    waveform = decode(path, start_s=request.start_s or None, end_s=request.end_s)
    require_sound(waveform, path)
    require_length(waveform, LEAST_MAPPED_S if request.beat_map else LEAST_CLIP_S, path)
    end_s = request.start_s + waveform.duration_s
    sources = _sources(library, sha, waveform, request.start_s)
    if request.beat_map is not None:
        mapped = _Mapped(request.beat_map.grid(request.bars), "daw")
        bars, notes = mapped.grid, mapped.notes
    else:
        mapped = _grid(request, waveform, sources, library, session_tempo_bpm)
        nearest = None if request.counted_so else session_tempo_bpm
        bars, left_out = _bars(request, waveform, _counted_as(mapped.grid, nearest))
        notes = mapped.notes + left_out
    peaks = _peaks(waveform)
    tuning = tuning_cents(peaks)
    local = replace(bars, beats_s=bars.beats_s - request.start_s)  # in seconds of the waveform
    rows = beat_features(waveform, local, tuning_cents=tuning)
    return ClipAnalysis(
        request=request,
        end_s=end_s,
        grid=bars,
        bars=bars.bars,
        tempo_bpm=_tempo_bpm(request, bars),
        key=_key(request, waveform, peaks, sources, library),
        tuning_cents=tuning,
        rows=rows,
        active=active_beats(rows),
        peak_db=true_peak_db(waveform),
        sources=sources,
        sha256=sha,
        method=mapped.method,
        notes=notes,
        metre_known=mapped.metre_known,
    )


def _tempo_bpm(request: ClipRequest, bars: BeatGrid) -> float:
    """The stated tempo in the octave in which the bars are counted; theirs where none is stated."""
    stated = request.tempo_bpm
    if stated is None or request.beat_map is not None:
        return bars.tempo_bpm
    return float(stated * 2.0 ** round(float(np.log2(bars.tempo_bpm / stated))))


def _bars(
    request: ClipRequest, waveform: Waveform, counted: BeatGrid
) -> tuple[BeatGrid, tuple[str, ...]]:
    """The whole bars that the region fills, and what is to be said about them."""
    start_s, end_s = request.start_s, request.start_s + waveform.duration_s
    grid = counted.covering(start_s, end_s)
    first = grid.beats_per_bar * int(np.ceil(grid.beat_at(start_s) / grid.beats_per_bar))
    upbeat = upbeat_sounds(waveform, start_s, grid.time_at(float(first)))
    pickup = pickup_sounds(waveform, start_s, grid)
    made = bars_of_region(
        grid,
        start_s,
        end_s,
        upbeat=upbeat,
        pickup=pickup,
        bars=request.bars,
    )
    filled = bars_filled(grid, start_s, end_s, upbeat=upbeat, pickup=pickup)
    notes = () if request.bars else _rounding(filled, made.bars)
    before_s = float(made.beats_s[0]) - start_s
    if not pickup or before_s * grid.tempo_bpm / 60 < LEAST_PICKUP_BEATS:
        return made, notes
    all_bars = bars_of_region(grid, start_s, end_s, upbeat=upbeat).bars
    return made, (
        *notes,
        f"The first {before_s:.2f} s sound, but lie before the first bar line and are left out; "
        f"--bars {all_bars + 1} takes them in.",
    )


def _rounding(filled: int, bars: int) -> tuple[str, ...]:
    """What is said of a clip that is lengthened by more than a bar."""
    if bars - filled <= 1:
        return ()
    return (
        f"The clip fills {filled} bars and is taken as {bars}, the next multiple of {PHRASE_BARS}; "
        f"--bars {filled} keeps to what it fills.",
    )


@dataclass(frozen=True, eq=False)
class _Mapped:
    """A beat map in seconds of the file, and what it rests on."""

    grid: BeatGrid
    method: str
    notes: tuple[str, ...] = ()
    metre_known: bool = True


def _sources(
    library: Library, sha: str, waveform: Waveform, start_s: float
) -> tuple[ClipSource, ...]:
    """Songs that hold this very file, else the one that the clip sounds like."""
    exact = tuple(ClipSource(song_id, 0.0, exact=True) for song_id in library.find_source(sha))
    if exact:
        return exact
    heard = recognise(library, waveform)
    return () if heard is None else (replace(heard, offset_s=heard.offset_s - start_s),)


def _grid(
    request: ClipRequest,
    waveform: Waveform,
    sources: tuple[ClipSource, ...],
    library: Library,
    session_tempo_bpm: float | None,
) -> _Mapped:
    start_s, end_s = request.start_s, request.start_s + waveform.duration_s
    known = library.grid(sources[0].song_id) if sources else None
    if request.tempo_bpm and request.downbeat_s is not None:
        return _Mapped(
            BeatGrid.constant(
                request.tempo_bpm,
                downbeat_s=request.downbeat_s,
                start_s=start_s,
                end_s=end_s,
                beats_per_bar=request.beats_per_bar
                or (known.beats_per_bar if known else USUAL_METRE),
            ),
            "person",
            metre_known=request.beats_per_bar is not None or known is not None,
        )
    if known is not None and _agrees(known, request.tempo_bpm):
        mapped = _Mapped(
            replace(known, beats_s=known.beats_s - sources[0].offset_s).covering(start_s, end_s),
            "person" if request.tempo_bpm else "library",
        )
    else:
        mapped = _tracked(request, waveform, session_tempo_bpm)
    if request.beats_per_bar not in (None, mapped.grid.beats_per_bar):
        grid = mapped.grid.with_metre(request.beats_per_bar, from_s=start_s)
        mapped = replace(mapped, grid=grid)
    if request.downbeat_s is not None:
        mapped = replace(mapped, grid=mapped.grid.with_downbeat_at(request.downbeat_s))
    return mapped


def _agrees(known: BeatGrid, tempo_bpm: float | None) -> bool:
    """Whether a person states no other tempo than that of the song a clip comes from."""
    return not tempo_bpm or abs(tempo_bpm / known.tempo_bpm - 1) <= _SAME_TEMPO


def _counted_as(grid: BeatGrid, session_tempo_bpm: float | None) -> BeatGrid:
    """The map counted in the session's beats: 70 BPM plays in 140 BPM as it is, not twice as fast.

    The nearest octave is taken, so no clip is ever stretched by more than the square root of 2.
    """
    if session_tempo_bpm is None:
        return grid
    octaves = round(float(np.log2(session_tempo_bpm / grid.tempo_bpm)))
    for _ in range(abs(octaves)):
        grid = grid.doubled() if octaves > 0 else grid.halved()
    return grid


def _tracked(request: ClipRequest, waveform: Waveform, session_tempo_bpm: float | None) -> _Mapped:
    """The voice's own beats; the session's tempo settles what it leaves open.

    It is taken exactly: a voice without a pulse would be stretched by a few percent for nothing.
    """
    named = hints_from_name(request.path.stem).tempo_bpm
    stated, metre = request.tempo_bpm or named, request.beats_per_bar
    found = track_clip(waveform, tempo_hint_bpm=stated, beats_per_bar=metre)
    method = "person" if request.tempo_bpm else "name" if named else found.tracker
    notes = _apart(found.grid, request.tempo_bpm)
    if not stated and not found.clear and session_tempo_bpm:
        found = track_clip(
            waveform, tempo_hint_bpm=session_tempo_bpm, exact=True, beats_per_bar=metre
        )
        method = "session"
        notes = (
            f"The clip's own tempo is unclear; taken as the session's {session_tempo_bpm:g} BPM"
            f"{_counted(found.grid, metre)}.",
        )
    heard = replace(found.grid, confidence=min(found.confidence, 1.0))
    if not stated and not found.clear and not session_tempo_bpm:
        heard = _counted_as(heard, TYPICAL_TEMPO_BPM)
        notes = (
            f"The clip's tempo ({heard.tempo_bpm:.1f} BPM{_counted(heard, metre)}) is a guess; "
            "--clip-tempo, --clip-metre and --clip-downbeat state what you know.",
        )
    moved = replace(heard, beats_s=heard.beats_s + request.start_s)
    return _Mapped(moved, method, notes, metre_known=metre is not None)


def _apart(grid: BeatGrid, stated_bpm: float | None) -> tuple[str, ...]:
    """What is said of beats that were found at another tempo than the stated one."""
    if stated_bpm is None or abs(grid.tempo_bpm / stated_bpm - 1) <= _SAME_TEMPO:
        return ()
    return (
        f"The clip's beats were found at {grid.tempo_bpm:.1f} BPM and are brought to the stated "
        f"{stated_bpm:g} BPM; with --clip-downbeat too they are taken exactly as stated.",
    )


def _counted(grid: BeatGrid, stated_metre: int | None) -> str:
    return "" if stated_metre else f", {grid.beats_per_bar} beats in a bar"


def _key(
    request: ClipRequest,
    waveform: Waveform,
    peaks: SpectralPeaks,
    sources: tuple[ClipSource, ...],
    library: Library,
) -> KeyEstimate:
    if request.key is not None:
        return KeyEstimate(request.key, 1.0, "person", agreement=True)
    for source in sources:
        song_key = library.song(source.song_id).key
        if song_key.key is not None:
            return song_key
    named = hints_from_name(request.path.stem).key
    if named is not None:
        return KeyEstimate(named, 0.9, "name", agreement=False)
    signal = resample(Waveform(waveform.mono()[None], waveform.sample_rate), _KEY_RATE_HZ)
    peak = max(float(np.abs(signal.samples).max()), 1e-6)
    return estimate_key(PitchedAudio(signal.samples[0] / np.float32(peak), peaks))


def _peaks(waveform: Waveform) -> SpectralPeaks:
    mono = Waveform(waveform.mono()[None], waveform.sample_rate)
    return spectral_peaks(resample(mono, PITCH_RATE_HZ).samples[0])
