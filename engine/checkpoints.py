"""Trained weights as files: safetensors, with everything that made them in the header.

A checkpoint holds tensors by name and one JSON record under the metadata key ``dawlink``: the kind
of model, its settings, the hash of its data, its metrics, the version of this format and the
SHA-256 of the tensors. It is written in one step, so a killed run leaves the old file or the new
one. Reading checks all of it: a file that is cut off, changed, of another program, of another kind
of model or made by a newer dawlink is refused with a sentence and a way out, and so is the state of
an unfinished run, which only that run reads (:func:`load_run`). Nothing is ever unpickled, settings
are read with types and bounds (:func:`recorded_settings`), and a network is not built before its
sizes are known to be those of the tensors (:func:`build_network`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from engine.errors import MissingDependency
from engine.files import atomic_path

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "CHECKPOINT_VERSION",
    "MOMENTS",
    "RECORD_SHA",
    "STEPS_DONE",
    "UNREADABLE",
    "Checkpoint",
    "CheckpointInfo",
    "Plain",
    "Recorded",
    "build_network",
    "load_checkpoint",
    "load_run",
    "load_weights",
    "record_sha",
    "recorded_settings",
    "save_checkpoint",
]

#: Version of the record; raised when an older dawlink could not read it correctly.
CHECKPOINT_VERSION: Final = 1
_KEY: Final = "dawlink"
#: Under which a record holds the hash of the rest of it; those of before have none.
RECORD_SHA: Final = "record_sha"
#: What the names of an optimiser's tensors begin with; only the state of a run holds some.
MOMENTS: Final = "optimiser."
#: The setting that counts the steps of a run so far.
STEPS_DONE: Final = "steps_done"
_TRAIN_AGAIN: Final = "Train it again with dawlink train, or choose another model with --model."
_FINISH: Final = (
    "It is the state of an unfinished run: finish that with --resume and take the checkpoint that "
    "it writes."
)

#: What reading a record raises that anybody may have written: nested too deeply, a version of
#: ``Infinity``, lists for numbers.
UNREADABLE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)

#: What settings may hold.
Plain = str | int | float | bool | None
_Network = TypeVar("_Network", bound="nn.Module")


@dataclass(frozen=True)
class CheckpointInfo:
    """What made a checkpoint.

    Args:
        kind: the model, such as ``premixnet``.
        settings: everything needed to build the network again, and how it was trained.
        data_sha: hex SHA-256 that names the training data.
        metrics: measured values by name.
        version: of the format.
    """

    kind: str
    settings: Mapping[str, Plain] = field(default_factory=dict)
    data_sha: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    version: int = CHECKPOINT_VERSION


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as it was read."""

    path: Path
    info: CheckpointInfo
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Recorded:
    """Settings by name, with types and bounds; absent and None mean the default, if there is one.

    Every method raises ValueError for what is not there, of another type or out of bounds.
    """

    settings: Mapping[str, object]

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number in [least, most]."""
        number = self.number(name, least=least, most=most, default=default)
        if not number.is_integer():
            raise ValueError(f"{name} is {number}, not a whole number")
        value = self._value(name, default)
        return value if isinstance(value, int) else int(number)  # large ones are exact too

    def number(
        self, name: str, *, least: float, most: float, default: float | None = None
    ) -> float:
        """A number in [least, most]."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is not a number")
        if not least <= value <= most:  # nor is NaN
            raise ValueError(f"{name} is {value!r:.40}, not within [{least}, {most}]")
        return float(value)

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """True or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is neither true nor false")
        return value

    def _value(self, name: str, default: object) -> object:
        value = self.settings.get(name)
        if value is None and default is None:
            raise ValueError(f"{name} is not told")
        return default if value is None else value


@contextlib.contextmanager
def recorded_settings(checkpoint: Checkpoint) -> Iterator[Recorded]:
    """The checkpoint's settings, for a block that makes the network's configuration of them.

    Raises:
        MissingDependency: the block raised ValueError or the like, so no network can be built.
    """
    try:
        yield Recorded(checkpoint.info.settings)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        what = f"does not say how its network is built ({error})"
        _refuse(checkpoint.path, what, "checkpoint_mismatch", error)


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], *, info: CheckpointInfo) -> None:
    """Write a checkpoint in one step.

    Raises:
        UnwritableOutput: the folder cannot be written, or the disk is full.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = {
        "kind": info.kind,
        "settings": dict(info.settings),
        "data_sha": info.data_sha,
        "metrics": dict(info.metrics),
        "version": info.version,
        "tensors_sha": _sha_of(plain),
    }
    record[RECORD_SHA] = record_sha(record)
    data = save(plain, {_KEY: json.dumps(record, sort_keys=True, ensure_ascii=False)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def load_checkpoint(path: Path, kind: str) -> Checkpoint:
    """A model of this kind, checked from end to end.

    Raises:
        MissingDependency: it is not there, damaged, foreign, of another kind, or newer, or it is
            the state of a run and no model yet.
    """
    checkpoint = load_run(path, kind)
    is_state = any(name.startswith(MOMENTS) for name in checkpoint.tensors)
    if is_state or checkpoint.info.settings.get(STEPS_DONE) == 0:
        _refuse(path, f"holds a {kind}-run, not a {kind} model", "checkpoint_kind", mend=_FINISH)
    return checkpoint


def load_run(path: Path, kind: str) -> Checkpoint:
    """The same for a training that goes on: the state of a run of this kind will do too.

    Raises:
        MissingDependency: it is not there, damaged, foreign, of another kind, or newer.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        _refuse(path, "is not there", "no_checkpoint")
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, *UNREADABLE) as error:
        _refuse(path, f"is damaged or no checkpoint ({error})", "checkpoint_damaged", error)
    info, tensors_sha = _read_record(path, metadata)
    if info.kind != kind:
        _refuse(path, f"is one of {ascii(info.kind)[1:-1]:.40}, not of {kind}", "checkpoint_kind")
    if tensors_sha != _sha_of(tensors):
        _refuse(path, "is damaged: its weights do not match their hash", "checkpoint_damaged")
    return Checkpoint(path, info, tensors)


def record_sha(record: Mapping[str, object]) -> str:
    """Hex SHA-256 of everything that a record says but for its own hash."""
    told = {name: value for name, value in record.items() if name != RECORD_SHA}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def load_weights(module: nn.Module, checkpoint: Checkpoint, *, prefix: str = "") -> None:
    """Put the checkpoint's tensors whose names begin with ``prefix`` into ``module``.

    Raises:
        MissingDependency: a tensor is missing, too many, of another size or type, or holds what is
            no number.
    """
    found = _matching(module, checkpoint, prefix)
    try:
        are_numbers = _are_numbers(found.values())
        module.load_state_dict(found)
    except RuntimeError as error:  # such as four bits to a number
        _refuse(checkpoint.path, "has weights of an unknown type", "checkpoint_mismatch", error)
    if not are_numbers:
        _refuse(checkpoint.path, "has weights that are no numbers", "checkpoint_damaged")


def build_network(
    build: Callable[[], _Network], checkpoint: Checkpoint, *, prefix: str = ""
) -> _Network:
    """A network with the checkpoint's weights (see :func:`load_weights`), in evaluation mode.

    Args:
        build: makes the network. It is called on PyTorch's device without memory first, so that
            settings which ask for more than the tensors hold cost nothing.
        checkpoint: holds the weights.
        prefix: of their names.

    Raises:
        MissingDependency: a tensor is missing, too many, or of another size.
    """
    import torch

    with torch.device("meta"):
        _matching(build(), checkpoint, prefix)
    network = build()
    load_weights(network, checkpoint, prefix=prefix)
    return network.eval()


def _matching(module: nn.Module, checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    """The checkpoint's tensors for ``module``, when all are there and of its sizes."""
    wanted = module.state_dict()
    found = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }
    for name in sorted(wanted.keys() ^ found.keys()):
        what = "lacks" if name in wanted else "has the unknown"
        _refuse(checkpoint.path, f"{what} weights {name!r}", "checkpoint_mismatch")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            sizes = f"{tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            _refuse(checkpoint.path, f"has weights {name!r} of {sizes}", "checkpoint_mismatch")
        if tensor.is_floating_point() and not found[name].is_floating_point():
            kind = f"{found[name].dtype}, expected {tensor.dtype}"
            _refuse(checkpoint.path, f"has weights {name!r} of {kind}", "checkpoint_mismatch")
    return found


def _are_numbers(tensors: Iterable[Tensor]) -> bool:
    """Whether no weight is infinite or no number at all."""
    return all(bool(tensor.float().isfinite().all()) for tensor in tensors)


def _read_record(path: Path, metadata: Mapping[str, str]) -> tuple[CheckpointInfo, str]:
    """The record and the hash of the tensors."""
    if _KEY not in metadata:
        _refuse(path, "was not made by dawlink", "checkpoint_foreign")
    try:
        record = json.loads(metadata[_KEY])
        version = int(record["version"])
        if version > CHECKPOINT_VERSION:
            _refuse(
                path,
                f"was made by a newer dawlink (format {version}, this one reads up to "
                f"{CHECKPOINT_VERSION})",
                "checkpoint_newer",
            )
        if record.get(RECORD_SHA, record_sha(record)) != record_sha(record):
            _refuse(path, "is damaged: its record does not match its hash", "checkpoint_damaged")
        info = CheckpointInfo(
            kind=str(record["kind"]),
            settings=_plain(record["settings"]),
            data_sha=str(record["data_sha"]),
            metrics={name: float(value) for name, value in record["metrics"].items()},
            version=version,
        )
        return info, str(record["tensors_sha"])
    except UNREADABLE as error:
        _refuse(path, f"has an unreadable record ({error})", "checkpoint_damaged", error)


def _plain(settings: Mapping[str, object]) -> dict[str, Plain]:
    """The settings, when none of them is a list or a record."""
    plain: dict[str, Plain] = {}
    for name, value in settings.items():
        if not (value is None or isinstance(value, str | int | float)):
            raise TypeError(f"the setting {name!r:.40} is a {type(value).__name__}")
        plain[name] = value
    return plain


def _sha_of(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over names, types, shapes and bytes, in the order of the names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _refuse(
    path: Path, what: str, code: str, error: Exception | None = None, *, mend: str = _TRAIN_AGAIN
) -> NoReturn:
    hint = "Update dawlink." if code == "checkpoint_newer" else mend
    raise MissingDependency(f"The checkpoint {path} {what}.", hint=hint, code=code) from error
