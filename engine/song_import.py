"""One source into the library: which audio it holds, what analysis finds, what is stored.

The order is cheap checks first: the hash of the files, then that of the decoded audio, and only
then separation and the beat and key models. A correction that a person once made for the same
music is applied to the fresh analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engine.analysis.records import FEATURE_VERSION
from engine.audio.decode import decode, decode_streams, require_length, require_sound
from engine.audio.waveform import Waveform
from engine.corrections import analyse_with_corrections
from engine.errors import UnusableInput, UsageError
from engine.fingerprints import remember_voice
from engine.ingest import SourcePlan, role_of, sum_files
from engine.library.blobs import audio_key
from engine.library.library import Library
from engine.library.rows import (
    NewSong,
    NewStem,
    SongKind,
    SourceFile,
    StoredAudio,
    content_of_stems,
    song_id_for,
)
from engine.theory import STORED_ROLES, Role

__all__ = ["Imported", "import_song"]

#: A song needs a few bars to have a tempo; a loop needs one beat and a bit.
LEAST_SONG_S: Final = 4.0
LEAST_STEM_S: Final = 1.0
#: A single stem up to this long is taken for a loop: its length is a whole number of beats.
LONGEST_LOOP_S: Final = 30.0
#: The stems of an NI stem file where its titles say nothing.
_STEM_FILE_ORDER: Final[tuple[Role, ...]] = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Imported:
    """The song's id, whether it is new, and what a person should know."""

    song_id: str
    is_new: bool
    notes: tuple[str, ...] = ()


def import_song(
    plan: SourcePlan, shas: Mapping[Path, str], library: Library, *, separator: str
) -> Imported:
    """Add one source, or recognise it.

    Args:
        plan: what the source is.
        shas: hex SHA-256 of every file of the plan.
        library: open for writing.
        separator: name of the separator for full mixes.

    Raises:
        UnusableInput: audio that cannot be used.
        MissingDependency: the asked separator is not there.
        UnwritableOutput, LibraryUnusable: see :meth:`Library.add_song`.
    """
    known = _known_by_files(shas, library, plan)
    if known:
        return Imported(known, is_new=False)
    sources = _sources(plan, shas)
    if plan.kind == "song":
        return _import_mix(plan, sources, library, separator)
    stems = _require_audible(_stems_of(plan), plan)
    kind: SongKind = "multitrack"
    if plan.kind == "stem":
        longest = max(stem.duration_s for stem in stems.values())
        kind = "loop" if longest <= LONGEST_LOOP_S else "stem"
    stored = {role: library.store_audio(stem) for role, stem in _with_sums(stems).items()}
    song_id = song_id_for(kind, content_of_stems((r, s.sha) for r, s in stored.items()))
    return _finish(plan, sources, library, song_id=song_id, kind=kind, stems=stems, stored=stored)


def _import_mix(
    plan: SourcePlan, sources: tuple[SourceFile, ...], library: Library, separator: str
) -> Imported:
    """A full mix: recognised by its own samples, separated when it is new."""
    from engine.analysis.separation import choose_separator

    path = plan.files[0].path
    mix = decode(path)
    require_sound(mix, path)
    require_length(mix, LEAST_SONG_S, path)
    chosen = choose_separator(separator)
    content = audio_key(mix).sha
    song_id = song_id_for("song", content)
    if _is_in(song_id, library):
        library.add_sources(song_id, sources)
        return Imported(song_id, is_new=False)
    stems = dict(chosen.separate(mix))
    note = f"separated by the fallback {chosen.name}" if chosen.is_fallback else ""
    stored = {role: library.store_audio(stem) for role, stem in _with_sums(stems).items()}
    return _finish(
        plan,
        sources,
        library,
        song_id=song_id,
        kind="song",
        stems=stems,
        stored=stored,
        separator=chosen.name,
        content_sha=content,
        notes=(note,) if note else (),
    )


def _finish(
    plan: SourcePlan,
    sources: tuple[SourceFile, ...],
    library: Library,
    *,
    song_id: str,
    kind: SongKind,
    stems: Mapping[Role, Waveform],
    stored: Mapping[Role, StoredAudio],
    separator: str = "",
    content_sha: str = "",
    notes: tuple[str, ...] = (),
) -> Imported:
    """Analyse and store what is not in yet."""
    if _is_in(song_id, library):
        library.add_sources(song_id, sources)
        return Imported(song_id, is_new=False)
    analysis = analyse_with_corrections(
        stems, library.corrections(song_id), loop=kind == "loop", name=plan.files[0].path.stem
    )
    song = library.add_song(
        NewSong(
            title=plan.title,
            kind=kind,
            stems=tuple(NewStem(role, audio) for role, audio in stored.items()),
            analysis=analysis,
            sources=sources,
            separator=separator,
            content_sha=content_sha,
        )
    )
    remember_voice(library, song.id, stems)
    return Imported(song.id, is_new=True, notes=(*plan.notes, *analysis.notes, *notes))


def _stems_of(plan: SourcePlan) -> dict[Role, Waveform]:
    """The plan's audio by stored role, files of one role summed."""
    if plan.kind == "stem-mp4":
        return _streams(plan.files[0].path)
    stems: dict[Role, Waveform] = {}
    for role in dict.fromkeys(file.role for file in plan.files):
        name: Role = "drums" if role == "percussion" else role
        stems[name] = sum_files(plan.of_role(role))
    return stems


def _streams(path: Path) -> dict[Role, Waveform]:
    """The stems of an NI stem file; its first stream is the master and is left out."""
    streams = decode_streams(path)
    if len(streams) < 2:
        raise UnusableInput(
            f"{path} has one audio stream, a stem file has five.",
            hint="Add it as a song: rename it to .mp4.",
            code="no_stems",
        )
    stems: dict[Role, Waveform] = {}
    for number, stream in enumerate(streams[1:]):
        fallback = _STEM_FILE_ORDER[min(number, len(_STEM_FILE_ORDER) - 1)]
        role = role_of(stream.title) or fallback
        role = role if role in STORED_ROLES else fallback
        stems[role] = _sum(stems[role], stream.waveform) if role in stems else stream.waveform
    return stems


def _with_sums(stems: Mapping[Role, Waveform]) -> dict[Role, Waveform]:
    """The stems and ``harmonic``, which is bass + other, or whichever of the two there is."""
    pitched = [stems[role] for role in ("bass", "other") if role in stems]
    if not pitched or "harmonic" in stems:
        return dict(stems)
    harmonic = pitched[0] if len(pitched) == 1 else _sum(pitched[0], pitched[1])
    return {**stems, "harmonic": harmonic}


def _sum(first: Waveform, second: Waveform) -> Waveform:
    """Two stems that start together; the longer one's length, the wider one's channels."""
    from engine.audio.resample import resample

    second = resample(second, first.sample_rate)
    frames = max(first.frames, second.frames)
    channels = max(first.channels, second.channels)
    total = np.zeros((channels, frames), dtype=np.float32)
    total[:, : first.frames] += first.samples
    total[:, : second.frames] += second.samples
    return Waveform(total, first.sample_rate)


def _require_audible(stems: dict[Role, Waveform], plan: SourcePlan) -> dict[Role, Waveform]:
    """The stems that sound, all as long as the longest.

    Raises:
        UnusableInput: none of them sounds, or they are too short.
    """
    path = plan.files[0].path
    least_s = LEAST_STEM_S if plan.kind == "stem" else LEAST_SONG_S
    audible: dict[Role, Waveform] = {}
    silent: UnusableInput | None = None
    for role, stem in stems.items():
        try:
            require_sound(stem, path)
        except UnusableInput as error:
            silent = error
        else:
            audible[role] = stem
    if not audible:
        raise silent or UnusableInput(f"{path} has no stems.", code="no_stems")
    require_length(max(audible.values(), key=lambda stem: stem.duration_s), least_s, path)
    return audible


def _known_by_files(shas: Mapping[Path, str], library: Library, plan: SourcePlan) -> str:
    """The song that all these files made before, if its features are of this version."""
    sets = [set(library.find_source(sha)) for sha in shas.values()]
    shared = set.intersection(*sets) if sets else set()
    kinds = {"song": {"song"}, "stem": {"loop", "stem"}}.get(plan.kind, {"multitrack"})
    for song_id in sorted(shared):
        song = library.song(song_id)
        same_files = {s.sha256 for s in library.sources(song_id)} == set(shas.values())
        if song.kind in kinds and song.feature_version == FEATURE_VERSION and same_files:
            return song_id
    return ""


def _is_in(song_id: str, library: Library) -> bool:
    try:
        library.song(song_id)
    except UsageError:
        return False
    return True


def _sources(plan: SourcePlan, shas: Mapping[Path, str]) -> tuple[SourceFile, ...]:
    found = []
    for file in plan.files:
        status = file.path.stat()
        found.append(
            SourceFile(
                path=file.path.resolve(),
                sha256=shas[file.path],
                size_bytes=status.st_size,
                mtime_ns=status.st_mtime_ns,
                role=file.role,
            )
        )
    return tuple(found)
