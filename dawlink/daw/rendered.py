"""Projects from suggestions: as rendered audio, or as the sources with their warps.

*Rendered* takes the files that were written: each is one clip that already runs at the session's
tempo. *Warped* takes the sources and says how they lie: beat map, transposition and gain stay
editable in the DAW. A source that repeats becomes one clip per pass; where a pass would begin
before its file does, or end after it, the clip is that much shorter. What lies outside the part of
a file that was chosen is silent in its copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from dawlink.daw.project import AudioClip, AudioFile, AudioTrack, Project
from engine.delivery.records import RenderedFile, RenderedSuggestion
from engine.mashup.placement import WarpPoint
from engine.naming import safe_name
from engine.rendering.renderer import Session, Track, source_audio
from engine.rendering.tracks import clip_track, stem_track
from engine.suggestions import Suggestion, SuggestReply
from engine.theory import Role

__all__ = ["Delivery", "passes", "rendered_project", "warped_project"]

Delivery = Literal["rendered", "warped"]
#: Places in Unicode that are no characters.
_NONE: Final = "\ufffe\uffff"
#: Fades of clips that are cut out of a longer recording [s].
_CUT_FADE_S: Final = 0.002


def rendered_project(
    reply: SuggestReply, suggestion: Suggestion, rendered: RenderedSuggestion, folder: Path
) -> Project:
    """The written files on tracks, each from beat 0 to the end.

    Args:
        reply: the answer that was rendered.
        suggestion: the suggestion that was rendered.
        rendered: what was written.
        folder: where the files can be read now.
    """
    session = rendered.session
    end_s = session.frames / session.sample_rate
    warp = (WarpPoint(0.0, 0.0), WarpPoint(end_s, end_s * session.tempo_bpm / 60.0))
    tracks = []
    for (title, role), file in zip(
        _titles(reply, suggestion), _files(rendered, suggestion), strict=True
    ):
        if file is None:
            continue
        audio = _audio(folder / file.path.name, file.path.name)
        clip = AudioClip(title, audio, 0.0, float(session.beats), warp)
        tracks.append(AudioTrack(title, role, (clip,)))
    return _project(reply, rendered, tuple(tracks))


def warped_project(
    reply: SuggestReply, suggestion: Suggestion, rendered: RenderedSuggestion, folder: Path
) -> Project:
    """The sources on tracks, with warp, transposition and gain.

    Args:
        reply: the answer that is delivered.
        suggestion: the suggestion that is delivered.
        rendered: what was written; only its names, length and tempo count here.
        folder: where the sources are put as WAV files.

    Raises:
        UnusableInput: a source cannot be read.
        UnwritableOutput: the disk is full.
    """
    clip = clip_track(reply.clip, reply.options.transpose)
    lower_db = 0.0 if rendered.clip is None else rendered.clip.lower_db
    sources = [replace(clip, gain_db=clip.gain_db - lower_db)]
    sources += [stem_track(stem) for stem in suggestion.stems]
    tracks = []
    named = zip(_titles(reply, suggestion), sources, _files(rendered, suggestion), strict=True)
    for number, ((title, role), source, file) in enumerate(named):
        if file is None:
            continue
        audio = _as_wav(source, folder / f"{number} {safe_name(title)} source.wav")
        clips = tuple(passes(title, source, audio, rendered.session))
        tracks.append(AudioTrack(title, role, clips))
    return _project(reply, rendered, tuple(tracks))


def passes(title: str, source: Track, audio: AudioFile, session: Session) -> Iterator[AudioClip]:
    """One clip per pass through the source, up to the end of the session."""
    start = 0.0
    while start < session.beats - 1e-9:
        whole = AudioClip(
            title,
            audio,
            start,
            min(source.loop_beats, session.beats - start),
            source.warp,
            semitones=source.pitch_shift,
            gain_db=source.gain_db + source.storage_gain_db,
            fade_s=_CUT_FADE_S,
        )
        low, high = source.bounds_s or (0.0, audio.duration_s)
        inside = _inside(whole, max(low, 0.0), min(high, audio.duration_s))
        if inside is not None:
            yield inside
        start += source.loop_beats


def _inside(clip: AudioClip, low_s: float, high_s: float) -> AudioClip | None:
    """The part of a clip that plays seconds [low, high] of its file; None when there is none."""
    first, last = (_beat_at(clip, second) for second in (low_s, high_s))
    first, last = max(first, 0.0), min(last, clip.beats)
    if last - first <= 1e-6:
        return None
    points = [p for p in clip.warp if first < p.beat < last]
    edges = [WarpPoint(clip.source_at(beat), beat) for beat in (first, last)]
    warp = tuple(WarpPoint(p.source_s, p.beat - first) for p in (edges[0], *points, edges[1]))
    return replace(
        clip,
        start_beat=clip.start_beat + first,
        beats=last - first,
        warp=warp,
        lead_beats=first,
        tail_beats=clip.beats - last,
    )


def _beat_at(clip: AudioClip, source_s: float) -> float:
    later = sum(point.source_s <= source_s for point in clip.warp[1:-1])
    low, high = clip.warp[later], clip.warp[later + 1]
    share = (source_s - low.source_s) / (high.source_s - low.source_s)
    return low.beat + share * (high.beat - low.beat)


def _project(
    reply: SuggestReply, rendered: RenderedSuggestion, tracks: tuple[AudioTrack, ...]
) -> Project:
    session = rendered.session
    return Project(
        name=rendered.description.stem,
        tempo_bpm=session.tempo_bpm,
        beats_per_bar=session.beats_per_bar,
        bars=session.bars,
        tracks=tracks,
        key=reply.session.key,
    )


def _files(rendered: RenderedSuggestion, suggestion: Suggestion) -> Sequence[RenderedFile | None]:
    """The clip's file, or None without one, then the stems'."""
    assert len(rendered.stems) == len(suggestion.stems)
    return (rendered.clip, *rendered.stems)


def _titles(reply: SuggestReply, suggestion: Suggestion) -> Iterator[tuple[str, Role]]:
    """Track names and roles: the clip's, then the stems'."""
    yield _plain(reply.clip.title), "vocals"
    for stem in suggestion.stems:
        yield _plain(f"{stem.title} {stem.placement.role}"), stem.placement.role


def _plain(text: str) -> str:
    """Without what no XML file can hold: control characters and halves of characters."""
    return "".join(c for c in text if c >= " " and not "\ud800" <= c <= "\udfff" and c not in _NONE)


def _audio(path: Path, name: str) -> AudioFile:
    from soundfile import info

    found = info(path)  # written by dawlink itself a moment ago
    return AudioFile(path, name, found.frames, found.samplerate, found.channels)


def _as_wav(source: Track, path: Path) -> AudioFile:
    """The whole source as a WAV file, which every DAW reads; louder than full scale, as floats."""
    from engine.audio.encode import write_audio
    from engine.audio.wav_tags import forget_time

    waveform = source_audio(source)
    loudest = float(np.abs(waveform.samples).max(initial=0.0))
    write_audio(path, waveform, bit_depth="32f" if loudest > 1.0 else "24")
    forget_time(path)  # floats carry it, and the same project gives the same bytes
    return AudioFile(path, path.name, waveform.frames, waveform.sample_rate, waveform.channels)
