"""Rendered suggestions as files: stems, clip, mix and a description that can make them again.

All files of one suggestion are made in a staging folder and moved to their names together at the
end, the description last (see :mod:`engine.staging`). Nothing is replaced without being asked to.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from engine.audio.encode import write_audio
from engine.audio.loudness import master
from engine.audio.stretch import Stretcher
from engine.audio.wav_tags import WavTags, tag_wav
from engine.audio.waveform import Waveform
from engine.delivery.headroom import excess_db, turned_down, with_headroom
from engine.delivery.midi_guide import MidiGuide, session_chords, write_guide
from engine.delivery.records import (
    Progress,
    RenderedFile,
    RenderedMix,
    RenderedSuggestion,
    RenderOptions,
)
from engine.errors import UnwritableOutput
from engine.models.song_masher.shipped_mask import load_duck_network
from engine.naming import safe_name, tempo_and_key
from engine.rendering.ducked_stems import duck_stems
from engine.rendering.renderer import ReadSpan, Session, Track, mix_tracks
from engine.rendering.spans import decoded_span
from engine.rendering.tracks import clip_track, render_from, stem_track
from engine.staging import publish, staging_folder
from engine.suggestions import Suggestion, SuggestReply
from engine.theory import Key

__all__ = ["planned_files", "render_suggestion", "session_of"]

_PAIR: Final = re.compile(r"\[\n\s+(-?[\d.e+-]+),\n\s+(-?[\d.e+-]+)\n\s+\]")
_BYTES_PER_SAMPLE: Final = {"16": 2, "24": 3, "32f": 4}


def planned_files(
    reply: SuggestReply, suggestion: Suggestion, session: Session, options: RenderOptions
) -> tuple[Path, ...]:
    """Every file that :func:`render_suggestion` would write, the description last."""
    return _plan(reply, suggestion, session, options).files


def session_of(reply: SuggestReply, sample_rate: int, *, bars: int | None = None) -> Session:
    """The grid that every file of ``reply`` lies on; as long as the clip, or ``bars``."""
    return Session(
        tempo_bpm=reply.session.tempo_bpm,
        beats_per_bar=reply.session.beats_per_bar,
        bars=bars or reply.clip.bars,
        sample_rate=sample_rate,
    )


def render_suggestion(
    reply: SuggestReply,
    suggestion: Suggestion,
    *,
    session: Session,
    options: RenderOptions,
    stretcher: Stretcher,
    describe: Callable[[RenderedSuggestion, Suggestion], dict[str, object]],
    progress: Progress = lambda _stage, _share: None,
    read: ReadSpan = decoded_span,
) -> RenderedSuggestion:
    """Render and write one suggestion.

    Args:
        reply: the answer that ``suggestion`` belongs to.
        suggestion: what to render.
        session: the grid, from :func:`session_of`.
        options: how and where.
        stretcher: the warping back end.
        describe: makes the description out of what was written, and of the suggestion with the
            gains that its stems were written at.
        progress: told the stage and the share of the work done.
        read: gives pieces of files; one that keeps them saves work.

    Raises:
        UnwritableOutput: a file is there already, the disk is full or read-only.
        UnusableInput: a source cannot be read.
        MissingDependency: the mask network is damaged.
    """
    require_room(reply, suggestion, session, options)
    planned = _plan(reply, suggestion, session, options)
    network = None if options.duck_db is None else load_duck_network(options.duck_network)
    tracks = _tracks(reply, suggestion)
    start_beat = options.start_beat % (reply.clip.bars * session.beats_per_bar)
    clip_heard = options.clip or options.mix or options.duck_db is not None
    with staging_folder(options.out) as folder:
        rendered: list[Waveform] = []
        for number, track in enumerate(tracks):
            progress("stem" if number else "clip", number / (len(tracks) + 1))
            if number == 0 and not clip_heard:
                rendered.append(_nothing(session))
            else:
                rendered.append(render_from(track, session, start_beat, stretcher, read=read))
        progress("mix", len(tracks) / (len(tracks) + 1))
        ducking = None
        if options.duck_db is not None:
            stems, ducking = duck_stems(
                rendered[0], rendered[1:], depth_db=options.duck_db, network=network
            )
            rendered[1:] = stems
        planned, suggestion, rendered = _below_full_scale(planned, suggestion, rendered)
        written = [*planned.stems, *([planned.clip] if planned.clip else [])]
        audio = rendered[1:] + rendered[:1]
        for file, waveform in zip(written, audio, strict=False):
            _write(folder / file.path.name, waveform, options)
        mix = _write_mix(planned, rendered, folder, options)
        result = replace(planned, mix=mix, ducking=ducking)
        _tag(result, reply.session.key, folder)
        _write_guide(reply, suggestion, result, rendered[1:], folder)
        if options.projects is not None:
            made = options.projects.make(reply, suggestion, result, folder)
            out = planned.description.parent
            result = replace(result, projects=tuple(out / path for path in made))
        text = _readable(describe(result, suggestion))
        (folder / planned.description.name).write_bytes(text)
        publish(folder, result.files, overwrite=options.overwrite)
    progress("mix", 1.0)
    return result


def require_room(
    reply: SuggestReply, suggestion: Suggestion, session: Session, options: RenderOptions
) -> None:
    """See that a suggestion can be written, before anything is made.

    Raises:
        UnwritableOutput: a file is there already, or the disk is too small.
    """
    planned = _plan(reply, suggestion, session, options)
    _refuse_existing(planned, options)
    _require_space(planned, session, options)


def _nothing(session: Session) -> Waveform:
    return Waveform(np.zeros((1, session.frames), dtype=np.float32), session.sample_rate)


def _readable(document: dict[str, object]) -> bytes:
    """Indented JSON with each warp point on one line; bytes of a path that are no text escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    return (_PAIR.sub(r"[\1, \2]", text) + "\n").encode("utf-8", errors="backslashreplace")


def _tracks(reply: SuggestReply, suggestion: Suggestion) -> list[Track]:
    """The clip's track, then the stems'."""
    return [clip_track(reply.clip, reply.options.transpose)] + [
        stem_track(stem) for stem in suggestion.stems
    ]


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
    description = named(title, ".json")
    entries = options.projects.entries(description.stem) if options.projects else ()
    return RenderedSuggestion(
        session=session,
        description=description,
        clip=clip if options.clip else None,
        mix=RenderedMix(named(title, f" mix{suffix}"), 0.0, 0.0) if options.mix else None,
        stems=stems,
        midi=named(title, ".mid") if options.midi else None,
        entries=tuple(out / name for name in entries),
    )


def _below_full_scale(
    planned: RenderedSuggestion, suggestion: Suggestion, rendered: list[Waveform]
) -> tuple[RenderedSuggestion, Suggestion, list[Waveform]]:
    """Clip and stems as loud as their files can be, and what says so.

    A clip that is not written turns nothing down: its DAW plays it as it is.
    """
    lower_db = 0.0 if planned.clip is None else excess_db(rendered[0])
    suggestion, stems = with_headroom(suggestion, rendered[1:], lower_db=lower_db)
    files = tuple(
        replace(file, placement=stem.placement)
        for file, stem in zip(planned.stems, suggestion.stems, strict=True)
    )
    clip = planned.clip and replace(planned.clip, lower_db=lower_db)
    planned = replace(planned, stems=files, clip=clip)
    return planned, suggestion, [turned_down(rendered[0], lower_db), *stems]


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
    files = len(planned.audio) * (1 + len(planned.entries))  # every project holds its audio itself
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


def _tag(written: RenderedSuggestion, key: Key | None, folder: Path) -> None:
    """Say in every WAV file what music it holds; see :mod:`engine.audio.wav_tags`."""
    session = written.session
    drums = {
        stem.path
        for stem in written.stems
        if stem.placement is not None and stem.placement.role in ("drums", "percussion")
    }
    for path in written.audio:
        if path.suffix == ".wav":
            root = None if path in drums else key
            beats, metre = session.beats, session.beats_per_bar
            tag_wav(folder / path.name, WavTags(path.stem, session.tempo_bpm, beats, metre, root))


def _write_guide(
    reply: SuggestReply,
    suggestion: Suggestion,
    planned: RenderedSuggestion,
    stems: list[Waveform],
    folder: Path,
) -> None:
    if planned.midi is None:
        return
    roles = [stem.placement.role for stem in suggestion.stems]
    pitched = [
        waveform
        for role, waveform in zip(roles, stems, strict=True)
        if role in ("harmonic", "other", "bass")
    ]
    chords = session_chords(pitched, planned.session)
    guide = MidiGuide(reply.clip.title, planned.session, reply.session.key, chords)
    write_guide(folder / planned.midi.name, guide)


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
