"""madmom's two networks, computed several times faster and to the same numbers.

madmom steps through its eight bidirectional LSTM networks one frame and one gate at a time, and
convolves one pair of channels at a time. Here all networks and both directions advance together
(one small batched product per frame), and a convolution is one matrix product. Weights, layers and
results are madmom's; outputs agree to about 1e-5 (float32 sums in another order).

LSTM with peepholes: Gers & Schmidhuber, "Recurrent Nets that Time and Count", IJCNN 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchedLstms", "Network", "run_convolutional"]

#: Frames whose input products are computed at once: 16 networks x 2048 x 100 floats = 13 MB.
CHUNK_FRAMES: Final = 2048
#: Frames convolved at once: about 40 MB of patches.
CONVOLVED_FRAMES: Final = 384

_Array = NDArray[np.float32]


class _Gate(Protocol):
    weights: _Array
    bias: _Array
    recurrent_weights: _Array
    peephole_weights: _Array | None


class _Lstm(Protocol):
    input_gate: _Gate
    forget_gate: _Gate
    cell: _Gate
    output_gate: _Gate


class _Layer(Protocol):
    weights: _Array
    bias: _Array
    fwd_layer: _Lstm
    bwd_layer: _Lstm

    def activation_fn(self, data: _Array) -> _Array: ...

    def __call__(self, data: _Array) -> _Array: ...


class Network(Protocol):
    """What is used of madmom's ``NeuralNetwork``."""

    layers: Sequence[_Layer]


@dataclass(frozen=True, eq=False)
class _Stack:
    """One bidirectional layer of all networks; gates in the order input, forget, cell, output.

    Args:
        weights: (2 * networks, inputs, 4 * hidden), forward ones first.
        bias: (2 * networks, 1, 4 * hidden).
        recurrent: (2 * networks, hidden, 4 * hidden).
        peepholes: (2 * networks, 3, hidden) of input, forget and output gate.
    """

    weights: _Array
    bias: _Array
    recurrent: _Array
    peepholes: _Array


class BatchedLstms:
    """An ensemble of equally shaped bidirectional LSTM networks with a softmax layer on top.

    Args:
        networks: madmom's ``NeuralNetwork`` objects.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        depth = len(networks[0].layers) - 1
        self._stacks = [_stack([net.layers[i] for net in networks]) for i in range(depth)]
        top = [net.layers[-1] for net in networks]
        self._top_weights = np.stack([layer.weights for layer in top])
        self._top_bias = np.stack([layer.bias for layer in top])[:, None, :]

    def __call__(self, features: _Array) -> _Array:
        """(frames, inputs) → (frames, classes): mean of the networks' probabilities."""
        data = np.ascontiguousarray(features, dtype=np.float32)[None]
        for stack in self._stacks:
            data = _bidirectional(data, stack)
        scores = data @ self._top_weights + self._top_bias
        weight = np.exp(scores - scores.max(axis=2, keepdims=True))
        return np.asarray((weight / weight.sum(axis=2, keepdims=True)).mean(axis=0))


def run_convolutional(network: Network, spectrogram: _Array) -> _Array:
    """Run a feed-forward network of madmom's with its convolutions as matrix products."""
    data = spectrogram
    for layer in network.layers:
        data = _convolved(layer, data) if _is_convolution(layer) else layer(data)
    return data


def _is_convolution(layer: _Layer) -> bool:
    return type(layer).__name__ == "ConvolutionalLayer"


def _convolved(layer: _Layer, data: _Array) -> _Array:
    """(frames, bins[, channels]) → (frames', bins', features): valid convolution."""
    image = data.astype(np.float32, copy=False)
    image = image[:, :, None] if image.ndim == 2 else image
    rows, columns = layer.weights.shape[2:]
    kernel = layer.weights[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)
    flat = np.ascontiguousarray(kernel).reshape(-1, kernel.shape[3])
    frames = image.shape[0] - rows + 1
    result = np.empty((frames, image.shape[1] - columns + 1, flat.shape[1]), dtype=np.float32)
    for start in range(0, frames, CONVOLVED_FRAMES):
        part = image[start : start + CONVOLVED_FRAMES + rows - 1]
        patches = np.lib.stride_tricks.sliding_window_view(part, (rows, columns), axis=(0, 1))
        matrix = patches.reshape(-1, flat.shape[0])
        result[start : start + patches.shape[0]] = (matrix @ flat).reshape(
            patches.shape[0], patches.shape[1], -1
        )
    return layer.activation_fn(result + layer.bias)


def _stack(layers: Sequence[_Layer]) -> _Stack:
    """Collect a layer's gates; sigmoid ones are halved: sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    lstms = [layer.fwd_layer for layer in layers] + [layer.bwd_layer for layer in layers]
    hidden = lstms[0].cell.bias.size
    halves = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype=np.float32), hidden)

    def joined(name: str) -> _Array:
        rows = [
            [getattr(g, name) for g in (u.input_gate, u.forget_gate, u.cell, u.output_gate)]
            for u in lstms
        ]
        return np.stack([np.concatenate(np.atleast_2d(*row), axis=1) for row in rows]) * halves

    peepholes = np.zeros((len(lstms), 3, hidden), dtype=np.float32)
    for row, lstm in zip(peepholes, lstms, strict=True):
        for target, gate in zip(
            row, (lstm.input_gate, lstm.forget_gate, lstm.output_gate), strict=True
        ):
            if gate.peephole_weights is not None:
                target[:] = 0.5 * gate.peephole_weights
    return _Stack(
        joined("weights"),
        joined("bias"),
        np.ascontiguousarray(joined("recurrent_weights")),
        peepholes,
    )


def _bidirectional(data: _Array, stack: _Stack) -> _Array:
    """(networks or 1, frames, inputs) → (networks, frames, 2 * hidden)."""
    units, hidden = stack.recurrent.shape[:2]
    networks, frames = units // 2, data.shape[1]
    output = np.empty((frames, units, hidden), dtype=np.float32)
    state = np.zeros((units, hidden), dtype=np.float32)
    previous = np.zeros((units, 1, hidden), dtype=np.float32)
    backwards = data[:, ::-1]
    for start in range(0, frames, CHUNK_FRAMES):
        part = slice(start, start + CHUNK_FRAMES)
        driven = np.concatenate(
            [
                data[:, part] @ stack.weights[:networks],
                backwards[:, part] @ stack.weights[networks:],
            ]
        )
        driven = np.ascontiguousarray((driven + stack.bias).transpose(1, 0, 2))
        previous = _advance(driven, stack, state, previous, output[part])
    forward = output[:, :networks].transpose(1, 0, 2)
    backward = output[::-1, networks:].transpose(1, 0, 2)
    return np.concatenate([forward, backward], axis=2)


def _advance(
    driven: _Array, stack: _Stack, state: _Array, previous: _Array, output: _Array
) -> _Array:
    """Step through a chunk; ``state`` and ``output`` are filled in place."""
    units, hidden = state.shape
    recurrent = stack.recurrent
    to_gates, to_output = stack.peepholes[:, :2], np.ascontiguousarray(stack.peepholes[:, 2])
    held = state[:, None, :]
    for frame in range(driven.shape[0]):
        drive = driven[frame]
        drive += np.matmul(previous, recurrent)[:, 0]
        gates = drive.reshape(units, 4, hidden)
        gates[:, :2] += held * to_gates
        np.tanh(gates[:, :3], out=gates[:, :3])
        opened = gates[:, :2]
        opened += 1.0
        opened *= 0.5
        state *= gates[:, 1]
        state += gates[:, 2] * gates[:, 0]
        gate = gates[:, 3]
        gate += state * to_output
        np.tanh(gate, out=gate)
        gate += 1.0
        gate *= 0.5
        np.multiply(np.tanh(state), gate, out=output[frame])
        previous = output[frame][:, None, :]
    return previous
