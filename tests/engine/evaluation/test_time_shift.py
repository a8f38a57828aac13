from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.plots import draw_report
from engine.evaluation.report import Report
from engine.evaluation.time_shift import shifted_cosines, time_shift_tasks
from engine.models.audio_source import Recording, Sound
from engine.models.registry import load_ranker
from engine.theory import Role
from tests.engine.evaluation.material import Stub, song

COLUMNS = 60


def moments(seed: int) -> NDArray[np.float32]:
    """(60, 32) random unit vectors: no two moments are alike."""
    rows = np.random.default_rng(seed).standard_normal((COLUMNS, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def silent(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
    return np.zeros(round((end_s - start_s) * sample_rate), dtype=np.float32)


def heard(passage: Passage, key: str) -> Passage:
    edges = np.arange(passage.rows.size + 1) * 0.5
    sound = Sound(Recording(key, silent), np.stack([edges[:-1], edges[1:]], axis=1))
    return replace(passage, sound=sound)


class Sums:
    """A sum is named by its song."""

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        return heard(song.stems[parts[0]], song.id)


class Late(Stub):
    """A reader of whole songs that expects everything ``late`` columns before it comes."""

    name = "late"
    column_s = 1.0

    def __init__(self, late: int) -> None:
        self.late = late

    def song_scores(
        self, queries: Sequence[tuple[Sound, Role]], items: Sequence[Sound]
    ) -> NDArray[np.float64]:
        return np.zeros((len(queries), len(items)))

    def song_columns(self, sound: Sound, role: Role | None = None) -> NDArray[np.float32]:
        found = moments(int(sound.recording.key.lstrip("g")))
        return found if role is None else np.roll(found, -self.late, axis=0)


def songs() -> list[EvaluationSong]:
    made = []
    for number in range(3):
        plain = song(number, parts=("drums", "other"))
        stems = {role: heard(stem, plain.id) for role, stem in plain.stems.items()}
        made.append(replace(plain, stems=stems))
    return made


def test_cosines_of_shifted_rows() -> None:
    one = moments(0)
    found = shifted_cosines(one, np.roll(one, 2, axis=0), 3)
    assert found.shape == (7,)
    assert found.argmax() == 5  # read two columns later
    assert found[5] == pytest.approx(1.0, abs=1e-5)


def test_the_curve_peaks_at_no_shift_above_other_songs() -> None:
    (task,) = time_shift_tasks(songs(), Sums(), [load_ranker("random"), Late(0)], seed=0)
    (result,) = task.results
    assert (result.model, result.overall.queries, result.overall.r1) == ("late", 6, 1.0)
    assert task.items == 33
    assert [curve.role for curve in result.curves] == ["drums", "other"]
    for curve in result.curves:
        assert curve.unit == "s"
        assert curve.shifts[16] == 0.0
        assert curve.score[16] == pytest.approx(1.0, abs=1e-5)
        assert np.delete(curve.score, 16).max() < 0.2
        assert curve.baseline == pytest.approx(0.0, abs=0.1)


def test_a_model_that_expects_too_early_has_its_peak_there() -> None:
    (task,) = time_shift_tasks(songs(), Sums(), [Late(5)], seed=0)
    curve = task.results[0].curves[0]
    assert curve.shifts[curve.score.argmax()] == 5.0
    assert task.results[0].overall.r1 == 0.0


def test_without_a_reader_or_long_songs_there_is_nothing() -> None:
    assert time_shift_tasks(songs(), Sums(), [load_ranker("random")], seed=0) == []
    short = Late(0)
    short.column_s = 0.5  # 33 columns either way are more than the songs have
    assert time_shift_tasks(songs(), Sums(), [short], seed=0) == []


def test_songs_without_audio_are_refused() -> None:
    class Features:
        def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
            return song.stems[parts[0]]

    with pytest.raises(UnusableInput, match="no audio"):
        time_shift_tasks([song(0)], Features(), [Late(0)], seed=0)


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    tasks = time_shift_tasks(songs(), Sums(), [Late(0)], seed=0)
    report = Report("alignment", ("a",), tuple(tasks))
    written = draw_report(report, tmp_path)
    assert [path.name for path in written] == ["alignment.png", "time-shift-curves.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
