"""The sound of a training example, made so that its sound does not give the answer away.

In Huang et al. (AAAI 2021) originals are untouched and everything else went through a stretcher,
so a network can learn to hear the stretcher. Here every stem of every example, the vocal included,
goes through the same chain: warped onto a steady grid and transposed, written down, warped and
transposed again. What the two stages add up to is what the example asks for; how far they go
together is the same for all (:data:`SEMITONES_TRAVELLED`, :data:`OCTAVES_TRAVELLED`): an original
goes up by 3.5 semitones and comes back, one that is to end two higher goes up by 4.5 and comes
back by 2.5. Which stage goes up is drawn by lot. Drums are stretched and never transposed. At the
end every stem has the same level, so levels tell nothing either.

The audio is mono float32 at 32 kHz: (3 roles, frames), frames = the vocal's bars at its tempo.
Stretch is counted in octaves of duration: 1 is twice as long.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.stretch import Stretcher
from engine.errors import UnusableInput
from engine.mashup.database import MashupDB, MashupSong
from engine.mashup.generation import MashupExample, StemUse
from engine.mashup.placement import WarpPoint
from engine.rendering import Session, Track, render_track

__all__ = [
    "FULL_DETOUR",
    "SAMPLE_RATE",
    "Detour",
    "Stage",
    "render_example",
    "render_stem",
    "session_of",
    "stages",
]

#: Everything up to 11 kHz survives the furthest transposition at this rate [Hz].
SAMPLE_RATE: Final = 32000
#: Way up and down together; at least the furthest net transposition, 3 semitones and a detuning.
SEMITONES_TRAVELLED: Final = 7.0
#: Longer and shorter together; at least the furthest net stretch, a ratio of 0.8.
OCTAVES_TRAVELLED: Final = math.log2(1.3)
#: Music before and after the example that the second stage may reach into, in whole bars: the
#: longest offset and the stretcher's run-up, both 1.3 times as long at most [s].
MARGIN_S: Final = 2.0
#: RMS of every finished stem.
LEVEL_DB: Final = -20.0
_SILENT_RMS: Final = 1e-5
#: Audio read around the first stage's span [s].
_ROLL_S: Final = 1.0


@dataclass(frozen=True)
class Detour:
    """How far the two stages go together."""

    semitones: float = SEMITONES_TRAVELLED
    octaves: float = OCTAVES_TRAVELLED


#: What every example of a training set takes.
FULL_DETOUR: Final = Detour()


@dataclass(frozen=True)
class Stage:
    """One pass through the stretcher.

    Args:
        semitones: transposition.
        octaves: stretch, log2 of output / source duration.
    """

    semitones: float
    octaves: float


def stages(
    semitones: float, octaves: float, detour: Detour, *, up_first: bool, longer_first: bool
) -> tuple[Stage, Stage]:
    """Two stages that add up to (``semitones``, ``octaves``) and travel ``detour`` together."""
    shifts = _parts(semitones, detour.semitones, up_first)
    stretches = _parts(octaves, detour.octaves, longer_first)
    return Stage(shifts[0], stretches[0]), Stage(shifts[1], stretches[1])


def render_example(
    example: MashupExample, db: MashupDB, stretcher: Stretcher, *, detour: Detour = FULL_DETOUR
) -> NDArray[np.float32]:
    """(3, frames) vocals, harmonic and drums of an example at :data:`SAMPLE_RATE`.

    Raises:
        UnusableInput: a file cannot be read, or a stem is silent there.
    """
    vocal_song = db.by_id[example.stems[0].song_id]
    session = session_of(vocal_song, example.bars)
    rng = np.random.default_rng(example.seed)
    return np.stack(
        [
            render_stem(use, db.by_id[use.song_id], session, stretcher, rng=rng, detour=detour)
            for use in example.stems
        ]
    )


def session_of(song: MashupSong, bars: int) -> Session:
    """The steady grid of an example over this song's voice."""
    return Session(song.tempo_bpm, song.grid.beats_per_bar, bars, SAMPLE_RATE)


def render_stem(
    use: StemUse,
    song: MashupSong,
    session: Session,
    stretcher: Stretcher,
    *,
    rng: np.random.Generator,
    detour: Detour = FULL_DETOUR,
) -> NDArray[np.float32]:
    """(frames,) one stem of an example; ``rng`` decides which stage goes up.

    Raises:
        UnusableInput: the file cannot be read, or the stem is silent there.
    """
    ups = rng.integers(2, size=2) == 1
    with tempfile.TemporaryDirectory(prefix="dawlink-example-") as folder:
        chain = _Chain(use, song, session, detour, stretcher, Path(folder))
        samples = chain.run(up_first=bool(ups[0]), longer_first=bool(ups[1]))
    return _levelled(samples, song, use)


@dataclass(frozen=True, eq=False)
class _Chain:
    """One stem on its way."""

    use: StemUse
    song: MashupSong
    session: Session
    detour: Detour
    stretcher: Stretcher
    folder: Path

    def run(self, *, up_first: bool, longer_first: bool) -> NDArray[np.float32]:
        """(frames,) of the finished stem."""
        first, second = stages(
            self.use.semitones - self.song.tuning_cents / 100,
            math.log2(self.song.tempo_bpm / self._tempo_bpm),
            self.detour,
            up_first=up_first,
            longer_first=longer_first,
        )
        between_bpm = self.song.tempo_bpm / 2**first.octaves
        middle = self._first(first, between_bpm)
        return self._second(second, between_bpm, middle)[: self.session.frames]

    @property
    def _tempo_bpm(self) -> float:
        """The tempo at which it ends."""
        return self.session.tempo_bpm if self.use.stretched else self.song.tempo_bpm

    @property
    def _bars(self) -> int:
        """Bars at that tempo that fill the example."""
        if self.use.stretched:
            return self.session.bars
        return math.ceil(self.session.bars * self._tempo_bpm / self.session.tempo_bpm)

    @property
    def _margin_bars(self) -> int:
        """Bars of the song that are kept before and after."""
        return math.ceil(MARGIN_S * self.song.tempo_bpm / 60 / self.session.beats_per_bar - 1e-9)

    def _first(self, stage: Stage, between_bpm: float) -> Path:
        """From the song onto a steady grid, with margins; the file that holds it."""
        bar = self.session.beats_per_bar
        bars = self._bars + 2 * self._margin_bars
        start_beat = (self.use.start_bar - self._margin_bars) * bar
        beats = np.arange(bars * bar + 1, dtype=np.float64)
        times_s = self.song.grid.time_at(start_beat + beats)
        source, source_start_s = self._excerpt(float(times_s[0]), float(times_s[-1]))
        warp = tuple(
            WarpPoint(float(time_s) - source_start_s, float(beat))
            for time_s, beat in zip(times_s, beats, strict=True)
        )
        session = Session(between_bpm, bar, bars, SAMPLE_RATE)
        return self._write("middle", self._render(source, warp, stage, session))

    def _second(self, stage: Stage, between_bpm: float, middle: Path) -> NDArray[np.float32]:
        """From that file to the example."""
        bar = self.session.beats_per_bar
        beat_s = 60.0 / between_bpm
        late_beats = self.use.offset_s * self._tempo_bpm / 60.0
        warp = tuple(
            WarpPoint((self._margin_bars * bar + beat - late_beats) * beat_s, float(beat))
            for beat in range(self._bars * bar + 1)
        )
        session = Session(self._tempo_bpm, bar, self._bars, SAMPLE_RATE)
        return self._render(middle, warp, stage, session)

    def _render(
        self, path: Path, warp: tuple[WarpPoint, ...], stage: Stage, session: Session
    ) -> NDArray[np.float32]:
        whole = round(stage.semitones)
        track = Track(
            path=path,
            role=self.use.role,
            warp=warp,
            semitones=whole,
            tuning_cents=100 * (whole - stage.semitones),  # a track takes its detuning out
        )
        samples: NDArray[np.float32] = render_track(track, session, self.stretcher).samples[0]
        return samples

    def _excerpt(self, start_s: float, end_s: float) -> tuple[Path, float]:
        """The part of the song that is needed, in mono, and the second at which it begins."""
        first_s = max(start_s - _ROLL_S, 0.0)
        heard = resample(
            decode(self.song.stems[self.use.role].path, start_s=first_s, end_s=end_s + _ROLL_S),
            SAMPLE_RATE,
        )
        return self._write("source", heard.mono()), first_s

    def _write(self, name: str, samples: NDArray[np.float32]) -> Path:
        path = self.folder / f"{name}.wav"
        soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
        return path


def _levelled(samples: NDArray[np.float32], song: MashupSong, use: StemUse) -> NDArray[np.float32]:
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if rms < _SILENT_RMS:
        raise UnusableInput(
            f"The {use.role} of song {song.id} are silent from bar {use.start_bar} on.",
            hint="Remove the song and add it again.",
            code="silent",
        )
    scaled: NDArray[np.float32] = (samples * (10 ** (LEVEL_DB / 20) / rms)).astype(np.float32)
    return scaled


def _parts(total: float, travelled: float, up_first: bool) -> tuple[float, float]:
    """Two numbers that add up to ``total`` and whose sizes add up to ``travelled``.

    Where ``travelled`` is not far enough they add up to ``|total|``.
    """
    way = max(travelled, abs(total)) * (1 if up_first else -1)
    return (total + way) / 2, (total - way) / 2
