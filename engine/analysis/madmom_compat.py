"""The one door to madmom 0.16.1, which was written for Python 3.9 and numpy 1.19.

On Python 3.11 and numpy 2 it misses a few names that were removed since (``pkg_resources``,
``collections.MutableSequence``, ``np.float``, ``np.int``, ``np.object``, ``np.complex``) and builds
one ragged array. This module supplies exactly the missing names (never ``np.bool``, which means
something else today), overrides the ragged step, and silences the deprecation warnings of madmom
alone. Nothing else in the engine imports madmom.

The models keep scratch state between calls, so a model object belongs to one thread. Every thread
gets its own (:func:`activations` and :func:`key_probabilities` see to that); work on many files is
spread over processes. Signals are mono float32 at 44 100 Hz; activations come at 100 frames per
second as (frames, 2): beat, downbeat.

Böck, Krebs, Widmer: "Joint Beat and Downbeat Tracking with Recurrent Neural Networks", ISMIR 2016.
Korzeniowski, Widmer: "Genre-Agnostic Key Classification with Convolutional Neural Networks",
ISMIR 2018.
"""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import threading
import types
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engine.analysis.madmom_speed import BatchedLstms, Network, run_convolutional
from engine.errors import MissingDependency

__all__ = [
    "ACTIVATION_FPS",
    "MODEL_RATE_HZ",
    "DecodedBeats",
    "activations",
    "bounded",
    "decode",
    "is_installed",
    "key_labels",
    "key_probabilities",
    "load",
    "model_folder",
]

#: Frames per second of the activations.
ACTIVATION_FPS: Final = 100
#: The models hear mono audio at this rate [Hz].
MODEL_RATE_HZ: Final = 44_100

#: Logarithms of probabilities are taken: none may be 0, nor beat and downbeat together 1.
LEAST_PROBABILITY: Final = 1e-6

_ABC_NAMES: Final = ("MutableSequence", "MutableMapping", "Sequence", "Mapping", "Iterable")
_NUMPY_NAMES: Final = {"float": float, "int": int, "object": object, "complex": complex}
_HINT: Final = (
    "Install it with: pip install 'cython<3' numpy scipy setuptools wheel mido && "
    "CYTHON_FORCE_REGEN=1 pip install --no-build-isolation madmom==0.16.1"
)
_lock = threading.Lock()
_local = threading.local()


@dataclass(frozen=True, eq=False)
class DecodedBeats:
    """Beats that a dynamic Bayesian network found.

    Args:
        beats_s: (beats,) seconds, multiples of 10 ms.
        positions: (beats,) position in the bar, 0 is the downbeat.
        beats_per_bar: metre of the winning model.
        log_likelihood: log probability per frame of the winning path.
    """

    beats_s: NDArray[np.float64]
    positions: NDArray[np.int64]
    beats_per_bar: int
    log_likelihood: float


class _Step(Protocol):
    def __call__(self, data: object) -> NDArray[np.float32]: ...


class _Chain(Protocol):
    processors: Sequence[_Chain]

    def __call__(self, data: object) -> NDArray[np.float32]: ...


class _Hmm(Protocol):
    transition_model: _Transition
    observation_model: _Observation

    def viterbi(self, observations: NDArray[np.float32]) -> tuple[NDArray[np.uint32], float]: ...


class _Transition(Protocol):
    state_space: _States


class _States(Protocol):
    state_positions: NDArray[np.float64]


class _Observation(Protocol):
    pointers: NDArray[np.uint32]


class _Decoder(Protocol):
    hmms: Sequence[_Hmm]
    threshold: float


def is_installed() -> bool:
    """Whether a madmom package is there (it may still fail to load)."""
    return importlib.util.find_spec("madmom") is not None


def model_folder() -> Path | None:
    """The folder of madmom's trained models, without importing madmom; None if not there."""
    spec = importlib.util.find_spec("madmom")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    return folder if folder.is_dir() else None


def load(module: str) -> types.ModuleType:
    """Import a module of madmom, ``load("features.key")``.

    Raises:
        MissingDependency: madmom is absent, was built for another numpy, or lacks its models.
    """
    name = f"madmom.{module}"
    if name in sys.modules:
        return sys.modules[name]
    if not is_installed():
        raise MissingDependency("The package madmom is not installed.", hint=_HINT)
    with _lock, _names_of_old(), quiet():
        try:
            return importlib.import_module(name)
        except (ImportError, AttributeError, ValueError) as error:
            raise MissingDependency(
                f"The package madmom is there but does not load: {error}.", hint=_HINT
            ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what madmom is known to warn about, and nothing else."""
    with warnings.catch_warnings():
        for module in (r"madmom\..*", r"scipy\..*"):
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
        warnings.filterwarnings("ignore", message=".*scipy.ndimage.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*distutils Version.*")
        warnings.filterwarnings("ignore", message=".*align should be passed.*")
        yield


def activations(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Beat and downbeat activations.

    Args:
        signal: (frames,) mono at 44 100 Hz.

    Returns:
        (frames at 100 per second, 2) probability [0, 1] of beat, downbeat.

    Raises:
        MissingDependency: madmom or its models are missing.
    """
    load("features.downbeats")
    with quiet():
        features, networks = _downbeat_model()
        probabilities = networks(features(_sound(signal)))
    return np.ascontiguousarray(probabilities[:, 1:], dtype=np.float32)


def key_probabilities(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """(24,) probability of each key in the order of :func:`key_labels`.

    Args:
        signal: (frames,) mono at 44 100 Hz.

    Raises:
        MissingDependency: madmom or its models are missing.
    """
    load("features.key")
    with quiet():
        steps = _key_model().processors
        data = _sound(signal)
        for step in steps[:4]:
            data = step(data)
        network = cast(Network, steps[4].processors[0].processors[0])
        scores = run_convolutional(network, np.asarray(data, dtype=np.float32))
        exponentials = np.exp(scores - scores.max())
    return np.asarray(exponentials / exponentials.sum(), dtype=np.float32).reshape(-1)


def key_labels() -> list[str]:
    """Names of the 24 keys, ``A major`` …, in the order of the key model's output."""
    return list(load("features.key").KEY_LABELS)


def decode(
    activation: NDArray[np.float32],
    *,
    beats_per_bar: Sequence[int] = (3, 4),
    tempo_range_bpm: tuple[float, float] = (50.0, 215.0),
) -> DecodedBeats:
    """The most probable beats behind ``activation`` (dynamic Bayesian network, Viterbi).

    Args:
        activation: (frames, 2) from :func:`activations`.
        beats_per_bar: metres to try; the most probable wins.
        tempo_range_bpm: slowest and fastest tempo.

    Returns:
        The beats; none when no activation reaches the threshold.
    """
    module = load("features.downbeats")
    with quiet():
        decoder = cast(
            _Decoder,
            module.DBNDownBeatTrackingProcessor(
                beats_per_bar=list(beats_per_bar),
                min_bpm=tempo_range_bpm[0],
                max_bpm=tempo_range_bpm[1],
                fps=ACTIVATION_FPS,
            ),
        )
        return _decode(decoder, activation, beats_per_bar)


def bounded(activation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Activations as proper probabilities: no zeros, and something left for "no beat"."""
    inner = np.maximum(activation, LEAST_PROBABILITY)
    total = inner.sum(axis=1, keepdims=True)
    most = 1 - LEAST_PROBABILITY
    return np.ascontiguousarray(np.where(total > most, inner * (most / total), inner), np.float32)


def _decode(
    decoder: _Decoder, activation: NDArray[np.float32], beats_per_bar: Sequence[int]
) -> DecodedBeats:
    """What ``DBNDownBeatTrackingProcessor.process`` does, without its ragged array."""
    loud = np.flatnonzero((activation >= decoder.threshold).any(axis=1))
    if loud.size < 2:
        return DecodedBeats(np.empty(0), np.empty(0, np.int64), beats_per_bar[-1], -np.inf)
    first, last = int(loud[0]), int(loud[-1]) + 1
    heard = bounded(activation[first:last])
    results = [hmm.viterbi(heard) for hmm in decoder.hmms]
    best = int(np.argmax([log_probability for _, log_probability in results]))
    path, log_probability = results[best]
    hmm = decoder.hmms[best]
    position = hmm.transition_model.state_space.state_positions[path].astype(np.int64)
    frames = _peaks(hmm.observation_model.pointers[path] >= 1, heard.max(axis=1))
    beats_s = (frames + first) / float(ACTIVATION_FPS)
    metre = int(beats_per_bar[best])
    return DecodedBeats(beats_s, position[frames], metre, log_probability / heard.shape[0])


def _peaks(in_beat: NDArray[np.bool_], strength: NDArray[np.float32]) -> NDArray[np.int64]:
    """Frame of the strongest activation inside every run of beat states."""
    edges = np.flatnonzero(np.diff(np.r_[0, in_beat.astype(np.int8), 0]))
    return np.array(
        [left + int(np.argmax(strength[left:right])) for left, right in edges.reshape(-1, 2)],
        dtype=np.int64,
    )


def _sound(signal: NDArray[np.float32]) -> object:
    kind = load("audio.signal").Signal
    return cast(object, kind(signal, sample_rate=MODEL_RATE_HZ, num_channels=1))


def _downbeat_model() -> tuple[_Step, BatchedLstms]:
    """Features and networks of this thread."""
    model = cast(tuple[_Step, BatchedLstms] | None, getattr(_local, "downbeats", None))
    if model is None:
        features, ensemble, _ = load("features.downbeats").RNNDownBeatProcessor().processors
        model = (features, BatchedLstms(ensemble.processors[0].processors))
        _local.downbeats = model
    return model


def _key_model() -> _Chain:
    """Key processors of this thread."""
    model = cast(_Chain | None, getattr(_local, "key", None))
    if model is None:
        model = cast(_Chain, load("features.key").CNNKeyRecognitionProcessor())
        _local.key = model
    return model


@contextlib.contextmanager
def _names_of_old() -> Iterator[None]:
    """The names that madmom expects; those it only needs while importing go away again."""
    for name in _ABC_NAMES:
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    for name, builtin in _NUMPY_NAMES.items():
        if name not in np.__dict__:
            setattr(np, name, builtin)
    stand_in = importlib.util.find_spec("pkg_resources") is None
    if stand_in:
        resources = types.ModuleType("pkg_resources")
        resources.get_distribution = importlib.metadata.distribution  # type: ignore[attr-defined]  # what madmom asks of it
        sys.modules["pkg_resources"] = resources
    try:
        yield
    finally:
        if stand_in:
            sys.modules.pop("pkg_resources", None)
