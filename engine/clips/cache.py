"""Analysed clips, so that nobody waits twice: the last ones in memory, more of them on disk.

The files lie in ``<library>/cache/clips`` and may be deleted at any time. A name stands for the
file's content and everything that was asked (region, warp, a person's words), and for the state of
the library in which the clip's own song is looked for, so nothing kept can go stale.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Final, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import FEATURE_VERSION, KeyEstimate
from engine.cached_files import DAMAGED_ARRAYS, CachedFiles
from engine.clips.clip import ClipAnalysis, ClipRequest, ClipSource
from engine.errors import UnwritableOutput
from engine.files import atomic_path
from engine.grid import BeatGrid
from engine.theory import Key

__all__ = ["ClipCache", "cache_name"]

_LAYOUT: Final = 11
#: A clip of 64 bars takes about 100 kB [bytes].
_MOST_ON_DISK: Final = 128 << 20
_MOST_IN_MEMORY: Final = 64


def cache_name(
    request: ClipRequest, sha: str, session_tempo_bpm: float | None, revision: int
) -> str:
    """What an analysis is kept under: a digest of everything that it depends on.

    Args:
        request: what is asked for.
        sha: SHA-256 of the file's bytes.
        session_tempo_bpm: believed when the clip leaves its tempo open.
        revision: state of the library.
    """
    asked = (
        _LAYOUT,
        FEATURE_VERSION,
        sha,
        request.path.stem,  # it may state tempo and key
        request.start_s,
        request.end_s,
        request.tempo_bpm,
        request.downbeat_s,
        str(request.key),
        request.bars,
        request.beat_map,
        request.counted_so,
        request.beats_per_bar,
        # what the DAW knows does not depend on the session's tempo
        None if request.beat_map else session_tempo_bpm,
        revision,
    )
    return hashlib.sha256(repr(asked).encode(errors="surrogateescape")).hexdigest()[:32]


class ClipCache:
    """Threads may share one. Unreadable and unwritable files are simply not used.

    Args:
        folder: where the library's machine keeps what can be made again.
    """

    def __init__(self, folder: Path) -> None:
        self._files = CachedFiles(folder / "cache" / "clips", most_bytes=_MOST_ON_DISK)
        self._lock = threading.Lock()
        self._last: OrderedDict[str, ClipAnalysis] = OrderedDict()

    def read(self, name: str, request: ClipRequest) -> ClipAnalysis | None:
        """What was kept under that name, as the answer to ``request``."""
        with self._lock:
            found = self._last.get(name)
            if found is not None:
                self._last.move_to_end(name)
                return replace(found, request=request)
        found = self._from_disk(name, request)
        if found is not None:
            self._remember(name, found)
        return found

    def write(self, name: str, clip: ClipAnalysis) -> None:
        """Keep it."""
        self._remember(name, clip)
        path = self._files.folder / f"{name}.npz"
        with contextlib.suppress(UnwritableOutput, OSError), atomic_path(path) as temporary:
            np.savez(
                temporary,
                facts=np.array(json.dumps(_facts_of(clip))),
                beats_s=clip.grid.beats_s,
                rows=clip.rows,
                active=clip.active,
            )
        self._files.tidy()

    def _remember(self, name: str, clip: ClipAnalysis) -> None:
        with self._lock:
            self._last[name] = clip
            self._last.move_to_end(name)
            while len(self._last) > _MOST_IN_MEMORY:
                self._last.popitem(last=False)

    def _from_disk(self, name: str, request: ClipRequest) -> ClipAnalysis | None:
        path = self._files.find(f"{name}.npz")
        if path is None:
            return None
        with contextlib.suppress(*DAMAGED_ARRAYS), path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            facts = cast("_Facts", json.loads(str(arrays["facts"])))
            return _clip_of(request, facts, arrays["beats_s"], arrays["rows"], arrays["active"])
        return None


class _Facts(TypedDict):
    """What a file holds beside the arrays."""

    sha256: str
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
    metre_known: bool


def _facts_of(clip: ClipAnalysis) -> _Facts:
    key = clip.key.key
    return {
        "sha256": clip.sha256,
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
        "metre_known": clip.metre_known,
    }


def _clip_of(
    request: ClipRequest,
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
        request=request,
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
        sha256=facts["sha256"],
        method=facts["method"],
        notes=tuple(facts["notes"]),
        metre_known=facts["metre_known"],
    )
