"""What is asked of a delivery, and what it hands back: records, no work.

:mod:`engine.delivery.writing` writes the files. A project maker is handed in with the options, so
that the engine knows nothing of any DAW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from engine.audio.encode import BitDepth, FileFormat
from engine.errors import UsageError
from engine.mashup.ducking import MOST_REDUCTION_DB
from engine.mashup.placement import Placement, WarpPoint
from engine.models.song_masher.shipped_mask import SHIPPED_MASK
from engine.rendering.ducked_stems import Ducking
from engine.rendering.renderer import Session
from engine.suggestions import Suggestion, SuggestReply

__all__ = [
    "Progress",
    "ProjectMaker",
    "RenderOptions",
    "RenderedFile",
    "RenderedMix",
    "RenderedSuggestion",
    "Stage",
]

#: Rates that a session may have [Hz].
SAMPLE_RATES: Final = (22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)


@dataclass(frozen=True)
class RenderOptions:
    """How and where to write.

    Args:
        out: the folder.
        file_format: of stems, clip and mix.
        bit_depth: of stems, clip and mix.
        sample_rate: Hz; the clip's own when None.
        mix: write the mix.
        clip: write the clip warped to the session (it is in the mix either way).
        overwrite: replace files that are there.
        mix_lufs: loudness of the mix.
        ceiling_db: highest true peak of the mix.
        duck_db: how far the stems step back under the clip, (0, 6]; not at all when None.
        duck_network: the mask network that says when and where they do; a rule where none is.
        bars: length; as many as the clip when None. What is shorter repeats.
        start_beat: where the files begin, counted from the clip's first bar line; what lies
            before it is the end of the pass before.
        midi: write a MIDI file with tempo, bars and chords.
        projects: makes DAW projects of what was rendered; none when None.
    """

    out: Path
    file_format: FileFormat = "wav"
    bit_depth: BitDepth = "24"
    sample_rate: int | None = None
    mix: bool = True
    clip: bool = True
    overwrite: bool = False
    mix_lufs: float = -14.0
    ceiling_db: float = -1.0
    duck_db: float | None = None
    duck_network: Path = SHIPPED_MASK
    bars: int | None = None
    start_beat: float = 0.0
    midi: bool = False
    projects: ProjectMaker | None = None

    def __post_init__(self) -> None:
        if self.sample_rate is not None and self.sample_rate not in SAMPLE_RATES:
            raise UsageError(
                f"A sample rate of {self.sample_rate} Hz is not supported.",
                hint=f"Choose one of {', '.join(map(str, SAMPLE_RATES))}.",
                code="bad_sample_rate",
            )
        if self.file_format == "flac" and self.bit_depth == "32f":
            raise UsageError(
                "FLAC holds no floating-point samples.",
                hint="Use --bit-depth 24, or --format wav.",
                code="bad_bit_depth",
            )
        if self.duck_db is not None and not 0 < self.duck_db <= MOST_REDUCTION_DB:
            raise UsageError(
                f"Ducking by {self.duck_db:g} dB is outside the range above 0 and up to "
                f"{MOST_REDUCTION_DB:g} dB.",
                hint="Give the depth in dB, like 4, or leave it out; more is heard as pumping.",
                code="bad_duck",
            )


@dataclass(frozen=True)
class RenderedFile:
    """A written track.

    Args:
        path: the file.
        source: what was read.
        warp: how it was read.
        placement: of a stem; None for the clip.
        lower_db: how much the clip was turned down so that nothing of it is clipped [0, ...);
            a stem's placement states its whole gain.
    """

    path: Path
    source: Path
    warp: tuple[WarpPoint, ...]
    placement: Placement | None = None
    lower_db: float = 0.0


@dataclass(frozen=True)
class RenderedMix:
    """The written mix and its measured levels."""

    path: Path
    lufs: float
    true_peak_db: float


@dataclass(frozen=True)
class RenderedSuggestion:
    """Everything that was written for one suggestion."""

    session: Session
    description: Path
    clip: RenderedFile | None
    mix: RenderedMix | None
    stems: tuple[RenderedFile, ...]
    ducking: Ducking | None = None
    midi: Path | None = None
    entries: tuple[Path, ...] = ()
    projects: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file, and every folder of a project, the description last.

        ``entries`` are what projects lie in, ``projects`` the files inside that a DAW opens.
        """
        guide = () if self.midi is None else (self.midi,)
        return (*self.audio, *guide, *self.entries, self.description)

    def on_disk(self) -> Iterator[Path]:
        """Every file that was written, those inside projects' folders too."""
        for path in self.files:
            if path.is_dir():
                yield from sorted(inside for inside in path.rglob("*") if inside.is_file())
            else:
                yield path

    @property
    def audio(self) -> tuple[Path, ...]:
        """Stems, clip and mix."""
        optional = (self.clip, self.mix)
        return (*(s.path for s in self.stems), *(f.path for f in optional if f is not None))


class ProjectMaker(Protocol):
    """Makes DAW projects of a rendered suggestion."""

    def entries(self, name: str) -> tuple[str, ...]:
        """Names of the files and folders that :meth:`make` makes for a project of this name."""
        ...

    def make(
        self,
        reply: SuggestReply,
        suggestion: Suggestion,
        rendered: RenderedSuggestion,
        folder: Path,
    ) -> tuple[Path, ...]:
        """Make them in ``folder``, where the rendered files lie; what a DAW opens, relative."""
        ...


Stage = Literal["clip", "stem", "mix"]
Progress = Callable[[Stage, float], None]
