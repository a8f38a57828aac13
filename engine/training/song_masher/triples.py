"""(song, song, mashup) triples that the generator makes of multitrack songs.

A triple follows a ``matched`` plan of :mod:`engine.mashup.generation`: the voice of song 1 over
harmony and drums of song 2, which is transposed by at most 3 semitones and warped to the tempo of
song 1. The plan's own drums may be of a third song; a mashup of two songs takes those of song 2, of
the same bars. All begin together on a downbeat::

    song 1 = its voice + its own bed        song 2 = its own voice + its bed, levelled
    mashup = voice of song 1 + bed of song 2, levelled

The bed of song 2 is made as loud as the voice of song 1, as suggestions are
(:mod:`engine.mashup.levels`), so a part that is not touched has weight 1 in the mashup. This is
kinder than the published data, whose source songs were neither aligned nor in one key.

Files are FLAC, 16 kHz mono; a folder has the name of the hash of everything that makes it, so a
second run finds what the first one made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engine.audio.encode import write_audio
from engine.audio.loudness import integrated_lufs
from engine.audio.stretch import Stretcher
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.mashup.database import MASHUP_ROLES, MashupDB, MashupRole, MashupSong
from engine.mashup.generation import MashupExample, StemUse, generate
from engine.mashup.placement import WarpPoint
from engine.rendering.renderer import Session, Track, mix_tracks, render_track
from engine.staging import staging_folder
from engine.training.song_masher.training import Triple

__all__ = ["MashupParts", "make_triples", "planned_triples", "render_parts"]

#: Everything that the two networks look at: they work at 8 and 16 kHz [Hz].
SAMPLE_RATE: Final = 16_000
#: Nine seconds at 112 BPM; more songs teach more than longer ones.
BARS: Final = 4
#: Room below full scale for the files [dB].
PEAK_DB: Final = -1.0
#: Raised when the same plan would be rendered otherwise.
_VERSION: Final = 1


@dataclass(frozen=True, eq=False)
class MashupParts:
    """What a triple is the sum of, (1, frames) each: song 1's two parts, then song 2's."""

    voice: Waveform
    own_bed: Waveform
    other_voice: Waveform
    bed: Waveform

    @property
    def triple(self) -> Triple:
        """Song 1, song 2 and their mashup, turned down alike where a file could not hold them."""
        return _fitted(
            mix_tracks([self.voice, self.own_bed]),
            mix_tracks([self.other_voice, self.bed]),
            mix_tracks([self.voice, self.bed]),
        )


def planned_triples(db: MashupDB, count: int, *, seed: int) -> tuple[MashupExample, ...]:
    """Plans of ``count`` mashups, or fewer where the songs allow no more."""
    return generate(db, {"matched": count}, seed=seed, bars=BARS).examples


def make_triples(
    db: MashupDB,
    examples: Sequence[MashupExample],
    folder: Path,
    *,
    stretcher: Stretcher,
    stop: Callable[[], bool] = lambda: False,
    made_one: Callable[[], None] = lambda: None,
) -> list[Path] | None:
    """Render what is not in ``folder`` yet.

    Args:
        db: the songs of the examples.
        examples: from :func:`planned_triples`.
        folder: where the folders of the triples lie.
        stretcher: the warping back end.
        stop: asked before each rendering; True ends the work.
        made_one: told after each.

    Returns:
        a folder for each example that could be rendered; None when it was stopped.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    made: list[Path] = []
    for example in examples:
        place = folder / _name_of(example, db)
        if not place.is_dir():
            if stop():
                return None
            try:
                triple = render_parts(example, db, stretcher).triple
            except UnusableInput:
                continue  # silent bars, or a file that went away: the others teach as well
            _write(place, triple)
        made.append(place)
        made_one()
    return made


def render_parts(example: MashupExample, db: MashupDB, stretcher: Stretcher) -> MashupParts:
    """Both songs of an example on one grid, in parts.

    Raises:
        UnusableInput: a file cannot be read, or the voice or the other bed is silent there.
    """
    sung, played = example.stems[:2]
    session = _session(db.by_id[sung.song_id], example.bars)
    first = _rendered(sung, db.by_id[sung.song_id], session, stretcher)
    second = _rendered(played, db.by_id[played.song_id], session, stretcher)
    voice, bed = first["vocals"], _bed(second)
    loudness = [integrated_lufs(part) for part in (voice, bed)]
    if not np.isfinite(loudness).all():  # quieter than -70 LUFS throughout
        raise UnusableInput("A part of the mashup is silent.", code="silent")
    gain = 10 ** ((loudness[0] - loudness[1]) / 20)
    nobody = _scaled(voice, 0.0)
    return MashupParts(
        voice=voice,
        own_bed=_bed(first),
        other_voice=_scaled(second.get("vocals", nobody), gain),
        bed=_scaled(bed, gain),
    )


def _session(song: MashupSong, bars: int) -> Session:
    return Session(song.tempo_bpm, song.grid.beats_per_bar, bars, SAMPLE_RATE)


def _rendered(
    use: StemUse, song: MashupSong, session: Session, stretcher: Stretcher
) -> dict[MashupRole, Waveform]:
    """Every stem of a song on the session's grid, mono; drums are not transposed."""
    start = use.start_bar * session.beats_per_bar
    beats = np.arange(session.beats + 1, dtype=np.float64)
    times_s = song.grid.time_at(start + beats)
    warp = tuple(WarpPoint(float(t), float(b)) for t, b in zip(times_s, beats, strict=True))
    rendered: dict[MashupRole, Waveform] = {}
    for role in MASHUP_ROLES:
        if role in song.stems:
            path = song.stems[role].path
            track = Track(path, role, warp, use.semitones, song.tuning_cents)
            stem = render_track(track, session, stretcher)
            rendered[role] = Waveform(stem.mono()[np.newaxis], SAMPLE_RATE)
    return rendered


def _bed(parts: dict[MashupRole, Waveform]) -> Waveform:
    return mix_tracks([part for role, part in parts.items() if role != "vocals"])


def _scaled(part: Waveform, gain: float) -> Waveform:
    return Waveform((part.samples * np.float32(gain)).astype(np.float32), part.sample_rate)


def _fitted(*parts: Waveform) -> Triple:
    peak = max(float(np.abs(part.samples).max()) for part in parts)
    return Triple(*(_scaled(part, min(1.0, 10 ** (PEAK_DB / 20) / peak)) for part in parts))


def _write(place: Path, triple: Triple) -> None:
    parts = {"first": triple.first, "second": triple.second, "mix": triple.mix}
    with staging_folder(place.parent) as staged:
        folder = staged / place.name
        for name, part in parts.items():
            write_audio(folder / f"{name}.flac", part, file_format="flac", bit_depth="16")
        folder.replace(place)


def _name_of(example: MashupExample, db: MashupDB) -> str:
    """Hex SHA-256 of what the triple depends on."""
    songs = [db.by_id[use.song_id] for use in example.stems[:2]]
    record = {
        "version": _VERSION,
        "stems": [dataclasses.asdict(use) for use in example.stems[:2]],
        "bars": example.bars,
        "shas": [sorted(stem.sha for stem in song.stems.values()) for song in songs],
        "maps": [song.map_sha for song in songs],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:32]
