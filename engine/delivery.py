"""Rendered suggestions as files: stems, clip, mix and a description that can make them again.

All files of one suggestion are made in a staging folder and moved to their names together at the
end, the description last (see :mod:`engine.staging`). Nothing is replaced without being asked to.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from engine.audio.encode import BitDepth, FileFormat, write_audio
from engine.audio.loudness import master
from engine.audio.stretch import Stretcher
from engine.audio.waveform import Waveform
from engine.clips import ClipAnalysis
from engine.errors import UnwritableOutput, UsageError
from engine.mashup.placement import Placement, WarpPoint
from engine.naming import safe_name, tempo_and_key
from engine.rendering import Session, Track, mix_tracks, render_track
from engine.staging import publish, staging_folder
from engine.suggestions import SuggestedStem, Suggestion, SuggestReply

__all__ = [
    "RenderOptions",
    "RenderedFile",
    "RenderedMix",
    "RenderedSuggestion",
    "planned_files",
    "render_suggestion",
    "session_of",
]

#: Rates that a session may have [Hz].
SAMPLE_RATES: Final = (22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
_PAIR: Final = re.compile(r"\[\s+(-?[\d.e+-]+),\s+(-?[\d.e+-]+)\s+\]")
_BYTES_PER_SAMPLE: Final = {"16": 2, "24": 3, "32f": 4}


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


@dataclass(frozen=True)
class RenderedFile:
    """A written track: the clip, or a stem with its placement."""

    path: Path
    source: Path
    warp: tuple[WarpPoint, ...]
    placement: Placement | None = None


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

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file, the description last."""
        optional = (self.clip, self.mix)
        paths = [s.path for s in self.stems] + [f.path for f in optional if f is not None]
        return (*paths, self.description)


Stage = Literal["clip", "stem", "mix"]
Progress = Callable[[Stage, float], None]


def planned_files(
    reply: SuggestReply, suggestion: Suggestion, session: Session, options: RenderOptions
) -> tuple[Path, ...]:
    """Every file that :func:`render_suggestion` would write, the description last."""
    return _plan(reply, suggestion, session, options).files


def session_of(reply: SuggestReply, sample_rate: int) -> Session:
    """The grid that every file of ``reply`` lies on."""
    return Session(
        tempo_bpm=reply.session.tempo_bpm,
        beats_per_bar=reply.session.beats_per_bar,
        bars=reply.clip.bars,
        sample_rate=sample_rate,
    )


def render_suggestion(
    reply: SuggestReply,
    suggestion: Suggestion,
    *,
    session: Session,
    options: RenderOptions,
    stretcher: Stretcher,
    describe: Callable[[RenderedSuggestion], dict[str, object]],
    progress: Progress = lambda _stage, _share: None,
) -> RenderedSuggestion:
    """Render and write one suggestion.

    Args:
        reply: the answer that ``suggestion`` belongs to.
        suggestion: what to render.
        session: the grid, from :func:`session_of`.
        options: how and where.
        stretcher: the warping back end.
        describe: makes the description out of what was written.
        progress: told the stage and the share of the work done.

    Raises:
        UnwritableOutput: a file is there already, the disk is full or read-only.
        UnusableInput: a source cannot be read.
    """
    planned = _plan(reply, suggestion, session, options)
    _refuse_existing(planned, options)
    _require_space(planned, session, options)
    tracks = _tracks(reply, suggestion)
    with staging_folder(options.out) as folder:
        rendered: list[Waveform] = []
        for number, track in enumerate(tracks):
            progress("stem" if number else "clip", number / (len(tracks) + 1))
            rendered.append(render_track(track, session, stretcher))
        progress("mix", len(tracks) / (len(tracks) + 1))
        written = [*planned.stems, *([planned.clip] if planned.clip else [])]
        audio = rendered[1:] + rendered[:1]
        for file, waveform in zip(written, audio, strict=False):
            _write(folder / file.path.name, waveform, options)
        mix = _write_mix(planned, rendered, folder, options)
        result = RenderedSuggestion(session, planned.description, planned.clip, mix, planned.stems)
        text = _readable(describe(result))
        (folder / planned.description.name).write_text(text, encoding="utf-8")
        publish(folder, result.files, overwrite=options.overwrite)
    progress("mix", 1.0)
    return result


def _readable(document: dict[str, object]) -> str:
    """Indented JSON with each warp point on one line."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    return _PAIR.sub(r"[\1, \2]", text) + "\n"


def _tracks(reply: SuggestReply, suggestion: Suggestion) -> list[Track]:
    """The clip's track, then the stems'."""
    return [clip_track(reply.clip, reply.options.transpose)] + [
        stem_track(stem) for stem in suggestion.stems
    ]


def clip_track(clip: ClipAnalysis, transpose: int) -> Track:
    """The clip along its own beat map, as the session plays it."""
    warp = tuple(
        WarpPoint(float(time_s), float(beat)) for beat, time_s in enumerate(clip.grid.beats_s)
    )
    return Track(
        path=clip.request.path,
        role="vocals",
        warp=warp,
        semitones=transpose,
        bounds_s=(clip.request.start_s, clip.end_s),
    )


def stem_track(stem: SuggestedStem) -> Track:
    """A suggested stem along its song's beat map."""
    return Track(
        path=stem.path,
        role=stem.placement.role,
        warp=stem.placement.warp(stem.grid),
        semitones=stem.placement.semitones,
        tuning_cents=stem.tuning_cents,
        gain_db=stem.placement.gain_db,
        storage_gain_db=stem.storage_gain_db,
    )


def _plan(
    reply: SuggestReply, suggestion: Suggestion, session: Session, options: RenderOptions
) -> RenderedSuggestion:
    """Every name of the suggestion, before anything is made; the mix's levels are unknown."""
    tail = tempo_and_key(session.tempo_bpm, reply.session.key)
    out = options.out.resolve()

    def named(title: str, ending: str) -> Path:
        return out / f"{suggestion.rank:02d} {safe_name(title)} {tail}{ending}"

    suffix = f".{options.file_format}"
    track = clip_track(reply.clip, reply.options.transpose)
    title = reply.clip.title
    clip = RenderedFile(named(title, f" clip{suffix}"), track.path, track.warp)
    stems = tuple(
        RenderedFile(
            named(stem.title, f" {stem.placement.role}{suffix}"),
            stem.path,
            stem.placement.warp(stem.grid),
            stem.placement,
        )
        for stem in suggestion.stems
    )
    return RenderedSuggestion(
        session=session,
        description=named(title, ".json"),
        clip=clip if options.clip else None,
        mix=RenderedMix(named(title, f" mix{suffix}"), 0.0, 0.0) if options.mix else None,
        stems=stems,
    )


def _refuse_existing(planned: RenderedSuggestion, options: RenderOptions) -> None:
    there = [path for path in planned.files if path.exists()]
    if there and not options.overwrite:
        raise UnwritableOutput(
            f"{there[0]} is already there.",
            hint="Add --overwrite to replace it, or choose another --out.",
            code="exists",
        )


def _require_space(planned: RenderedSuggestion, session: Session, options: RenderOptions) -> None:
    """Fail before the work rather than after it when the disk is too small."""
    files = len(planned.files) - 1
    need = files * session.frames * 2 * _BYTES_PER_SAMPLE[options.bit_depth]
    folder = planned.description.parent
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    free = usage.free
    if usage.total and free < need:  # a file system that tells no size is judged by writing
        raise UnwritableOutput(
            f"{planned.description.parent} has {free / 1e6:.0f} MB free, "
            f"this needs about {need / 1e6:.0f} MB.",
            hint="Free some space or choose another --out.",
            code="disk_full",
        )


def _write(path: Path, waveform: Waveform, options: RenderOptions) -> None:
    try:
        write_audio(path, waveform, file_format=options.file_format, bit_depth=options.bit_depth)
    except UnwritableOutput as error:  # speak of the file that the person asked for
        message = error.message.replace(str(path.parent), str(options.out.resolve()))
        raise UnwritableOutput(message, hint=error.hint, code=error.code) from error


def _write_mix(
    planned: RenderedSuggestion, rendered: list[Waveform], folder: Path, options: RenderOptions
) -> RenderedMix | None:
    if planned.mix is None:
        return None
    mastered = master(
        mix_tracks(rendered), target_lufs=options.mix_lufs, ceiling_db=options.ceiling_db
    )
    _write(folder / planned.mix.path.name, mastered.waveform, options)
    return RenderedMix(planned.mix.path, mastered.lufs, mastered.true_peak_db)
