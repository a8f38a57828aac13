"""``dawlink doctor``: what is installed, what is missing, and the one command that mends it.

A package is tried, not only looked up: one whose own dependencies are missing counts as missing.
Nothing is downloaded. Exit 0 when dawlink can do its work, 4 when something necessary is missing;
what has a fallback is reported and does not count.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from dawlink.cli.context import invocation
from dawlink.cli.output import emit_json, emit_text, print_table, progress
from dawlink.settings import Settings
from engine.errors import DawlinkError
from engine.library.place import DATABASE_NAME, ServerPlace, files_of

app = typer.Typer()

Status = Literal["ok", "note", "missing"]

#: Less free space than this [bytes] and a library will not grow far: 100 songs of stems as FLAC.
SCARCE_BYTES: Final = 10 * 1024**3
EXIT_MISSING: Final = 4
OLDEST_PYTHON: Final = (3, 11)
_SETUP: Final = "python3 bootstrap.py setup"
_STUDIO: Final = f'{sys.executable} -m pip install "psycopg[binary]>=3.1"'
#: Distribution to the module that proves it works; every one is necessary.
NECESSARY: Final = {
    "numpy": "numpy",
    "scipy": "scipy.signal",
    "torch": "torch",
    "safetensors": "safetensors.torch",
    "threadpoolctl": "threadpoolctl",
    "soundfile": "soundfile",
    "av": "av",
    "soxr": "soxr",
    "librosa": "librosa",
    "pyloudnorm": "pyloudnorm",
    "sqlalchemy": "sqlalchemy",
    "alembic": "alembic",
    "python-osc": "pythonosc.osc_message",
    "mido": "mido",
    "pylibrb": "pylibrb",
    "filelock": "filelock",
    "matplotlib": "matplotlib",
    "platformdirs": "platformdirs",
    "rich": "rich.console",
    "typer": "typer",
}
#: Distributions without which the rest works; what looks for them says what takes their place.
REPLACEABLE: Final = ("demucs", "madmom-infer", "pyrubberband", "torchaudio")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: what.
        status: ``"ok"``, ``"note"`` (works without it) or ``"missing"`` (does not).
        detail: version, folder or reason.
        mend: the one command that mends it, or nothing.
    """

    name: str
    status: Status
    detail: str
    mend: str = ""


@app.command()
def doctor(
    ctx: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what is installed, what is missing, and the one command that mends it."""
    settings = invocation(ctx).settings()
    with progress("looking around") as bar:
        checks = []
        for check in examine(settings):
            bar.describe(check.name)
            checks.append(check)
    works = all(check.status != "missing" for check in checks)
    if json:
        emit_json({"works": works, "checks": checks})
    else:
        _print(checks, works=works)
    if not works:
        raise typer.Exit(EXIT_MISSING)


def examine(settings: Settings) -> Iterator[Check]:
    """Look at everything that dawlink needs, one thing at a time."""
    yield _python()
    for distribution, module in NECESSARY.items():
        yield _package(distribution, module)
    looks = (_torch_devices, _torchaudio, _beats_and_key, _separation, _rubberband_program)
    for look in looks:
        yield _guarded(look)
    yield _guarded(partial(_weights, settings.separator))
    if settings.cluster:
        yield _distributed()
    if isinstance(settings.library, Path):
        yield _guarded(partial(_library, settings.library))
    else:
        yield _guarded(_psycopg)
        yield _guarded(partial(_server, settings.library))
    yield _space(files_of(settings.library))
    yield from _models(files_of(settings.library) / "models")
    yield _guarded(_duck_network)


def _models(folder: Path) -> Iterator[Check]:
    """A package that the models need and lack has its own line, as everywhere."""
    try:
        yield from _learned_models(folder)
    except ImportError as error:
        yield Check("models", "note", str(error), _SETUP)


def _learned_models(folder: Path) -> Iterator[Check]:
    """Every learned model: the one that comes with dawlink, or the library's own, read whole."""
    from engine.models.registry import LEARNED, SHIPPED, load_ranker, own_checkpoints

    own = own_checkpoints([folder])
    for name in LEARNED:
        if name not in own and not (SHIPPED / f"{name}.safetensors").is_file():
            continue
        try:
            load_ranker(name, folders=[folder])
        except DawlinkError as error:
            mend = f'mv "{own[name]}" "{own[name]}.unusable"' if name in own else _SETUP
            yield Check(f"model {name}", "missing", error.message, mend)
        else:
            yield Check(f"model {name}", "ok", str(own.get(name, "comes with dawlink")))


def _duck_network() -> Check:
    """What ``render --duck`` follows, read whole."""
    from engine.models.song_masher.shipped_mask import SHIPPED_MASK, load_duck_network

    name = "network of --duck"
    if not SHIPPED_MASK.is_file():
        return Check(name, "note", "not installed; ducking follows a rule", _SETUP)
    try:
        load_duck_network()
    except DawlinkError as error:
        return Check(name, "missing", error.message, _SETUP)
    return Check(name, "ok", "comes with dawlink")


def _python() -> Check:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", "missing", f"{version}, 3.11 or newer is needed", "install Python")
    return Check("python", "ok", f"{version} on {platform.system()} {platform.machine()}")


def _package(distribution: str, module: str) -> Check:
    failure = _import_failure(module)
    if failure:
        return Check(distribution, "missing", failure, _SETUP)
    return Check(distribution, "ok", importlib.metadata.version(distribution))


def _torch_devices() -> Check:
    import torch

    devices = ["cpu"]
    devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return Check("torch device", "ok", ", ".join(devices))


def _torchaudio() -> Check:
    from engine.models.torchaudio_compat import transforms

    try:
        transforms()
    except DawlinkError as error:
        return Check("torchaudio", "note", f"only mix networks need it: {error.message}", _SETUP)
    return Check("torchaudio", "ok", importlib.metadata.version("torchaudio"))


def _beats_and_key() -> Check:
    from engine.analysis import madmom_compat

    name = "beats and key"
    try:
        for module in ("features.downbeats", "features.key"):
            madmom_compat.load(module)
    except DawlinkError as error:
        return Check(name, "note", f"fallback {_fallback_tracker()}: {error.message}", _SETUP)
    return Check(name, "ok", f"madmom {importlib.metadata.version('madmom')}")


def _fallback_tracker() -> str:
    """madmom-infer needs model files that only madmom brings along."""
    from engine.analysis.beats import LibrosaTracker, MadmomInferTracker

    try:
        return MadmomInferTracker().name
    except DawlinkError:
        return LibrosaTracker.name


def _separation() -> Check:
    failure = _import_failure("demucs.pretrained") or _import_failure("demucs.hf")
    if failure:
        return Check("demucs", "note", f"full mixes need the fallback: {failure}", _SETUP)
    return Check("demucs", "ok", importlib.metadata.version("demucs"))


def _weights(separator: str) -> Check:
    """Whether a separation model's weights are on this machine."""
    from engine.analysis.separation import DEFAULT_MODEL, FallbackSeparator

    if separator == FallbackSeparator.name:
        return Check("weights", "ok", f"the separator {separator} needs none")
    from engine.analysis.demucs_separation import has_weights

    model = DEFAULT_MODEL if separator == "auto" else separator
    name = f"weights of {model}"
    if has_weights(model):
        return Check(name, "ok", "cached")
    fetch = f"{sys.executable} -c \"from demucs.pretrained import get_model; get_model('{model}')\""
    found = "not here: the first full mix fetches them"
    if separator == "auto":
        found = f"not here: full mixes are separated by the fallback {FallbackSeparator.name}"
    return Check(name, "note", found, fetch)


def _rubberband_program() -> Check:
    name = "rubberband program"
    found = shutil.which("rubberband")
    if found and importlib.util.find_spec("pyrubberband") is None:
        return Check("pyrubberband", "note", "not there; only the stretcher of that name", _SETUP)
    if found:
        return Check(name, "ok", found)
    install = {"darwin": "brew install rubberband", "linux": "apt-get install rubberband-cli"}
    return Check(
        name,
        "note",
        "not there; only the stretcher 'pyrubberband' needs it",
        install.get(sys.platform, ""),
    )


def _library(folder: Path) -> Check:
    """A library that may only be read is good for all but adding."""
    from engine.library.library import Library

    if _may_write(folder):
        return Check("library", "ok", str(folder) + ("" if folder.exists() else " (not made yet)"))
    try:
        with Library.open(folder, create=False, read_only=True):
            return Check("library", "note", f"{folder} can be read, not written")
    except DawlinkError as error:
        if error.code != "no_library":
            return Check("library", "missing", error.message, error.hint)
    return Check("library", "missing", f"{folder} cannot be written", "dawlink --library DIR …")


def _may_write(folder: Path) -> bool:
    """Whether files can be made in the folder, or it itself, and its database can be changed."""
    nearest = _nearest_existing(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return False
    database = folder / DATABASE_NAME
    return not database.exists() or os.access(database, os.W_OK)


def _distributed() -> Check:
    failure = _import_failure("distributed")
    if failure:
        mend = f'{sys.executable} -m pip install "distributed>=2025.1"'
        return Check("distributed", "missing", failure, mend)
    return Check("distributed", "ok", importlib.metadata.version("distributed"))


def _psycopg() -> Check:
    failure = _import_failure("psycopg")
    if failure:
        return Check("psycopg", "missing", failure, _STUDIO)
    return Check("psycopg", "ok", importlib.metadata.version("psycopg"))


def _server(place: ServerPlace) -> Check:
    """Whether the server answers and the shared folder is the library's; makes nothing."""
    from engine.library.library import Library

    try:
        with Library.open(place, create=False, read_only=True) as library:
            return Check("library", "ok", f"{place}: {library.describe_database()}")
    except DawlinkError as error:
        if error.code == "no_library":
            return Check("library", "ok", f"{place} (not made yet)")
        return Check("library", "missing", error.message, error.hint)


def _space(folder: Path) -> Check:
    free = shutil.disk_usage(_nearest_existing(folder)).free
    text = f"{free / 1024**3:.0f} GB free at {folder}"
    if free < SCARCE_BYTES:
        return Check("disk", "note", f"{text}: a song takes about 100 MB", "")
    return Check("disk", "ok", text)


def _nearest_existing(folder: Path) -> Path:
    """``folder``, or the first of its parents that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _guarded(look: Callable[[], Check] | partial[Check]) -> Check:
    """A check whose package is missing is itself a note: the package has its own line."""
    function = look.func if isinstance(look, partial) else look
    try:
        return look()
    except ImportError as error:
        return Check(function.__name__.strip("_").replace("_", " "), "note", str(error), _SETUP)


def _import_failure(module: str) -> str:
    """Why a module does not import; empty when it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
    except Exception as error:  # a broken binary package raises whatever it likes
        return f"{type(error).__name__}: {error}"
    return ""


def _print(checks: list[Check], *, works: bool) -> None:
    rows = [(check.status, check.name, check.detail) for check in checks]
    print_table(["", "what", "found"], rows)
    mends: dict[str, list[str]] = {}
    for check in checks:
        if check.mend:
            mends.setdefault(check.mend, []).append(check.name)
    if mends:
        emit_text("")
    for mend, names in mends.items():
        emit_text(f"{', '.join(names)}: {mend}")
    emit_text("\ndawlink works here." if works else "\ndawlink cannot work here yet.")
