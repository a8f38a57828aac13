"""How right the analysis is on real recordings: ``python -m benchmarks.accuracy``.

Two tables. *Mixes*: full recordings with an annotated constant grid (tier A) or a stated tempo or
key. *Stems*: multitrack songs with a tempo stated by their makers, analysed as ``add`` would.

- beat F-measure: mir_eval, tolerance 70 ms, beats of the first 5 s left out, against the constant
  grid of tier A rows; *any octave* counts the best of the found beats, every second of them (either
  phase) and the beats with their midpoints, so it forgives the count but not the phase.
- tempo accuracy 1: within 4 % of the stated tempo (else the measured one); accuracy 2: also of its
  double, triple, half or third (Gouyon et al. 2006).
- key score: mir_eval's weighted score (fifth 0.5, relative 0.3, parallel 0.2). Keys "from notes"
  are derived from transcribed melodies, so they are weak truth and reported apart from stated ones.
- phase: median absolute distance of the found beats from the stated grid, in ms.

The recordings lie in the folder named by ``DAWLINK_TEST_DATA`` (default ``../shared/data``).
Nothing is cached: every run decodes and analyses everything.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import mir_eval
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engine.analysis.beats import default_tracker
from engine.analysis.records import SongAnalysis
from engine.analysis.song import analyse_song
from engine.audio.decode import decode
from engine.audio.waveform import Waveform
from engine.errors import UsageError
from engine.theory import STORED_ROLES, Key, Role

TOLERANCE_S: Final = 0.07
TEMPO_TOLERANCE: Final = 0.04
OCTAVES: Final = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One recording: what was stated, what was found, and the scores (None: no truth)."""

    name: str
    true_bpm: float | None
    found_bpm: float
    confidence: float
    steady: bool
    tier: str
    beat_f: float | None
    beat_f_any_octave: float | None
    phase_ms: float | None
    tempo_1: bool | None
    tempo_2: bool | None
    true_key: str
    found_key: str
    key_score: float | None
    key_is_stated: bool
    methods_agree: bool
    analysis_s: float
    audio_s: float


def main() -> int:
    """Measure, print the tables, and write them as JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mixes", action="store_true", help="only the full mixes")
    parser.add_argument("--stems", action="store_true", help="only the multitrack songs")
    parser.add_argument("--json", type=Path, help="also write all rows and means to this file")
    arguments = parser.parse_args()
    folder = data_folder()
    both = arguments.mixes == arguments.stems
    console = Console(width=150)
    document: dict[str, object] = {"schema": 1, "tracker": default_tracker().name}
    started = time.perf_counter()
    if arguments.mixes or both:
        document["mixes"] = report(console, "mixes", list(mixes(folder / "real_mixes")))
    if arguments.stems or both:
        document["stems"] = report(console, "stems", list(songs(folder / "real_stems")))
    console.print(f"Measured in {time.perf_counter() - started:.0f} s.")
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def data_folder() -> Path:
    """Where the recordings lie; leaves with exit code 6 when they do not."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DAWLINK_TEST_DATA", beside))
    if not (folder / "real_mixes" / "index.csv").is_file():
        print(f"No recordings in {folder}; set DAWLINK_TEST_DATA to them.", file=sys.stderr)
        raise SystemExit(6)
    return folder


def mixes(folder: Path) -> Iterable[Row]:
    """Every full mix of the index."""
    for line in read_index(folder / "index.csv"):
        started = time.perf_counter()
        sound = decode(folder / line["file"])
        found = analyse_song({"mix": sound})
        took_s = time.perf_counter() - started
        stated = bool(line["key"])
        yield row(
            Path(line["file"]).parent.name + "/" + Path(line["file"]).stem,
            found,
            bpm=number(line["bpm"]) or number(line["bpm_measured"]),
            grid_bpm=number(line["bpm_measured"]),
            offset_s=number(line["grid_offset_s"]),
            tier=line["tempo_tier"][:1],
            key=line["key"] or line["key_from_notes"].split(" ")[0],
            key_is_stated=stated,
            took_s=took_s,
        )


def songs(folder: Path) -> Iterable[Row]:
    """Every multitrack song whose tempo is stated."""
    for line in read_index(folder / "songs.csv"):
        if not line["bpm"]:
            continue
        started = time.perf_counter()
        found = analyse_song(stems_of(folder / line["song"]))
        took_s = time.perf_counter() - started
        exact = bool(line["beat_grid_offset_s"])
        yield row(
            line["song"],
            found,
            bpm=number(line["bpm"]),
            grid_bpm=number(line["bpm"]),
            offset_s=number(line["beat_grid_offset_s"]),
            tier="A" if exact else "B",
            key=line["key_stated"],
            key_is_stated=True,
            took_s=took_s,
        )


def stems_of(folder: Path) -> dict[Role, Waveform]:
    """The stems of a song, files of one role summed, in mono at one rate."""
    from engine.audio.resample import resample

    stems: dict[Role, Waveform] = {}
    for role in STORED_ROLES:
        total = np.zeros((1, 0), dtype=np.float32)
        for path in sorted(folder.glob(f"{role}*__*")):
            part = decode(path)
            mono = resample(Waveform(part.mono()[None], part.sample_rate), 44_100).samples
            frames = max(total.shape[1], mono.shape[1])
            total = np.pad(total, ((0, 0), (0, frames - total.shape[1])))
            total[:, : mono.shape[1]] += mono
        if total.size:
            stems[role] = Waveform(total, 44_100)
    return stems


def row(
    name: str,
    found: SongAnalysis,
    *,
    bpm: float | None,
    grid_bpm: float | None,
    offset_s: float | None,
    tier: str,
    key: str,
    key_is_stated: bool,
    took_s: float,
) -> Row:
    """Score one analysis against what is known."""
    beats = found.grid.beats_s
    beats = beats[(beats >= 0) & (beats <= found.duration_s)]
    true = None
    if tier == "A" and grid_bpm and offset_s is not None:
        true = constant_grid(grid_bpm, offset_s, found.duration_s)
    ratio = found.tempo.bpm / bpm if bpm else None
    true_key = parsed_key(key)
    return Row(
        name=name,
        true_bpm=bpm,
        found_bpm=round(found.tempo.bpm, 3),
        confidence=round(found.grid.confidence, 3),
        steady=found.tempo.steady,
        tier=tier,
        beat_f=f_measure(true, [beats]),
        beat_f_any_octave=f_measure(true, octaves_of(beats)),
        phase_ms=phase_ms(true, beats),
        tempo_1=None if ratio is None else near(ratio, (1.0,)),
        tempo_2=None if ratio is None else near(ratio, OCTAVES),
        true_key=str(true_key) if true_key else "",
        found_key=str(found.key.key) if found.key.key else "none",
        key_score=key_score(true_key, found.key.key),
        key_is_stated=key_is_stated,
        methods_agree=found.key.agreement,
        analysis_s=round(took_s, 1),
        audio_s=round(found.duration_s, 1),
    )


def constant_grid(bpm: float, offset_s: float, duration_s: float) -> _Floats:
    """Beats of the stated grid within the file."""
    period_s = 60.0 / bpm
    first = np.ceil(-offset_s / period_s)
    times = offset_s + period_s * np.arange(first, (duration_s - offset_s) / period_s)
    return np.asarray(times[times >= 0])


def octaves_of(beats_s: _Floats) -> list[_Floats]:
    """The beats, both halves of them, and the beats with their midpoints."""
    both = np.sort(np.concatenate([beats_s, (beats_s[1:] + beats_s[:-1]) / 2]))
    return [beats_s, beats_s[::2], beats_s[1::2], both]


def f_measure(true_s: _Floats | None, candidates: Sequence[_Floats]) -> float | None:
    """Best F-measure of the candidates."""
    if true_s is None:
        return None
    trimmed = mir_eval.beat.trim_beats(true_s)
    return max(
        float(
            mir_eval.beat.f_measure(
                trimmed, mir_eval.beat.trim_beats(beats_s), f_measure_threshold=TOLERANCE_S
            )
        )
        for beats_s in candidates
    )


def phase_ms(true_s: _Floats | None, beats_s: _Floats) -> float | None:
    """Median absolute distance of each found beat from the nearest true one."""
    if true_s is None or beats_s.size == 0:
        return None
    distance = np.abs(beats_s[:, None] - true_s[None, :]).min(axis=1)
    return float(1000 * np.median(distance))


def near(ratio: float, multiples: Sequence[float]) -> bool:
    """Whether a tempo ratio is one of the multiples, to 4 %."""
    return any(abs(ratio / multiple - 1) <= TEMPO_TOLERANCE for multiple in multiples)


def parsed_key(text: str) -> Key | None:
    """A key in the index's notation, or None."""
    try:
        return Key.parse(text) if text else None
    except UsageError:
        return None


def key_score(true: Key | None, found: Key | None) -> float | None:
    """mir_eval's weighted key score; a key that was not found scores 0."""
    if true is None:
        return None
    return float(mir_eval.key.weighted_score(str(true), str(found))) if found else 0.0


def report(console: Console, title: str, rows: list[Row]) -> dict[str, object]:
    """Print a table with its means, and give both as plain data."""
    means = summary(rows)
    table = Table(
        "recording", "bpm", "found", "steady", "conf", "F", "F any oct.", "phase ms", "acc1",
        "acc2", "key", "found", "key score", "s / min",
        title=title,
    )  # fmt: skip
    for r in rows:
        table.add_row(
            r.name[:44], text(r.true_bpm), text(r.found_bpm), text(r.steady), text(r.confidence),
            text(r.beat_f), text(r.beat_f_any_octave), text(r.phase_ms), text(r.tempo_1),
            text(r.tempo_2), r.true_key + ("" if r.key_is_stated else " ?" if r.true_key else ""),
            r.found_key + ("" if r.methods_agree else " ~"), text(r.key_score),
            text(60 * r.analysis_s / r.audio_s),
        )  # fmt: skip
    console.print(table)
    console.print("  ".join(f"{name}: {text(value)}" for name, value in means.items()))
    return {"means": means, "rows": [asdict(r) for r in rows]}


def summary(rows: Sequence[Row]) -> dict[str, float | int | None]:
    """Means over the rows that have the truth in question."""
    stated = [r.key_score for r in rows if r.key_is_stated]
    derived = [r.key_score for r in rows if not r.key_is_stated]
    return {
        "recordings": len(rows),
        "beat F": mean(r.beat_f for r in rows),
        "beat F any octave": mean(r.beat_f_any_octave for r in rows),
        "with a grid": sum(r.beat_f is not None for r in rows),
        "tempo accuracy 1": mean(r.tempo_1 for r in rows),
        "tempo accuracy 2": mean(r.tempo_2 for r in rows),
        "key score, stated": mean(stated),
        "stated keys": sum(score is not None for score in stated),
        "key score, from notes": mean(derived),
        "keys from notes": sum(score is not None for score in derived),
    }


def mean(values: Iterable[float | bool | None]) -> float | None:
    """Mean of what is known, or None."""
    known = [float(value) for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def text(value: float | bool | None) -> str:
    """A table cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}"


def number(cell: str) -> float | None:
    """A number of the index, or None where it is empty."""
    return float(cell) if cell else None


def read_index(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV index."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    raise SystemExit(main())
