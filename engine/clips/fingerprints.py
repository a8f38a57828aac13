"""Which song of the library a clip was cut from, told by its sound.

The voice of every song (or its only stem, where it has no voice) is kept as a fingerprint under
``<library>/index/fingerprints``; a file that is not there is made again from the stored audio, so
the folder may be deleted. See :mod:`engine.analysis.fingerprint` for the method.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.fingerprint import HOP_S, best_match, fingerprint
from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.clips.clip import ClipSource
from engine.errors import DawlinkError
from engine.files import write_whole
from engine.library.library import Library
from engine.theory import Role

__all__ = ["recognise", "remember_voice"]

#: The file is nothing but the sub-fingerprints: thousands of them are read for one question.
_STORED: Final = np.dtype("<u4")
_NOTHING: Final = np.zeros(0, dtype=np.uint32)
#: Offsets are refined on this many seconds at this rate: a sample is 0.1 ms.
_REFINED_S: Final = 3.0
_REFINED_RATE_HZ: Final = 11025


def remember_voice(library: Library, song_id: str, stems: Mapping[Role, Waveform]) -> None:
    """Keep the fingerprint of a song that was just added. Losing it costs time, not answers."""
    role = _telling_role(tuple(stems))
    _keep(_path(library, song_id), _NOTHING if role is None else fingerprint(stems[role]))


def recognise(library: Library, waveform: Waveform) -> ClipSource | None:
    """The song that ``waveform`` is cut from, and where; None when it is none of the library's."""
    query = fingerprint(waveform)
    if not query.any():
        return None
    references = {song_id: _reference(library, song_id) for song_id in library.song_ids()}
    found = best_match(query, references)
    if found is None:
        return None
    song_id, match = found
    return ClipSource(song_id, _refined(library, song_id, waveform, match.offset_s), exact=False)


def _refined(library: Library, song_id: str, clip: Waveform, offset_s: float) -> float:
    """``offset_s`` to the sample: fingerprints are 11.6 ms apart, waveforms are compared here.

    The loudest seconds of the clip are slid along the song's stem by up to one hop either way.
    """
    stems = {stem.role: stem for stem in library.stems(song_id)}
    stem = stems[_telling_role(tuple(stems)) or "vocals"]
    query = _mono(clip)
    start_s = _loudest_s(query)
    part = query[round(start_s * _REFINED_RATE_HZ) :][: round(_REFINED_S * _REFINED_RATE_HZ)]
    first_s = offset_s + start_s - HOP_S
    if first_s < 0:
        return offset_s
    rate = stem.audio.sample_rate
    heard = library.waveform(
        stem,
        start_frame=min(round(first_s * rate), stem.audio.frames),
        frames=round((_REFINED_S + 2 * HOP_S) * rate),
    )
    song = _mono(heard)
    if song.size <= part.size or not part.any():
        return offset_s
    slid = np.lib.stride_tricks.sliding_window_view(song, part.size)
    energy = np.sqrt(np.square(slid).sum(axis=1)) + 1e-9
    best = int(np.argmax(slid @ part / energy))
    return first_s + best / _REFINED_RATE_HZ - start_s


def _mono(waveform: Waveform) -> NDArray[np.float32]:
    """Mono at the rate that offsets are refined at."""
    mono = Waveform(waveform.mono()[None], waveform.sample_rate)
    return resample(mono, _REFINED_RATE_HZ).mono()


def _loudest_s(signal: NDArray[np.float32]) -> float:
    """Where the loudest stretch that is compared begins."""
    length = round(_REFINED_S * _REFINED_RATE_HZ)
    if signal.size <= length:
        return 0.0
    power = np.concatenate([[0.0], np.cumsum(np.square(signal, dtype=np.float64))])
    return int(np.argmax(power[length:] - power[:-length])) / _REFINED_RATE_HZ


def _reference(library: Library, song_id: str) -> NDArray[np.uint32]:
    """A song's fingerprint, from its file or made again; empty when nothing tells it."""
    path = _path(library, song_id)
    with contextlib.suppress(OSError):
        return np.fromfile(path, dtype=_STORED)
    stems = {stem.role: stem for stem in library.stems(song_id)}
    role = _telling_role(tuple(stems))
    made = _NOTHING if role is None else fingerprint(library.waveform(stems[role]))
    _keep(path, made)
    return made


def _telling_role(roles: tuple[Role, ...]) -> Role | None:
    """The stem that clips are cut from: the voice, or the only real stem there is."""
    if "vocals" in roles:
        return "vocals"
    real = [role for role in roles if role != "harmonic"]
    return real[0] if len(real) == 1 else None


def _path(library: Library, song_id: str) -> Path:
    return library.folder / "index" / "fingerprints" / f"{song_id}.u32"


def _keep(path: Path, values: NDArray[np.uint32]) -> None:
    with contextlib.suppress(DawlinkError):
        write_whole(path, values.astype(_STORED).tobytes())
