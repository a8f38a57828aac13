"""What a batch has done, in a file of its folder, so that a stopped one goes on where it was.

``.dawlink-batch.jsonl`` holds one JSON object on each line, each on the disk before the batch goes
on: ``writing`` names the files of a line just before they appear, ``done`` names them with their
sizes, ``failed`` is for people. A line is known by a hash of its request, of its clip's content
and of its folder. Files that the state names are the batch's own and may be made again; no other
file is ever touched. A line that a crash cut short is ignored, and the file is locked while a
batch runs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Final, Self, cast

from dawlink.batch.plan import PlanLine
from engine.errors import UnwritableOutput
from engine.files import sha256_of
from engine.library.place import LibraryPlace

__all__ = ["STATE_NAME", "BatchState", "DoneLine", "line_key"]

STATE_NAME: Final = ".dawlink-batch.jsonl"
_SCHEMA: Final = 1
#: What a damaged or foreign line of the state can bring out.
_UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class DoneLine:
    """A rendered line as the state knows it.

    Args:
        files: path relative to the batch's folder to size [bytes].
        descriptions: those of the files that describe a render, in order of rank.
        seconds: how long it took.
        plan: name of the plan that it was a line of.
    """

    files: Mapping[str, int]
    descriptions: tuple[str, ...]
    seconds: float
    plan: str = ""


@dataclass
class _Known:
    """Everything that the state says about one line."""

    done: DoneLine | None = None
    own: set[str] = field(default_factory=set)


def line_key(line: PlanLine, clip_sha: str, library: LibraryPlace) -> str:
    """What a line is known by: everything that its files follow from, but not the plan's layout.

    Args:
        line: the line.
        clip_sha: hash of the clip's content.
        library: where the library is.
    """
    writing = {k: v for k, v in asdict(line.writing).items() if k not in ("out", "overwrite")}
    request = {k: v for k, v in asdict(line.request).items() if k != "path"}
    if request["beats_per_bar"] is None:  # said nothing, as every line before it could be said
        del request["beats_per_bar"]
    wanted = asdict(line.wanted)
    sets = {name: sorted(wanted[name]) for name in ("exclude_songs", "only_stems")}
    made_of = {
        "schema": _SCHEMA,
        "clip": [clip_sha, line.request.path.stem],
        "request": request,
        "wanted": {**wanted, **sets},
        "writing": writing,
        "folder": str(line.folder),
        "choice": [line.model, line.rank, line.top],
        "stretcher": line.stretcher,
        "library": str(library.resolve() if isinstance(library, Path) else library.name),
        "into": _sha_of_set(line),
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()[
        :32
    ]


def _sha_of_set(line: PlanLine) -> str | None:
    """Of the set that is added to; None without one, or when it has gone meanwhile."""
    with contextlib.suppress(OSError):
        return None if line.into is None else sha256_of(line.into.path)
    return None


class BatchState:
    """The state of the batch in one folder. Use it as a context manager."""

    def __init__(self, out: Path, file: IO[bytes] | None, known: dict[str, _Known]) -> None:
        self._out = out
        self._file = file
        self._known = known

    @classmethod
    def open(cls, out: Path) -> Self:
        """The state in ``out``, locked for this process; made when there is none.

        Raises:
            UnwritableOutput: the folder cannot be written, or another batch is at work in it.
        """
        path = out / STATE_NAME
        try:
            out.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except OSError as error:
            raise _unwritable(out, error) from error
        try:
            _lock(file)
        except OSError as error:
            file.close()
            raise UnwritableOutput(
                f"Another batch is writing into {out}.",
                hint="Wait until it is through, or choose another --out.",
                code="busy",
            ) from error
        file.seek(0)
        return cls(out, file, _read(file))

    @classmethod
    def look(cls, out: Path) -> Self:
        """The state in ``out`` for reading only; empty when there is none."""
        with contextlib.suppress(OSError), (out / STATE_NAME).open("rb") as file:
            return cls(out, None, _read(file))
        return cls(out, None, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def done(self, key: str) -> DoneLine | None:
        """The line, if it is done and every file of it is there in its size."""
        known = self._known.get(key)
        if known is None or known.done is None:
            return None
        sizes = {name: _size(self._out / name) for name in known.done.files}
        return known.done if sizes == known.done.files else None

    def own_files(self, key: str) -> frozenset[Path]:
        """Every file that earlier runs may have made of this line, if nobody changed it since."""
        known = self._known.get(key)
        return frozenset() if known is None else frozenset(self._unchanged(known))

    def left_files(self, keys: Set[str], folder: PurePosixPath) -> frozenset[Path]:
        """Files below ``folder`` of lines that are none of ``keys``: the plan has changed since."""
        left = [known for key, known in self._known.items() if key not in keys]
        found = {path for known in left for path in self._unchanged(known)}
        return frozenset(path for path in found if (self._out.resolve() / folder) in path.parents)

    def writing(self, key: str, files: Sequence[Path]) -> None:
        """These files are about to appear."""
        if key in self._known:  # what was changed meanwhile belongs to whoever changed it
            self._known[key].own = {self._name(path) for path in self.own_files(key)}
        names = [self._name(path) for path in files]
        self._append({"event": "writing", "key": key, "files": names})

    def replaced_files(self, keys: Set[str], plan: str, folder: PurePosixPath) -> frozenset[Path]:
        """What a line of this plan made in ``folder`` before the plan was changed.

        Args:
            keys: of the lines that the plan has now.
            plan: its name; what other plans made in the same folder is theirs.
            folder: of the line that takes the place.

        Returns:
            files that are as the line left them, no folders, and nothing of a line that did not
            end well.
        """
        found: set[Path] = set()
        for key, known in self._known.items():
            done = known.done
            if key in keys or done is None or done.plan != plan or not done.descriptions:
                continue
            if PurePosixPath(done.descriptions[0]).parent == folder:
                found.update(self._unchanged(known))  # a line that is done owns files alone
        return frozenset(found)

    def finish(
        self,
        key: str,
        files: Mapping[Path, int],
        descriptions: Sequence[Path],
        seconds: float,
        *,
        plan: str = "",
        replaced: Set[Path] = frozenset(),
    ) -> None:
        """The line of ``plan`` is done: ``files`` are all there in these sizes.

        Older ones of it are gone, and so is what it replaced, see :meth:`replaced_files`.
        """
        kept = {*files, *(folder for path in files for folder in path.parents)}
        for path in replaced - kept:
            with contextlib.suppress(OSError):
                path.unlink()
                _remove_empty(path.parent, inside=self._out.resolve())
        for path in self.own_files(key) - kept:
            with contextlib.suppress(OSError):  # a file that stays is clutter, not harm
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self._append(
            {
                "event": "done",
                "key": key,
                "plan": plan,
                "files": {self._name(path): size for path, size in files.items()},
                "descriptions": [self._name(path) for path in descriptions],
                "seconds": round(seconds, 3),
            }
        )

    def fail(self, key: str, message: str) -> None:
        """The line failed; it is tried again next time."""
        self._append({"event": "failed", "key": key, "message": message})

    def _unchanged(self, known: _Known) -> Iterator[Path]:
        """The files of a line but those that are of another size than it made them.

        What a person or a DAW has changed is theirs, and so is the whole project that it belongs
        to, or that holds files now which the line did not make. A file without any bytes is what a
        crash of the machine leaves.
        """
        out = self._out.resolve()
        theirs = set() if known.done is None else {out / name for name in self._theirs(known.done)}
        for name in known.own:
            path = out / name
            if path not in theirs and not theirs.intersection(path.parents):
                yield path

    def _theirs(self, done: DoneLine) -> Iterator[str]:
        """Changed files, and projects that hold a changed file or another one."""
        line = PurePosixPath(done.descriptions[0]).parent if done.descriptions else PurePosixPath()
        projects = set()
        for name, size in done.files.items():
            first, *deeper = PurePosixPath(name).relative_to(line).parts
            projects |= {line / first} if deeper else set()
            if _size(self._out / name) not in (-1, 0, size):
                yield str(line / first)
        for project in projects:
            there = (path for path in (self._out / project).rglob("*") if path.is_file())
            if any(path.relative_to(self._out).as_posix() not in done.files for path in there):
                yield str(project)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._out.resolve()).as_posix()

    def _append(self, record: Mapping[str, object]) -> None:
        """One line, on the disk when this returns; begins anew after a line that was cut short."""
        if self._file is None:
            raise ValueError("this state was opened for reading only")
        text = "\n" + json.dumps({"schema": _SCHEMA, **record}, ensure_ascii=True) + "\n"
        try:
            self._file.write(text.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._out, error) from error
        _take_in(self._known, record)


def _read(file: IO[bytes]) -> dict[str, _Known]:
    known: dict[str, _Known] = {}
    for line in file.read().split(b"\n"):
        with contextlib.suppress(*_UNREADABLE):
            record = json.loads(line)
            if record["schema"] == _SCHEMA:
                _take_in(known, record)
    return known


def _take_in(known: dict[str, _Known], record: Mapping[str, object]) -> None:
    entry = known.setdefault(str(record["key"]), _Known())
    if record["event"] == "writing":
        entry.own.update(_inside(cast("list[str]", record["files"])))
        entry.done = None
    elif record["event"] == "done":
        files = cast("dict[str, int]", record["files"])
        _inside(files)
        names = cast("list[str]", record["descriptions"])
        seconds = float(cast("float", record["seconds"]))
        entry.done = DoneLine(files, tuple(names), seconds, str(record.get("plan", "")))
        entry.own = set(files)


def _remove_empty(folder: Path, *, inside: Path) -> None:
    """The folder and those around it that hold nothing now, up to ``inside``."""
    while folder != inside and inside in folder.parents and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _inside(names: Iterable[str]) -> Iterable[str]:
    """The names, all of which must lie inside the batch's folder whoever wrote them."""
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise ValueError(f"{name} lies outside the batch's folder")
    return names


def _size(path: Path) -> int:
    """Bytes of a file; −1 when it is not there."""
    try:
        return path.stat().st_size if path.is_file() else -1
    except OSError:
        return -1


def _lock(file: IO[bytes]) -> None:
    """Keep the file to this process until it closes it or ends.

    Raises:
        OSError: another process has it.
    """
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 30)  # far behind the text, which stays readable
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise
        # a file system without locks: nothing can be told about other batches


def _unwritable(path: Path, error: OSError) -> UnwritableOutput:
    full = error.errno == errno.ENOSPC
    return UnwritableOutput(
        "The disk is full." if full else f"{path} cannot be written: {error.strerror or error}.",
        hint="Free some space." if full else "Choose another --out, or make it writable.",
        code="disk_full" if full else None,
    )
