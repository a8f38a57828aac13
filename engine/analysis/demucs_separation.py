"""Separation by Demucs (Rouard, Massa & Défossez 2023, "Hybrid Transformers for Music Source
Separation"), through the classes and loaders of the ``demucs`` package, version 4.1.

Weights come from one of two places. By default that is the Hugging Face cache, where Demucs 4.1
keeps a YAML file and safetensors per model; they are fetched on first use unless that is
forbidden. Or it is a folder of models in Demucs's own layout (``NAME.yaml``, ``SIG-HASH.th`` or
``SIG.safetensors``), which never touches the network.

Nothing is unpickled blindly: Demucs's older download of pickled weights is not used; a ``.th``
file must carry its checksum in its name and is read by PyTorch's restricted loader, which knows
only tensors and Demucs's own classes; a safetensors file must name one of those classes.

Torch and Demucs are imported when first used; torchaudio never is. Models are kept for the life
of the process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.audio.waveform import Waveform
from engine.errors import DawlinkError, MissingDependency, UsageError
from engine.files import sha256_of
from engine.theory import STORED_ROLES, Role

if TYPE_CHECKING:
    from demucs.apply import BagOfModels, Model

    from engine.analysis.separation import Device

__all__ = ["MODEL_NAMES", "DemucsSeparator", "has_weights"]

#: The models that their authors publish.
MODEL_NAMES: Final = (
    "htdemucs",
    "htdemucs_ft",
    "htdemucs_6s",
    "hdemucs_mmi",
    "mdx",
    "mdx_extra",
)
_CLASSES: Final = frozenset(
    {"demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs"}
)
_SHA256_NAME: Final = re.compile(r"[0-9a-f]{64}")
#: Segments overlap by a quarter (Demucs's default).
_OVERLAP: Final = 0.25
#: A quieter mix than this (RMS) is not scaled up: it is silence.
_SILENT_RMS: Final = 1e-7

_models: dict[tuple[str, Path | None], Model | BagOfModels] = {}
_models_lock = threading.Lock()


class DemucsSeparator:
    """A Demucs model behind the :class:`~engine.analysis.separation.Separator` protocol.

    Args:
        model: its name, see :data:`MODEL_NAMES`, or one that ``models`` holds.
        models: folder of models in Demucs's layout; None is the Hugging Face cache.
        device: ``auto`` is CUDA, then Apple's MPS, then the CPU.
        segment_s: seconds handled at a time, None for the model's own; smaller needs less memory.
        jobs: CPU threads that handle segments side by side, 0 for one after the other.
        download: fetch weights that are not there yet.
    """

    is_fallback: Final = False

    def __init__(
        self,
        model: str = "htdemucs",
        *,
        models: Path | None = None,
        device: Device = "auto",
        segment_s: float | None = None,
        jobs: int = 0,
        download: bool = True,
    ) -> None:
        if segment_s is not None and not segment_s > 0:
            raise UsageError(
                f"A segment of {segment_s} s is not valid.", hint="Give seconds above 0."
            )
        self._model = model
        self._models = models
        self._device = device
        self._segment_s = segment_s
        self._jobs = jobs
        self._download = download

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model

    def separate(self, waveform: Waveform) -> Mapping[Role, Waveform]:
        """See :meth:`~engine.analysis.separation.Separator.separate`.

        The same input gives the same stems: Demucs's random shifts are off. Stems are made at
        the model's rate (44.1 kHz) and resampled back.
        """
        from engine.analysis.separation import require_mono_or_stereo
        from engine.audio.resample import resample, to_channels

        require_mono_or_stereo(waveform)
        model = _model(self._model, self._models, download=self._download)
        rate, channels = int(model.samplerate), int(model.audio_channels)
        mix = to_channels(resample(waveform, rate), channels)
        if mix.frames == 0:
            return dict.fromkeys(STORED_ROLES, waveform)
        stems = self._apply(model, mix)
        back = {}
        for role, stem in stems.items():
            made = to_channels(resample(stem, waveform.sample_rate), waveform.channels)
            back[role] = _cut(made, waveform.frames)
        return back

    def _apply(self, model: Model | BagOfModels, mix: Waveform) -> dict[Role, Waveform]:
        """Run the model on a mix at its own rate, scaled as in its training."""
        import torch
        from demucs.apply import apply_model

        finite = np.nan_to_num(mix.samples, nan=0.0, posinf=0.0, neginf=0.0)
        centre = finite.mean(axis=0)
        offset = np.float32(centre.mean())
        scale = np.float32(max(float(centre.std()), _SILENT_RMS))
        scaled = torch.from_numpy((finite - offset) / scale)
        with torch.inference_mode():
            made = apply_model(
                model,
                scaled[None],
                shifts=0,
                overlap=_OVERLAP,
                device=_torch_device(self._device),
                num_workers=self._jobs,
                segment=self._segment_s,
            )[0]
        sources = {role: np.zeros_like(finite) for role in STORED_ROLES}
        for source, samples in zip(model.sources, made.cpu().numpy(), strict=True):
            sources[_role(source)] += samples * scale
        return {role: Waveform(samples, mix.sample_rate) for role, samples in sources.items()}


def has_weights(model: str, *, models: Path | None = None) -> bool:
    """Whether ``model`` can be loaded without the network (its tensors are not looked at).

    A name that no model can have, a list of files that is damaged and a Demucs that does not
    import are all no: nothing is raised.
    """
    needed = ("demucs", "torch", "yaml", "safetensors")
    if any(importlib.util.find_spec(package) is None for package in needed):
        return False
    if models is not None:
        return models.is_dir() and bool(list(models.glob(f"{model}*")))
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    with contextlib.suppress(Exception):  # a broken binary package raises whatever it likes
        return bool(_hub_files(model, download=False))
    return False


def _model(name: str, models: Path | None, *, download: bool) -> Model | BagOfModels:
    """The loaded model, from memory the second time.

    Raises:
        MissingDependency: Demucs or the weights are missing, or the weights are damaged.
    """
    key = (name, models.resolve() if models else None)
    with _models_lock:
        if key not in _models:
            with _loading(name):
                loaded = _from_folder(name, models) if models else _from_hub(name, download)
                loaded.eval()
            _models[key] = loaded
        return _models[key]


@contextlib.contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn what loading can throw into MissingDependency."""
    try:
        yield
    except DawlinkError:
        raise
    except ImportError as error:
        raise MissingDependency(
            f"The package {error.name or 'demucs'} is missing, which the separation model needs.",
            hint="Install it: pip install demucs.",
            code="no_demucs",
        ) from error
    except Exception as error:
        # The loaders of torch, safetensors, yaml and demucs have no common error.
        raise MissingDependency(
            f"The separation model {name!r} is damaged: {_first_line(error)}.",
            hint="Delete its files and let them be fetched again, or use --separator hpss-center.",
            code="damaged_model",
        ) from error


def _from_folder(name: str, folder: Path) -> Model | BagOfModels:
    """Load by Demucs's local repository, with its unpickling replaced by a restricted one."""
    from demucs.repo import AnyModelRepo, BagOnlyRepo, LocalRepo

    class SafeRepo(LocalRepo):
        def has_model(self, sig: str) -> bool:
            return (self.root / f"{sig}.safetensors").is_file() or bool(super().has_model(sig))

        def get_model(self, sig: str) -> Model:
            tensors = self.root / f"{sig}.safetensors"
            if tensors.is_file():
                return _load_safetensors(tensors)
            if sig not in self._models:
                raise _missing(f"{sig} of the model {name!r}", f"the folder {folder}")
            return _load_th(Path(self._models[sig]), self._checksums.get(sig))

    if not folder.is_dir():
        raise _missing(repr(name), f"{folder}, which is not a folder")
    models = SafeRepo(folder)
    repository = AnyModelRepo(models, BagOnlyRepo(folder, models))
    if not repository.has_model(name):
        raise _missing(repr(name), f"the folder {folder}")
    return repository.get_model(name)


def _load_th(path: Path, checksum: str | None) -> Model:
    """Read ``SIG-HASH.th`` without running any code that it holds."""
    from fractions import Fraction

    import torch
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    from demucs.states import load_model

    if not checksum:
        raise ValueError(f"{path.name} carries no checksum in its name")
    if not sha256_of(path).startswith(checksum):
        raise ValueError(f"{path.name} does not have the checksum in its name")
    with torch.serialization.safe_globals([Demucs, HDemucs, HTDemucs, Fraction]):
        package = torch.load(path, map_location="cpu", weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names arguments of other versions that it drops
        loaded: Model = load_model(package)  # type: ignore[no-untyped-call]  # demucs has no types
    return loaded


def _load_safetensors(path: Path) -> Model:
    """Read a safetensors model whose header names one of Demucs's classes."""
    from demucs.hf import load_safetensors_model
    from safetensors import safe_open

    blob = path.resolve()
    if _SHA256_NAME.fullmatch(blob.name) and sha256_of(blob) != blob.name:
        raise ValueError(f"{path.name} does not have the checksum that it was fetched with")
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata() or {}
    if header.get("klass") not in _CLASSES or "structure" in header:
        raise ValueError(f"{path.name} is not a plain Demucs model")
    return load_safetensors_model(path)


def _from_hub(name: str, download: bool) -> BagOfModels:
    """Load the files that the Hugging Face cache holds, fetching them if that is allowed."""
    import yaml
    from demucs.apply import BagOfModels

    files = _hub_files(name, download=download)
    if not files:
        raise _missing(repr(name), "this machine")
    bag = yaml.safe_load(files[0].read_text(encoding="utf-8"))
    models = [_load_safetensors(file) for file in files[1:]]
    return BagOfModels(models, bag.get("weights"), bag.get("segment"))


def _hub_files(name: str, *, download: bool) -> list[Path]:
    """The model's YAML file and its safetensors; empty when they cannot be had."""
    import yaml
    from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository = f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}"

    def fetched(file: str) -> Path:
        try:
            return Path(hf_hub_download(repository, file, local_files_only=True))
        except LocalEntryNotFoundError:
            if not download:
                raise
            return Path(hf_hub_download(repository, file))

    try:
        listing = fetched(f"{name}.yaml")
        signatures = yaml.safe_load(listing.read_text(encoding="utf-8"))["models"]
        return [listing, *(fetched(f"{signature}.safetensors") for signature in signatures)]
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
        return []


def _missing(what: str, where: str) -> MissingDependency:
    return MissingDependency(
        f"The separation model {what} is not on {where}."
        if where == "this machine"
        else f"The separation model {what} is not in {where}.",
        hint="Run once with a connection to fetch it, or use --separator hpss-center.",
        code="no_model",
    )


def _role(source: str) -> Role:
    """The stored role of a model's source; guitar and piano of larger models are ``other``."""
    return next((role for role in STORED_ROLES if role == source), "other")


def _torch_device(device: Device) -> str:
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cut(waveform: Waveform, frames: int) -> Waveform:
    """Exactly ``frames`` frames: rounding at two rates may differ by one."""
    short = max(0, frames - waveform.frames)
    samples = np.pad(waveform.samples, ((0, 0), (0, short)))[:, :frames]
    return Waveform(np.ascontiguousarray(samples), waveform.sample_rate)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
