"""Where sounds begin, to half a millisecond.

Beat trackers quantise to 10 ms and drift around the attack; a render needs the attack itself. The
attack function compares, band by band, the energy in a short window *after* each instant with the
energy in the window *before* it. The ratio is largest exactly where a sound starts: earlier, the
later window still holds some of the old quiet; later, the earlier window already holds some of the
sound. (The same idea picks arrivals in seismology: Allen, BSSA 1978, short- and long-term
averages.) Filters are causal, so nothing rings ahead of an attack.

Times are seconds; the function has one value per :data:`HOP_SAMPLES` samples at 44.1 kHz (0.5 ms).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATTACK_RATE_HZ", "Attacks", "Picks", "attack_function"]

#: The function is computed on mono audio at this rate [Hz].
ATTACK_RATE_HZ: Final = 44_100
#: Resolution of the attack function: 22 samples = 0.499 ms.
HOP_SAMPLES: Final = 22
#: Band edges [Hz]: body of kicks and basses, body of snares and voices, noise of hats and sticks.
BAND_EDGES_HZ: Final = (180.0, 2500.0)
#: Windows before and after the instant [s] for each band; low sounds take longer to show.
AFTER_S: Final = (0.012, 0.006, 0.005)
BEFORE_S: Final = (0.015, 0.012, 0.010)
#: Energy this far below the band's loud parts (95th percentile) counts as silence [dB].
FLOOR_DB: Final = -50.0
#: A rise by more than this in one band says no more than "certainly" [dB]; what lies further below
#: the loudest moment counts as silence too.
RISE_LIMIT_DB: Final = 60.0

#: Once an attack is chosen with regard to nearness, its own peak is searched this far around [s].
CLIMB_S: Final = 0.003


@dataclass(frozen=True, eq=False)
class Picks:
    """One attack per asked time.

    Args:
        times_s: (n,) seconds of the attack (the asked time where there is none).
        strength: (n,) rise summed over bands [dB], 0 where nothing starts.
    """

    times_s: NDArray[np.float64]
    strength: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attacks:
    """The attack function of one signal.

    Args:
        rise_db: (steps,) energy rise summed over three bands [dB, 0 to 180].
        step_s: seconds per step.
    """

    rise_db: NDArray[np.float32]
    step_s: float

    def near(self, times_s: NDArray[np.float64], *, reach_s: float, spread_s: float) -> Picks:
        """The strongest attack near each time, nearer ones preferred.

        Args:
            times_s: (n,) seconds.
            reach_s: how far to look on either side.
            spread_s: standard deviation of the preference for nearness.
        """
        reach = round(reach_s / self.step_s)
        offsets = np.arange(-reach, reach + 1)
        nearness = np.exp(-0.5 * (offsets * self.step_s / spread_s) ** 2)
        centre = np.rint(times_s / self.step_s).astype(np.int64)
        index = centre[:, None] + offsets[None, :]
        inside = (index >= 0) & (index < self.rise_db.size)
        rise = np.where(inside, self.rise_db[np.clip(index, 0, self.rise_db.size - 1)], 0.0)
        climb = np.abs(offsets[None, :] - offsets[np.argmax(rise * nearness, axis=1), None])
        best = np.argmax(np.where(climb <= round(CLIMB_S / self.step_s), rise, -1.0), axis=1)
        strength = np.take_along_axis(rise, best[:, None], axis=1)[:, 0]
        found = (centre + offsets[best] + 0.5) * self.step_s
        return Picks(np.where(strength > 0, found, times_s), strength.astype(np.float64))


def attack_function(signal: NDArray[np.float32]) -> Attacks:
    """Energy rise at every half millisecond.

    Args:
        signal: (frames,) mono at 44 100 Hz.
    """
    from scipy.signal import butter, sosfilt

    low_hz, high_hz = BAND_EDGES_HZ
    filters = (
        butter(2, low_hz, "lowpass", fs=ATTACK_RATE_HZ, output="sos"),
        butter(1, (low_hz, high_hz), "bandpass", fs=ATTACK_RATE_HZ, output="sos"),
        butter(2, high_hz, "highpass", fs=ATTACK_RATE_HZ, output="sos"),
    )
    step_s = HOP_SAMPLES / ATTACK_RATE_HZ
    steps = signal.size // HOP_SAMPLES
    total = np.zeros(steps, dtype=np.float32)
    if steps == 0:
        return Attacks(total, step_s)
    for sos, before_s, after_s in zip(filters, BEFORE_S, AFTER_S, strict=True):
        band = np.square(sosfilt(sos, signal)[: steps * HOP_SAMPLES], dtype=np.float64)
        energy = band.reshape(steps, HOP_SAMPLES).mean(axis=1)
        total += _rise_db(energy, round(before_s / step_s), round(after_s / step_s))
    return Attacks(total, step_s)


def _rise_db(energy: NDArray[np.float64], before: int, after: int) -> NDArray[np.float32]:
    """Energy after each step against energy before it, in dB, quiet parts and falls set to 0."""
    loud = float(np.quantile(energy, 0.95))
    peak = float(energy.max())
    floor = max(loud * 10 ** (FLOOR_DB / 10), peak * 10 ** (-RISE_LIMIT_DB / 10), 1e-12)
    padded = np.concatenate([np.zeros(before), energy, np.zeros(after)])
    total = np.concatenate([[0.0], np.cumsum(padded)])
    start = np.arange(energy.size) + before
    following = (total[start + after] - total[start]) / after
    preceding = (total[start] - total[start - before]) / before
    rise = 10 * np.log10((following + floor) / (preceding + floor))
    return np.asarray(np.clip(rise, 0, RISE_LIMIT_DB), dtype=np.float32)
