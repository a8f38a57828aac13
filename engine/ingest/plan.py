"""Decides what the paths given to ``add`` are, without decoding anything.

- A file is one song, or one stem when a role is given; ``*.stem.mp4`` is a multitrack song.
- A folder is one multitrack song when ``stems`` says so or when most of its own audio files are
  named by role; otherwise each of its files is a song. Its subfolders are judged one by one.
- Where all names tell one and the same role, they must tell different parts of it (kick, snare,
  hat): ``drum loop 1`` to ``drum loop 40`` is a folder of loops.

Roles are read from file names (:func:`role_of`) as DAWs, sample packs and stem bundles write
them, in several languages. Order is by name, so two runs see the same list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from engine.errors import UnusableInput
from engine.ingest.roles import named_role, role_of
from engine.library.place import DATABASE_NAME
from engine.theory import Role

__all__ = ["SourceFile", "SourceKind", "SourcePlan", "is_audio", "plan_sources"]

SourceKind = Literal["song", "multitrack", "stem-mp4", "stem"]

#: What libsndfile and FFmpeg read and musicians keep.
_SUFFIX_LIST: Final = (
    ".aac .aif .aifc .aiff .alac .caf .flac .m4a .mp2 .mp3 .mp4 .oga .ogg .opus .w64 .wav .wave"
    " .weba .webm .wma .wv"
)
_AUDIO_SUFFIXES: Final = frozenset(_SUFFIX_LIST.split())
_STEM_MP4: Final = ".stem.mp4"
#: Folders that hold no music of the user's: archive leftovers of macOS, Live's own backups.
_SKIPPED_FOLDERS: Final = frozenset({"__macosx", "backup", "ableton project info"})
#: A folder is a multitrack song when more than this share of its audio files names a role.
_NAMED_SHARE: Final = 0.5

#: ``01 x``, ``1. x``, ``1_x`` and ``1 - x``, but not ``99 Luftballons``, ``2-step`` or ``7.1``.
_TRACK_NUMBER: Final = re.compile(
    r"^\s*(?:\d{1,3}\s*[.)_](?!\d)\s*|\d{1,3}\s*-\s+|\d{1,3}\s+-\s*|0\d\s+)"
)
_BLANKS: Final = re.compile(r"[\s_]+")


@dataclass(frozen=True)
class SourceFile:
    """One audio file and the role it plays; ``note`` says what was assumed about it."""

    path: Path
    role: Role
    note: str = ""


@dataclass(frozen=True)
class SourcePlan:
    """One song or stem to be added.

    Args:
        kind: ``song`` (one mix, to be separated), ``multitrack`` (files by role; several of one
            role are to be summed), ``stem-mp4`` (one file with its stems as tracks) or ``stem``
            (one file of a known role).
        title: for people, cleaned from the file's or folder's name.
        files: at least one, sorted by path.
        left_out: files of a multitrack that are not its stems (a master beside its stems).
    """

    kind: SourceKind
    title: str
    files: tuple[SourceFile, ...]
    left_out: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a source has at least one file")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, one sentence per file, for the person who added it."""
        masters = (
            f"{path.name} is left out: it is taken for the mix of the others."
            for path in self.left_out
        )
        assumed = (f"{file.path.name}: {file.note}" for file in self.files if file.note)
        return (*assumed, *masters)

    def of_role(self, role: Role) -> tuple[Path, ...]:
        """The files that play ``role``."""
        return tuple(file.path for file in self.files if file.role == role)


def plan_sources(
    paths: Iterable[Path], *, stems: bool = False, role: Role | None = None
) -> Iterator[SourcePlan]:
    """What each path is, in the order given; inside folders by name.

    Args:
        paths: files and folders.
        stems: every folder is one multitrack song, whatever its files are called.
        role: every file is one stem of this role.

    Raises:
        UnusableInput: a path is missing or not audio, or a folder holds no audio. Raised when
            that path's turn comes, so that a caller may go on with the others.
    """
    for path in paths:
        yield from _plan_path(Path(path), stems=stems, role=role)


def is_audio(path: Path) -> bool:
    """Whether the name is that of an audio file (hidden files and Live's .asd are not)."""
    return path.suffix.lower() in _AUDIO_SUFFIXES and not path.name.startswith(".")


def _plan_path(path: Path, *, stems: bool, role: Role | None) -> Iterator[SourcePlan]:
    if path.is_dir():
        plans = list(_plan_folder(path, stems=stems, role=role, above=frozenset()))
        if not plans:
            raise UnusableInput(
                f"The folder {path} holds no audio files.",
                hint="Name a folder with WAV, FLAC, MP3, AAC or Ogg files in it.",
                code="no_audio",
            )
        yield from plans
    elif not path.exists():
        raise UnusableInput(
            f"{path} does not exist.",
            hint="Check the spelling; put quotes around names with spaces.",
            code="missing",
        )
    elif path.suffix.lower() in _AUDIO_SUFFIXES:
        yield _plan_file(path, role=role)
    else:
        raise UnusableInput(
            f"{path} is not an audio file by its name (suffix {path.suffix or 'missing'!r}).",
            hint="Give WAV, AIFF, FLAC, MP3, AAC, m4a, Ogg, Opus or .stem.mp4 files.",
            code="not_audio",
        )


def _plan_file(path: Path, *, role: Role | None) -> SourcePlan:
    if path.name.lower().endswith(_STEM_MP4):
        return SourcePlan("stem-mp4", _title(path), (SourceFile(path, "mix"),))
    if role is None or role == "mix":
        return SourcePlan("song", _title(path), (SourceFile(path, "mix"),))
    return SourcePlan("stem", _title(path), (SourceFile(path, role),))


def _plan_folder(
    folder: Path, *, stems: bool, role: Role | None, above: frozenset[tuple[int, int]]
) -> Iterator[SourcePlan]:
    """Plans of one folder and those below; ``above`` are the folders that lead here (no loops)."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    files, folders = _listed(folder)
    plain = [file for file in files if not file.name.lower().endswith(_STEM_MP4)]
    declared = stems and any(role_of(file.stem) != "mix" for file in plain)
    if role is None and (declared or _looks_like_stems(plain)):
        yield _multitrack(folder, plain)
        files = [file for file in files if file not in plain]
    for file in files:
        yield _plan_file(file, role=role)
    for below in folders:
        yield from _plan_folder(below, stems=stems, role=role, above=above | {identity})


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Audio files and subfolders, by name, without hidden and foreign ones and libraries.

    A link to audio that is gone counts as a file, so that it is told when it is to be read.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: _sort_key(entry.name))
    except OSError as error:
        raise UnusableInput(
            f"The folder {folder} cannot be read: {error.strerror or error}.",
            hint="Check its permissions, or copy the music elsewhere.",
        ) from error
    files = [
        entry for entry in entries if is_audio(entry) and (entry.is_file() or _leads_nowhere(entry))
    ]
    folders = [
        entry
        for entry in entries
        if not entry.name.startswith(".")
        and entry.name.lower() not in _SKIPPED_FOLDERS
        and entry.is_dir()
        and not (entry / DATABASE_NAME).is_file()
    ]
    return files, folders


def _leads_nowhere(entry: Path) -> bool:
    return entry.is_symlink() and not entry.exists()


def _looks_like_stems(files: Sequence[Path]) -> bool:
    """More than half of the names carry a role, of different kinds or parts."""
    named = [found for file in files if (found := named_role(file.stem)) is not None]
    played = [found for found in named if found.role != "mix"]
    if len(named) <= _NAMED_SHARE * len(files) or not played:
        return False
    if len(files) == 1:
        return "__" in files[0].stem  # one file is a song, unless it states its role outright
    different = len({found.role for found in played}) > 1
    return different or len({found.word for found in played}) == len(played) > 1


def _multitrack(folder: Path, files: Sequence[Path]) -> SourcePlan:
    """One song of all stems; a master beside them is left out."""
    named = [_named(file) for file in files]
    stems = tuple(file for file in named if file.role != "mix")
    masters = tuple(file.path for file in named if file.role == "mix")
    return SourcePlan("multitrack", _folder_title(folder), stems, masters)


def _named(file: Path) -> SourceFile:
    role = role_of(file.stem)
    if role is None:
        return SourceFile(file, "other", "the name tells no role, so it counts as 'other'")
    return SourceFile(file, role)


def _title(path: Path) -> str:
    name = path.name
    stem = name[: -len(_STEM_MP4)] if name.lower().endswith(_STEM_MP4) else path.stem
    return _cleaned(stem)


def _folder_title(folder: Path) -> str:
    """The folder's name; where that only says "Stems", the name of the one above."""
    name = folder.resolve().name
    if name.lower() in {"stems", "multitrack", "multitracks", "tracks", "audio", "samples"}:
        name = folder.resolve().parent.name or name
    return _cleaned(re.sub(r"(?i)[\s_-]*\(?\bstems\b\)?\s*$", "", name) or name)


def _cleaned(name: str) -> str:
    """Without track number and underscores, composed Unicode: ``01_my_song`` is ``my song``."""
    composed = unicodedata.normalize("NFC", name)
    text = _BLANKS.sub(" ", _TRACK_NUMBER.sub("", composed)).strip()
    return text or composed.strip() or "untitled"


def _sort_key(name: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", name).casefold(), name
