"""One source into the library: which audio it holds, what analysis finds, what is stored.

The order is cheap checks first: the hash of the files, then that of the decoded audio, and only
then separation and the beat and key models. A correction that a person once made for the same
music is applied to the fresh analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from engine.analysis.records import FEATURE_VERSION
from engine.audio.decode import decode, decode_streams, require_length, require_sound
from engine.audio.waveform import Waveform
from engine.clips.fingerprints import remember_voice
from engine.errors import UnusableInput, UsageError
from engine.ingest import SourcePlan, role_of, sum_files
from engine.ingest.corrections import analyse_again, analyse_with_corrections
from engine.ingest.silence import silence_note
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

__all__ = ["Imported", "audible_stems", "import_song"]

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
    heard = _heard(plan)
    stems = heard.audible
    longest = max(stems.values(), key=lambda stem: stem.duration_s)
    require_length(
        longest, LEAST_STEM_S if plan.kind == "stem" else LEAST_SONG_S, plan.files[0].path
    )
    kind: SongKind = "multitrack"
    if plan.kind == "stem":
        kind = "loop" if longest.duration_s <= LONGEST_LOOP_S else "stem"
    stored = {role: library.store_audio(stem) for role, stem in _with_sums(stems).items()}
    song_id = song_id_for(kind, content_of_stems((r, s.sha) for r, s in stored.items()))
    return _finish(
        plan,
        sources,
        library,
        song_id=song_id,
        kind=kind,
        stems=stems,
        stored=stored,
        silent=heard.silent,
    )


def _import_mix(
    plan: SourcePlan, sources: tuple[SourceFile, ...], library: Library, separator: str
) -> Imported:
    """A full mix: recognised by its own samples, separated when it is new."""
    from engine.analysis.separation import choose_separator

    path = plan.files[0].path
    mix = decode(path)
    require_sound(mix, path)
    hint = "A loop or a single stem goes in with --role, such as --role drums."
    require_length(mix, LEAST_SONG_S, path, hint=hint)
    chosen = choose_separator(separator)
    content = audio_key(mix).sha
    song_id = song_id_for("song", content)
    known = _recognised(song_id, sources, plan, library)
    if known is not None:
        return known
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
    silent: tuple[Role, ...] = (),
    notes: tuple[str, ...] = (),
) -> Imported:
    """Analyse and store what is not in yet."""
    known = _recognised(song_id, sources, plan, library)
    if known is not None:
        return known
    analysis = analyse_with_corrections(
        stems, library.corrections(song_id), loop=kind == "loop", name=_telling_name(plan)
    )
    analysis = replace(analysis, notes=(*analysis.notes, *_silence(plan, silent)))
    added = library.add_or_find(
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
    if not added.is_new:  # another process added the same music in the meantime
        return Imported(added.row.id, is_new=False)
    remember_voice(library, added.row.id, stems)
    return Imported(added.row.id, is_new=True, notes=(*plan.notes, *analysis.notes, *notes))


def _stems_of(plan: SourcePlan) -> dict[Role, Waveform]:
    """The plan's audio by stored role, files of one role summed."""
    if plan.kind == "stem-mp4":
        return _streams(plan.files[0].path)
    stems: dict[Role, Waveform] = {}
    for role in dict.fromkeys(file.role for file in plan.files):
        stems[_stored(role)] = sum_files(plan.of_role(role))
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


def audible_stems(plan: SourcePlan) -> Mapping[Role, Waveform]:
    """What a library would hold of a source with stems, but for sums: those that sound, by role.

    Raises:
        UnusableInput: a file cannot be read, or none of the stems sounds.
    """
    return _heard(plan).audible


@dataclass(frozen=True, eq=False)
class _Heard:
    """The stems that sound, and the roles of those that do not."""

    audible: Mapping[Role, Waveform]
    silent: tuple[Role, ...]


def _heard(plan: SourcePlan) -> _Heard:
    """See :func:`audible_stems`."""
    path = plan.files[0].path
    audible: dict[Role, Waveform] = {}
    silent: dict[Role, UnusableInput] = {}
    for role, stem in _stems_of(plan).items():
        try:
            require_sound(stem, path)
        except UnusableInput as error:
            silent[role] = error
        else:
            audible[role] = stem
    if not audible:
        raise next(iter(silent.values()), UnusableInput(f"{path} has no stems.", code="no_stems"))
    return _Heard(audible, tuple(silent))


def _silence(plan: SourcePlan, silent: tuple[Role, ...]) -> tuple[str, ...]:
    """One note for every file of the silent roles; of a stem file, for every role."""
    if plan.kind == "stem-mp4":
        return tuple(silence_note(f"The stem {role}") for role in silent)
    return tuple(silence_note(f.path.name) for f in plan.files if _stored(f.role) in silent)


def _known_by_files(shas: Mapping[Path, str], library: Library, plan: SourcePlan) -> str:
    """The song that these files made before in these roles, if its features are today's."""
    sets = [set(library.find_source(sha)) for sha in shas.values()]
    shared = set.intersection(*sets) if sets else set()
    kinds = {"song": {"song"}, "stem": {"loop", "stem"}}.get(plan.kind, {"multitrack"})
    wanted = {(shas[file.path], _stored(file.role)) for file in plan.files}
    for song_id in sorted(shared):
        song = library.song(song_id)
        made_from = {(s.sha256, _stored(s.role or "mix")) for s in library.sources(song_id)}
        # A single file may be known under several hashes: the same audio in other containers.
        same = wanted == made_from if plan.kind == "multitrack" else wanted <= made_from
        if song.kind in kinds and song.feature_version == FEATURE_VERSION and same:
            return song_id
    return ""


def _recognised(
    song_id: str, sources: tuple[SourceFile, ...], plan: SourcePlan, library: Library
) -> Imported | None:
    """The song if it is in, its sources noted; what an older dawlink analysed is renewed."""
    try:
        song = library.song(song_id)
    except UsageError:
        return None
    library.add_sources(song_id, sources)
    if song.feature_version == FEATURE_VERSION:
        return Imported(song_id, is_new=False)
    analyse_again(library, song_id, name=_telling_name(plan))
    return Imported(song_id, is_new=False, notes=("analysed again for this version of dawlink",))


def _telling_name(plan: SourcePlan) -> str:
    """The name that may tell a tempo."""
    return plan.files[0].path.stem


def _stored(role: Role) -> Role:
    return "drums" if role == "percussion" else role


def _sources(plan: SourcePlan, shas: Mapping[Path, str]) -> tuple[SourceFile, ...]:
    found = []
    for file in plan.files:
        try:
            status = file.path.stat()
        except OSError as error:
            raise UnusableInput(
                f"{file.path} cannot be read: {error.strerror or error}.",
                hint="Check that the file is still there and readable.",
                code="unreadable",
            ) from error
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
