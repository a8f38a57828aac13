"""Rubber Band's R3 engine, steered hop by hop along a warp map.

The engine runs in its real-time mode, where a new time ratio holds from the next hop. It takes
exactly the frames that it asks for, which is one hop, so it is known at every moment which clip
frame the next window is centred on; the output lies within 3 frames of where the ratios so far
have taken it. Each new ratio aims from there at the end of the next segment, and lateness (a
ratio changes up to one hop, 6 ms, after its anchor) does not add up. Frames are those of the
clip and of the stretched result, both at the working rate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.warp import SLOPE_RANGE, WarpMap

if TYPE_CHECKING:
    from pylibrb import RubberBandStretcher

__all__ = ["new_engine", "put", "steer"]

#: A new ratio aims at least this far ahead [frames], so that crowded anchors cannot jerk it.
_HORIZON_FRAMES: Final = 512.0


def new_engine(
    channels: int, rate: int, slope: float, *, keep_formants: bool, draft: bool = False
) -> RubberBandStretcher:
    """A fresh R3 engine in real-time mode that begins with ``slope``.

    A ``draft`` uses one window length where R3 mixes three: twice as fast, a little rougher.
    """
    from pylibrb import Option, RubberBandStretcher

    options = Option.PROCESS_REALTIME | Option.ENGINE_FINER | Option.CHANNELS_TOGETHER
    if keep_formants:
        options |= Option.FORMANT_PRESERVED
    if draft:
        options |= Option.WINDOW_SHORT
    return RubberBandStretcher(rate, channels, options, slope, 1.0)


def steer(
    engine: RubberBandStretcher,
    clip: NDArray[np.float32],
    warp: WarpMap,
    frames: int,
    *,
    watch: Callable[[float], None] = lambda _share: None,
) -> NDArray[np.float32]:
    """Warp ``clip`` hop by hop into exactly ``frames`` frames.

    ``watch`` is told the share [0, 1] that is done at every hop, and may raise to stop the work.

    The engine's windows are centred: a window that begins at clip frame ``c`` and is emitted at
    output frame ``e`` puts clip frame ``c + window / 2`` at ``e + window / 2``.
    """
    window = engine.get_samples_required()
    steering = _Steering(warp, window / 2)
    result = np.zeros((clip.shape[0], frames), dtype=np.float32)
    written = round(steering.intended - window / 2)
    fed, needed = 0, window
    while written < frames and fed < clip.shape[1]:
        watch(fed / clip.shape[1])
        slope = steering.new_slope()
        if slope is not None:
            engine.time_ratio = slope
        block = np.ascontiguousarray(clip[:, fed : fed + needed])
        engine.process(block)
        fed += block.shape[1]
        if engine.available() > 0:
            written = put(result, engine.retrieve_available(), written)
        needed = max(engine.get_samples_required(), 1)
        steering.advance(fed + needed - window / 2)
    return result


class _Steering:
    """Knows where the engine is and which slope takes it to the next anchor."""

    def __init__(self, warp: WarpMap, centre: float) -> None:
        self._warp = warp
        self._points: list[float] = warp.source.tolist()
        self._centre = centre
        self._slope = 1.0
        self._until = -1.0
        #: Output frame of the clip frame at the centre of the next window.
        self.intended = warp.target_at(centre)

    def new_slope(self) -> float | None:
        """The slope for the next hops, or None as long as the last one holds."""
        if self._centre < self._until:
            return None
        following = bisect_right(self._points, self._centre)
        last = following >= len(self._points)
        anchor = float("inf") if last else self._points[following]
        ahead = (
            self._centre + _HORIZON_FRAMES if last else max(anchor, self._centre + _HORIZON_FRAMES)
        )
        slope = (self._warp.target_at(ahead) - self.intended) / (ahead - self._centre)
        self._until = ahead
        self._slope = min(max(slope, SLOPE_RANGE[0]), SLOPE_RANGE[1])
        return self._slope

    def advance(self, centre: float) -> None:
        """The next window is centred on this clip frame."""
        self.intended += self._slope * (centre - self._centre)
        self._centre = centre


def put(target: NDArray[np.float32], block: NDArray[np.float32], at: int) -> int:
    """Copy what of ``block`` falls inside ``target`` at frame ``at``; the frame after it."""
    end = at + int(block.shape[1])
    low, high = max(at, 0), min(end, target.shape[1])
    if low < high:
        target[:, low:high] = block[:, low - at : high - at]
    return end
