"""From a :class:`~engine.clips.ClipRequest` to a :class:`~engine.clips.ClipAnalysis`, cached.

What the beat map rests on, in this order: the DAW's own map of a warped clip, which is taken as it
is; a person's tempo and downbeat; the beat map of the
library's song that the clip is cut from; the tempo in the file's name; the tracker, helped by the
session's tempo when the voice alone leaves it unsure. The cache lies in ``<library>/cache/clips``
and is keyed by the file's content and everything that was asked, so it cannot go stale; it may be
deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from engine.analysis.clip import track_clip
from engine.analysis.features import active_beats, beat_features
from engine.analysis.key import PitchedAudio, estimate_key
from engine.analysis.records import FEATURE_VERSION, KeyEstimate
from engine.analysis.tempo import hints_from_name
from engine.analysis.tuning import PITCH_RATE_HZ, SpectralPeaks, spectral_peaks, tuning_cents
from engine.audio.decode import decode, require_length, require_sound
from engine.audio.loudness import true_peak_db
from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.clips import ClipAnalysis, ClipRequest, ClipSource, bars_of_region, upbeat_sounds
from engine.errors import UnusableInput, UnwritableOutput
from engine.files import atomic_path, sha256_of
from engine.fingerprints import recognise
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.theory import Key

__all__ = ["analyse_clip"]

#: A clip needs about a bar.
LEAST_CLIP_S: Final = 2.0
#: Where the DAW says where the beats are, a beat is enough.
LEAST_MAPPED_S: Final = 0.3
#: A voice that does not tell its tempo is counted in the octave nearest to this one.
TYPICAL_TEMPO_BPM: Final = 100.0
#: The key network's rate [Hz].
_KEY_RATE_HZ: Final = 44100
_CACHE_LAYOUT: Final = 5


def analyse_clip(
    request: ClipRequest, library: Library, *, session_tempo_bpm: float | None = None
) -> ClipAnalysis:
    """Everything that ranking and rendering need to know about a clip.

    Args:
        request: which part of which file.
        library: where its song may be found, and the cache.
        session_tempo_bpm: believed when the clip itself leaves its tempo open.

    Raises:
        UnusableInput: missing, not audio, silent, too short, or without any beat.
    """
    sha = _sha_of(request)
    cached = _Cache(library, request, sha, session_tempo_bpm, library.revision())
    found = cached.read()
    if found is not None:
        return found
    made = _analyse(request, sha, library, session_tempo_bpm)
    cached.write(made)
    return made


def _sha_of(request: ClipRequest) -> str:
    if not request.path.is_file():
        raise UnusableInput(
            f"{request.path} is not there."
            if not request.path.exists()
            else f"{request.path} is not a file.",
            hint="Name an audio file.",
            code="missing_file",
        )
    try:
        status = request.path.stat()
        return _hashed(request.path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UnusableInput(
            f"{request.path} cannot be read: {error.strerror or error}.",
            hint="Check that the file is still there and readable.",
            code="unreadable",
        ) from error


@functools.lru_cache(maxsize=256)
def _hashed(path: Path, _size_bytes: int, _mtime_ns: int) -> str:
    """SHA-256 of a file, read again when its size or time has changed."""
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
        bars = mapped.grid
    else:
        mapped = _grid(request, waveform, sources, library, session_tempo_bpm)
        nearest = None if request.counted_so else session_tempo_bpm
        bars = _bars(request, waveform, _counted_as(mapped.grid, nearest))
    peaks = _peaks(waveform)
    tuning = tuning_cents(peaks)
    local = replace(bars, beats_s=bars.beats_s - request.start_s)  # in seconds of the waveform
    rows = beat_features(waveform, local, tuning_cents=tuning)
    return ClipAnalysis(
        request=request,
        end_s=end_s,
        grid=bars,
        bars=bars.bars,
        tempo_bpm=bars.tempo_bpm,
        key=_key(request, waveform, peaks, sources, library),
        tuning_cents=tuning,
        rows=rows,
        active=active_beats(rows),
        peak_db=true_peak_db(waveform),
        sources=sources,
        sha256=sha,
        method=mapped.method,
        notes=mapped.notes,
    )


def _bars(request: ClipRequest, waveform: Waveform, counted: BeatGrid) -> BeatGrid:
    """The whole bars that the region fills."""
    start_s, end_s = request.start_s, request.start_s + waveform.duration_s
    grid = counted.covering(start_s, end_s)
    first = grid.beats_per_bar * int(np.ceil(grid.beat_at(start_s) / grid.beats_per_bar))
    upbeat = upbeat_sounds(waveform, start_s, grid.time_at(float(first)))
    return bars_of_region(grid, start_s, end_s, upbeat=upbeat, bars=request.bars)


@dataclass(frozen=True, eq=False)
class _Mapped:
    """A beat map in seconds of the file, and what it rests on."""

    grid: BeatGrid
    method: str
    notes: tuple[str, ...] = ()


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
    if request.tempo_bpm and request.downbeat_s is not None:
        return _Mapped(
            BeatGrid.constant(
                request.tempo_bpm, downbeat_s=request.downbeat_s, start_s=start_s, end_s=end_s
            ),
            "person",
        )
    if sources and not request.tempo_bpm:
        grid = library.grid(sources[0].song_id)
        mapped = _Mapped(
            replace(grid, beats_s=grid.beats_s - sources[0].offset_s).covering(start_s, end_s),
            "library",
        )
    else:
        mapped = _tracked(request, waveform, session_tempo_bpm)
    if request.downbeat_s is not None:
        mapped = replace(mapped, grid=mapped.grid.with_downbeat_at(request.downbeat_s))
    return mapped


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
    """The voice's own beats; the session's tempo settles what it leaves open."""
    named = hints_from_name(request.path.stem).tempo_bpm
    stated = request.tempo_bpm or named
    found = track_clip(waveform, tempo_hint_bpm=stated)
    method = "person" if request.tempo_bpm else "name" if named else found.tracker
    notes: tuple[str, ...] = ()
    if not stated and not found.clear and session_tempo_bpm:
        found = track_clip(waveform, tempo_hint_bpm=session_tempo_bpm)
        method = "session"
        notes = (
            f"The clip's own tempo is unclear; taken as the session's {session_tempo_bpm:g} BPM.",
        )
    heard = replace(found.grid, confidence=min(found.confidence, 1.0))
    if not stated and not found.clear and not session_tempo_bpm:
        heard = _counted_as(heard, TYPICAL_TEMPO_BPM)
        notes = (
            f"The clip's tempo ({heard.tempo_bpm:.1f} BPM) is a guess; "
            "--clip-tempo and --clip-downbeat state it.",
        )
    return _Mapped(replace(heard, beats_s=heard.beats_s + request.start_s), method, notes)


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


class _Facts(TypedDict):
    """What the cache keeps beside the arrays."""

    end_s: float
    beats_per_bar: int
    grid_confidence: float
    tempo_bpm: float
    key: str | None
    key_confidence: float
    key_method: str
    key_agreement: bool
    tuning_cents: float
    peak_db: float
    sources: list[tuple[str, float, bool]]
    method: str
    notes: list[str]


class _Cache:
    """One clip's analysis in a file; unreadable and unwritable caches are simply not used."""

    def __init__(
        self,
        library: Library,
        request: ClipRequest,
        sha: str,
        session_tempo_bpm: float | None,
        revision: int,
    ) -> None:
        asked = (
            _CACHE_LAYOUT,
            FEATURE_VERSION,
            sha,
            request.path.stem,
            request.start_s,
            request.end_s,
            request.tempo_bpm,
            request.downbeat_s,
            str(request.key),
            request.bars,
            request.beat_map,
            request.counted_so,
            # what the DAW knows does not depend on the session's tempo
            None if request.beat_map else session_tempo_bpm,
            revision,
        )
        name = hashlib.sha256(repr(asked).encode()).hexdigest()[:32]
        self._path = library.cache / "cache" / "clips" / f"{name}.npz"
        self._request = request
        self._sha = sha

    def read(self) -> ClipAnalysis | None:
        damaged = (OSError, ValueError, KeyError, EOFError, TypeError)
        with (
            contextlib.suppress(*damaged),
            np.load(self._path, allow_pickle=False) as arrays,
        ):
            facts = cast("_Facts", json.loads(str(arrays["facts"])))
            return self._from(facts, arrays["beats_s"], arrays["rows"], arrays["active"])
        return None

    def write(self, clip: ClipAnalysis) -> None:
        key = clip.key.key
        facts: _Facts = {
            "end_s": clip.end_s,
            "beats_per_bar": clip.grid.beats_per_bar,
            "grid_confidence": clip.grid.confidence,
            "tempo_bpm": clip.tempo_bpm,
            "key": None if key is None else str(key),
            "key_confidence": clip.key.confidence,
            "key_method": clip.key.method,
            "key_agreement": clip.key.agreement,
            "tuning_cents": clip.tuning_cents,
            "peak_db": clip.peak_db,
            "sources": [(s.song_id, s.offset_s, s.exact) for s in clip.sources],
            "method": clip.method,
            "notes": list(clip.notes),
        }
        with contextlib.suppress(UnwritableOutput, OSError), atomic_path(self._path) as temporary:
            np.savez(
                temporary,
                facts=np.array(json.dumps(facts)),
                beats_s=clip.grid.beats_s,
                rows=clip.rows,
                active=clip.active,
            )

    def _from(
        self,
        facts: _Facts,
        beats_s: NDArray[np.float64],
        rows: NDArray[np.void],
        active: NDArray[np.bool_],
    ) -> ClipAnalysis:
        grid = BeatGrid(beats_s, facts["beats_per_bar"], facts["grid_confidence"])
        key = KeyEstimate(
            key=None if facts["key"] is None else Key.parse(facts["key"]),
            confidence=facts["key_confidence"],
            method=facts["key_method"],
            agreement=facts["key_agreement"],
        )
        return ClipAnalysis(
            request=self._request,
            end_s=facts["end_s"],
            grid=grid,
            bars=grid.bars,
            tempo_bpm=facts["tempo_bpm"],
            key=key,
            tuning_cents=facts["tuning_cents"],
            rows=rows,
            active=active,
            peak_db=facts["peak_db"],
            sources=tuple(ClipSource(*source) for source in facts["sources"]),
            sha256=self._sha,
            method=facts["method"],
            notes=tuple(facts["notes"]),
        )
