"""Files that appear whole or not at all, and the hashes that name them."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UnwritableOutput

__all__ = ["atomic_path", "require_writable", "sha256_of", "write_whole"]

_CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_path(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary name beside ``path``; renamed to it when the block succeeds, removed otherwise.

    The temporary name keeps the suffix, so that writers which look at it still work.

    Raises:
        UnwritableOutput: the folder cannot be written, the disk is full, or ``path`` exists and
            ``overwrite`` is False.
    """
    if path.exists() and not overwrite:
        raise UnwritableOutput(
            f"{path} is already there.", hint="Add --overwrite to replace it.", code="exists"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _rename_new(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | str, *, overwrite: bool = True) -> None:
    """Write ``data`` to ``path`` in one step (see :func:`atomic_path`)."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def require_writable(folder: Path) -> None:
    """Said before a long task, not after it; the folder is made.

    Raises:
        UnwritableOutput: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".part-", dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@functools.cache
def _umask() -> int:
    """Asked once: asking changes it for a moment, for every thread."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename without ever replacing: a file that appeared meanwhile wins."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise UnwritableOutput(
            f"Another program created {path} in the meantime.",
            hint="Add --overwrite to replace it.",
            code="exists",
        ) from None
    except OSError:  # no hard links on this file system (FAT, some network shares)
        if path.exists():
            raise
        temporary.replace(path)


def _unwritable(path: Path, error: OSError) -> UnwritableOutput:
    if error.errno == errno.ENOSPC:
        return UnwritableOutput(
            f"The disk is full; {path} was not written.",
            hint="Free some space and run the same command again.",
            code="disk_full",
        )
    return UnwritableOutput(
        f"{path} cannot be written: {error.strerror or error}.",
        hint="Choose another folder, or make this one writable.",
    )
