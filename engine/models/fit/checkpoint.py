"""The trained fit model as a file: read and checked without torch.

The file is a checkpoint of :mod:`engine.checkpoints`: safetensors with a JSON record under
the metadata key ``dawlink`` that holds kind, settings, metrics, version and the SHA-256 of the
tensors. One comes with dawlink (``checkpoints/fit.safetensors``, half precision).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from engine.checkpoints import RECORD_SHA, UNREADABLE, Recorded, record_sha
from engine.errors import MissingDependency
from engine.models.fit.curves import FitCurves
from engine.models.fit.towers import FitSizes, dense_weights, shapes_of

__all__ = ["SHIPPED_FIT", "FitModel", "load_fit"]

#: The checkpoint that is installed with the package.
SHIPPED_FIT: Final = Path(__file__).parents[1] / "checkpoints" / "fit.safetensors"
#: Newest record that can be read, and the largest file that can be a fit model [bytes].
_VERSION: Final = 1  # of the record; a model of other inputs or curves lacks their names
_LARGEST: Final = 12 << 20  # bytes
#: A number of every record whose curves were the same for all roles, and what helps then.
_OLDER: Final = "harmony.slope.4"
_FIT_CURVES: Final = (
    "Fit them anew with "
    "`python -m engine.training.fit --data YOUR_DATA --recalibrate OLD --out NEW`"
)
#: Widest tower, and the largest number of a curve; the shipped ones are 64 and 122.
_WIDEST: Final = 4096
_STEEPEST: Final = 1e6
_TAG_DIGITS: Final = 16
_DTYPES: Final = {"float16": "torch.float16", "float32": "torch.float32"}


@dataclass(frozen=True, eq=False)
class FitModel:
    """Weights ready for :mod:`engine.models.fit.towers` and what turns similarities into scores.

    Args:
        weights: from :func:`~engine.models.fit.towers.dense_weights`.
        sizes: widths of the towers.
        curves: from similarities to scores.
        tag: hex digest of the weights, which names embeddings made with them.
    """

    weights: Mapping[str, NDArray[np.float32]]
    sizes: FitSizes
    curves: FitCurves
    tag: str = ""


def load_fit(path: Path = SHIPPED_FIT) -> FitModel:
    """Read a fit model, checked from end to end.

    Raises:
        MissingDependency: it is not there, damaged, foreign, of another kind, or newer.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        _refuse(path, "is not there", "no_checkpoint")
    if path.stat().st_size > _LARGEST:
        _refuse(path, "is larger than any fit model", "checkpoint_mismatch")
    try:
        with safe_open(path, framework="np") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, *UNREADABLE) as error:
        _refuse(path, f"is damaged or no checkpoint ({error})", "checkpoint_damaged", error)
    settings = _settings(path, metadata.get("dawlink", ""), tensors)
    return _model(path, settings, tensors)


def _settings(
    path: Path, text: str, tensors: Mapping[str, NDArray[np.float32]]
) -> Mapping[str, float]:
    """The record's numbers, once kind, version and hash are right."""
    if not text:
        _refuse(path, "was not made by dawlink", "checkpoint_foreign")
    try:
        record = json.loads(text)
        version, kind, sha = int(record["version"]), str(record["kind"]), record["tensors_sha"]
        numbers = {k: v for k, v in record["settings"].items() if isinstance(v, int | float)}
        said_sha, sha_of_record = record.get(RECORD_SHA), record_sha(record)
    except UNREADABLE as error:
        _refuse(path, f"has an unreadable record ({error})", "checkpoint_damaged", error)
    if version > _VERSION:
        _refuse(path, f"was made by a newer dawlink (format {version})", "checkpoint_newer")
    if said_sha not in (None, sha_of_record):
        _refuse(path, "is damaged: its record does not match its hash", "checkpoint_damaged")
    if kind != "fit":
        _refuse(path, f"holds a {ascii(kind)[1:-1]:.40}, not a fit model", "checkpoint_kind")
    if sha != _sha_of(tensors):
        _refuse(path, "is damaged: its weights do not match their hash", "checkpoint_damaged")
    return numbers


def _model(
    path: Path, settings: Mapping[str, float], tensors: Mapping[str, NDArray[np.float32]]
) -> FitModel:
    if _OLDER in settings:
        _refuse(path, "has the curves of an older dawlink", "checkpoint_mismatch", mend=_FIT_CURVES)
    said = Recorded(settings)
    widths, curve_numbers = FitSizes.__dataclass_fields__, FitCurves.plain(rules=0.0).record()
    try:
        sizes = FitSizes(**{n: said.whole(n, least=1, most=_WIDEST) for n in widths})
        curves = FitCurves.of(
            {n: said.number(n, least=-_STEEPEST, most=_STEEPEST) for n in curve_numbers}
        )
    except ValueError as error:
        _refuse(path, f"does not say how it is built ({error})", "checkpoint_mismatch", error)
    expected = shapes_of(sizes)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != expected:
        wrong = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        _refuse(path, f"has other weights than expected ({wrong[0]})", "checkpoint_mismatch")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        _refuse(path, "is damaged: not all of its weights are numbers", "checkpoint_damaged")
    return FitModel(dense_weights(tensors), sizes, curves, _sha_of(tensors)[:_TAG_DIGITS])


def _sha_of(tensors: Mapping[str, NDArray[np.float32]]) -> str:
    """As :mod:`engine.checkpoints` hashes names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        dtype = _DTYPES.get(str(tensor.dtype), str(tensor.dtype))
        digest.update(f"{name} {dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _refuse(
    path: Path, what: str, code: str, error: Exception | None = None, *, mend: str = ""
) -> NoReturn:
    if not mend:
        mend = "Install dawlink anew" if path == SHIPPED_FIT else "Remove it to use the shipped one"
    hint = (
        f"{mend}, or train it again with `dawlink train fit`; until then rank with "
        "--model automashupper."
    )
    raise MissingDependency(f"The checkpoint {path} {what}.", hint=hint, code=code) from error
