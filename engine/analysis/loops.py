"""The beat grid of a loop: a short file whose length is a whole number of beats.

A loop is made to follow itself, so it is tracked on a tiled copy (networks need several bars of
context), and then its length decides: among the beat counts that loops have, the one is taken
whose tempo agrees best with the tracker, with the attacks, with the preference for middle tempi
and with a stated tempo. The tempo is then exact: beats divided by length. Files whose length is no
whole number of beats keep the tracked tempo: a tail was left on, or they were cut from longer
music, which shows when attacks lie on the tracker's sixteenths and not on those of any whole count.
A stated tempo that the length confirms to about 1 % is believed to the letter; what the file is
longer is an encoder's padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.attacks import ATTACK_RATE_HZ, Attacks, attack_function
from engine.analysis.beats import (
    FEWEST_BEATS,
    SILENT_PEAK,
    BeatTracker,
    TrackedBeats,
    check_tempo,
    default_tracker,
    mono_at,
)
from engine.analysis.records import TempoEstimate, TempoHypothesis
from engine.analysis.tempo import settle_octave, tempo_preference
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.grid import BeatGrid

__all__ = ["LOOP_BEATS", "TrackedLoop", "track_loop"]

#: Beat counts that loops have, with how common each is: powers of two of bars first.
LOOP_BEATS: Final = {
    2: 0.5, 4: 1.0, 6: 0.3, 8: 1.0, 12: 0.4, 16: 1.0, 20: 0.15, 24: 0.4, 28: 0.15, 32: 1.0,
    40: 0.15, 48: 0.4, 56: 0.15, 64: 1.0, 96: 0.3, 128: 1.0, 192: 0.3, 256: 0.8,
}  # fmt: skip
#: Tempi that loops have [BPM].
LOOP_RANGE_BPM: Final = (60.0, 190.0)
#: The tracker hears at least this much, tiled [s]: about eight bars.
TILED_S: Final = 16.0
#: Share by which the tracker's tempo and a whole-count tempo may differ and still agree.
AGREEMENT_SHARE: Final = 0.03
#: A stated tempo must be met this closely; names are rounded to whole BPM.
STATED_SHARE: Final = 0.012
#: Weight of agreement with the tracker against a count without it.
TRACKER_GAIN: Final = 6.0
#: A tempo near the tracker's is looked for this far on either side [share].
RIVAL_REACH_SHARE: Final = 0.04
#: How much better attacks must lie on its sixteenths before it is believed against the length. Of
#: 86 real loops (40 found, 46 cut out of songs by whole bars) two are refused, both counted
#: wrongly; of 106 excerpts cut anywhere 97.
RIVAL_MARGIN: Final = 0.3
#: A tempo found on a raster makes so nearly a whole number of beats where it should [beats].
WHOLE_BEATS: Final = 0.0625
#: Attacks that lie so well on sixteenths say where these are.
COHERENT: Final = 0.5
#: Attacks that lie so well on a tempo's sixteenths speak for it; by lot they come to less.
SUPPORTED: Final = 0.25
#: The file begins on a beat when a sixteenth lies this near to its first attack [s].
ON_BEAT_S: Final = 0.012
#: Attacks that count for that [dB over three bands].
AUDIBLE_RISE_DB: Final = 20.0
#: An attack this late, but before a fifth of a beat, is an encoder's delay: the grid starts there.
LEAST_LEAD_IN_S: Final = 0.008
LEAD_IN_BEATS: Final = 0.2
#: Attacks from here on start the loop [dB over three bands].
FIRST_ATTACK_DB: Final = 40.0
#: Shortest file that can be a loop [s].
SHORTEST_LOOP_S: Final = 0.25


@dataclass(frozen=True, eq=False)
class TrackedLoop:
    """A loop's grid.

    Args:
        grid: constant tempo, beat 0 at the start of the loop.
        tempo: with the other beat counts as hypotheses.
        confidence: [0, 1].
        tracker: name of the tracker that was asked.
        whole: the length is a whole number of beats.
        begins_on_beat: beat 0 is where the file begins; else ``grid`` has the tempo alone.
        notes: what a person should know of it.
    """

    grid: BeatGrid
    tempo: TempoEstimate
    confidence: float
    tracker: str
    whole: bool
    begins_on_beat: bool = True
    notes: tuple[str, ...] = ()


def track_loop(
    waveform: Waveform,
    *,
    tempo_hint_bpm: float | None = None,
    tracker: BeatTracker | None = None,
) -> TrackedLoop:
    """The grid of a loop.

    Args:
        waveform: the loop, from its first beat to its end.
        tempo_hint_bpm: a stated tempo (from the file's name), believed to about 1 %.
        tracker: by default :func:`~engine.analysis.beats.default_tracker`.

    Raises:
        UnusableInput: silent, or shorter than a quarter of a second.
    """
    signal = mono_at(waveform, ATTACK_RATE_HZ)
    if tempo_hint_bpm is not None:
        check_tempo(tempo_hint_bpm)
    _check(signal, waveform.duration_s)
    attacks = attack_function(signal)
    tracked = settle_octave((tracker or default_tracker()).track(_tiled(signal)))
    weights = _count_weights(waveform.duration_s, attacks, tracked, tempo_hint_bpm)
    beats = max(weights, key=lambda count: weights[count], default=0)
    rival_bpm = None
    if weights and tempo_hint_bpm is None:
        rival_bpm = _rival_bpm(attacks, tracked, beats, waveform.duration_s)
    if rival_bpm is not None and _is_count_of(rival_bpm, beats, waveform.duration_s):
        rival_bpm = None  # the loop's own tempo, counted otherwise
    if not weights or rival_bpm:
        bpm = tempo_hint_bpm or rival_bpm or _tracked_bpm(tracked) or 120.0
        tempo = TempoEstimate(bpm, 0.5 if tempo_hint_bpm else tracked.confidence / 2, (), True)
        lead_in_s = _lead_in_s(attacks, bpm)
        grid = _constant(tempo, lead_in_s, waveform.duration_s, 4)
        on_beat = _begins_on_beat(attacks, bpm, lead_in_s)
        notes = ("The length is not a whole number of beats.",)
        return TrackedLoop(grid, tempo, tempo.confidence, tracked.tracker, False, on_beat, notes)
    bpm = tempo_hint_bpm or 60.0 * beats / waveform.duration_s
    tempo = _estimate(bpm, weights, waveform.duration_s)
    length_s = beats * 60.0 / bpm
    surplus_s = waveform.duration_s - length_s
    start_s = _lead_in_s(attacks, bpm) if surplus_s > LEAST_LEAD_IN_S else 0.0
    start_s = start_s if start_s <= surplus_s else 0.0
    metre = 3 if beats % 4 and beats % 3 == 0 else 4
    grid = _constant(tempo, start_s, start_s + length_s, metre)
    alone = tempo_hint_bpm is None and not _supported(attacks, tracked, bpm)
    notes = ("The tempo rests on the length alone; `dawlink set ID --tempo` states it.",)
    return TrackedLoop(
        grid, tempo, tempo.confidence, tracked.tracker, True, notes=notes if alone else ()
    )


def _constant(tempo: TempoEstimate, start_s: float, end_s: float, beats_per_bar: int) -> BeatGrid:
    return BeatGrid.constant(
        tempo.bpm,
        downbeat_s=start_s,
        start_s=0.0,
        end_s=end_s,
        beats_per_bar=beats_per_bar,
        confidence=tempo.confidence,
    )


def _check(signal: NDArray[np.float32], duration_s: float) -> None:
    if duration_s < SHORTEST_LOOP_S:
        raise UnusableInput(
            f"The loop is {duration_s * 1000:.0f} ms long; {SHORTEST_LOOP_S * 1000:.0f} ms is the "
            "least.",
            hint="Was a single hit given instead of a loop?",
            code="too_short",
        )
    if float(np.max(np.abs(signal), initial=0.0)) < SILENT_PEAK:
        raise UnusableInput("The loop is silent.", hint="Check the file.", code="silent")


def _tiled(signal: NDArray[np.float32]) -> Waveform:
    """The loop repeated to at least :data:`TILED_S`, at most four minutes."""
    times = max(int(np.ceil(TILED_S * ATTACK_RATE_HZ / signal.size)), 1)
    tiled = np.tile(signal, times)[: 240 * ATTACK_RATE_HZ]
    return Waveform(np.ascontiguousarray(tiled[None], dtype=np.float32), ATTACK_RATE_HZ)


def _count_weights(
    duration_s: float, attacks: Attacks, tracked: TrackedBeats, stated_bpm: float | None
) -> dict[int, float]:
    """Weight of every possible beat count; empty when the length is no whole number of beats."""
    heard_bpm = _tracked_bpm(tracked)
    weights = {}
    for count, common in LOOP_BEATS.items():
        bpm = 60.0 * count / duration_s
        if stated_bpm is not None and abs(bpm / stated_bpm - 1) > STATED_SHARE:
            continue
        if stated_bpm is None and not LOOP_RANGE_BPM[0] <= bpm <= LOOP_RANGE_BPM[1]:
            continue
        weight = common * tempo_preference(bpm) ** 2 * (0.2 + _attacks_on_grid(attacks, bpm))
        weights[count] = weight * _tracker_factor(bpm, heard_bpm, tracked.confidence)
    return weights


def _tracker_factor(bpm: float, heard_bpm: float | None, confidence: float) -> float:
    """How much the tracker speaks for this tempo; half and double tempo get half of it."""
    if heard_bpm is None:
        return 1.0
    octaves = np.log2(bpm / heard_bpm)
    octave = abs(round(float(octaves)))
    if octave > 1 or abs(octaves - round(float(octaves))) > np.log2(1 + AGREEMENT_SHARE):
        return 1.0
    return 1.0 + TRACKER_GAIN * confidence / (1 + octave)


def _rival_bpm(
    attacks: Attacks, tracked: TrackedBeats, beats: int, duration_s: float
) -> float | None:
    """A tempo near the tracker's on whose sixteenths attacks lie, when they miss the count's."""
    heard_bpm = _tracked_bpm(tracked)
    if heard_bpm is None:
        return None
    slowest, fastest = LOOP_RANGE_BPM
    best_bpm, best = None, abs(_sixteenths(attacks, 60.0 * beats / duration_s)) + RIVAL_MARGIN
    for octave in (0.5, 1.0, 2.0):
        centre = heard_bpm * octave
        # a step moves the last attack by a tenth of a sixteenth
        share = min(0.002, 1.5 / (centre * duration_s))
        for step in np.arange(-RIVAL_REACH_SHARE, RIVAL_REACH_SHARE + share / 2, share):
            bpm = centre * (1 + float(step))
            coherence = abs(_sixteenths(attacks, bpm)) if slowest <= bpm <= fastest else 0.0
            if coherence > best:
                best_bpm, best = bpm, coherence
    return best_bpm


def _is_count_of(bpm: float, beats: int, duration_s: float) -> bool:
    """Whether a tempo is that of ``beats`` in the file, or of twice or half as many."""
    heard = bpm * duration_s / 60.0
    return any(abs(heard - beats * times) < WHOLE_BEATS for times in (0.5, 1.0, 2.0))


def _supported(attacks: Attacks, tracked: TrackedBeats, bpm: float) -> bool:
    """Whether tracker or attacks speak for a tempo that the length allows."""
    agrees = _tracker_factor(bpm, _tracked_bpm(tracked), 1.0) > 1.0
    return agrees or abs(_sixteenths(attacks, bpm)) > SUPPORTED


def _sixteenths(attacks: Attacks, bpm: float) -> complex:
    """How well attacks lie on sixteenths: length 1 all of them; its angle says where these are."""
    loud = np.flatnonzero(attacks.rise_db > AUDIBLE_RISE_DB)
    strength = attacks.rise_db[loud].astype(np.float64)
    total = float(strength.sum())
    if total == 0:
        return 0j
    turns = np.exp(2j * np.pi * (loud + 0.5) * attacks.step_s * bpm / 15.0)
    return complex((strength * turns).sum() / total)


def _begins_on_beat(attacks: Attacks, bpm: float, lead_in_s: float) -> bool:
    """Whether nothing speaks against a beat where the file begins."""
    sixteenths = _sixteenths(attacks, bpm)
    if abs(sixteenths) < COHERENT:
        return True
    sixteenth_s = 15.0 / bpm
    late_s = float(np.angle(sixteenths)) / (2 * np.pi) * sixteenth_s - lead_in_s
    late_s -= sixteenth_s * round(late_s / sixteenth_s)
    return abs(late_s) < ON_BEAT_S


def _attacks_on_grid(attacks: Attacks, bpm: float) -> float:
    """Share [0, 1] of the attack strength near sixteenths that falls on whole beats."""
    sixteenth_s = 15.0 / bpm
    count = max(int(attacks.rise_db.size * attacks.step_s / sixteenth_s), 1)
    times = sixteenth_s * np.arange(count, dtype=np.float64)
    strength = attacks.near(times, reach_s=0.02, spread_s=0.01).strength
    total = float(strength.sum())
    return float(strength[::4].sum()) / total if total > 0 else 0.25


def _tracked_bpm(tracked: TrackedBeats) -> float | None:
    """Tempo over the whole tiled copy: its raster of 10 ms averages out."""
    if tracked.beats_s.size < FEWEST_BEATS:
        return None
    period = float(np.median(np.diff(tracked.beats_s)))
    number = np.cumsum(np.rint(np.diff(tracked.beats_s, prepend=tracked.beats_s[0]) / period))
    slope, _ = np.polyfit(number, tracked.beats_s, 1)
    return 60.0 / float(slope)


def _estimate(bpm: float, weights: dict[int, float], duration_s: float) -> TempoEstimate:
    total = sum(weights.values())
    hypotheses = sorted(
        (
            TempoHypothesis(60 * count / duration_s, 60 * count / duration_s / bpm, w / total)
            for count, w in weights.items()
        ),
        key=lambda hypothesis: -hypothesis.weight,
    )
    return TempoEstimate(bpm, hypotheses[0].weight, tuple(hypotheses), True)


def _lead_in_s(attacks: Attacks, bpm: float) -> float:
    """Time of the first attack if it is a little late, else 0."""
    loud = np.flatnonzero(attacks.rise_db > FIRST_ATTACK_DB)
    if loud.size == 0:
        return 0.0
    reach = round(0.01 / attacks.step_s)
    first = int(loud[0]) + int(np.argmax(attacks.rise_db[loud[0] : loud[0] + reach]))
    first_s = first * attacks.step_s
    return first_s if LEAST_LEAD_IN_S < first_s < LEAD_IN_BEATS * 60.0 / bpm else 0.0
