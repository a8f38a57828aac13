from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import MissingDependency, UnusableInput, UsageError
from engine.evaluation.corpus import of_one_metre
from engine.evaluation.plots import draw_report
from engine.evaluation.protocols import evaluate, parse_protocol, rankers_for
from tests.engine.evaluation.material import Constant, SameLevelMixtures, song
from tests.engine.evaluation.test_huang import sung

PICTURES = {
    "retrieval": ["retrieval.png"],
    "kway": ["kway.png"],
    "huang": ["huang.png", "huang-axes.png"],
    "alignment": ["alignment.png", "alignment-curves.png"],
}


@pytest.mark.parametrize("name", list(PICTURES))
def test_every_protocol_reports_all_models_and_draws_them(name: str, tmp_path: Path) -> None:
    rankers = rankers_for("random,automashupper")
    songs = [sung(0), sung(1)]
    report = evaluate(parse_protocol(name), songs, SameLevelMixtures(), rankers)
    assert report.songs == ("song 0", "song 1")
    for task in report.tasks:
        assert [result.model for result in task.results] == ["random", "automashupper"]
    drawn = draw_report(report, tmp_path)
    assert [path.name for path in drawn] == PICTURES[name]
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_few_songs_are_said_to_be_few() -> None:
    few = evaluate("kway", [song(i, bars=4) for i in range(3)], SameLevelMixtures(), [Constant()])
    assert "kway-3 (3)" in few.notes[0]
    songs = [song(i, bars=4, parts=("drums", "other")) for i in range(10)]
    assert evaluate("kway", songs, SameLevelMixtures(), [Constant()]).notes == ()


def test_songs_of_another_metre_are_said_to_take_no_part() -> None:
    songs = [song(i, bars=8) for i in range(3)]
    waltz = replace(song(7, bars=12), beats_per_bar=3)
    report = evaluate("kway", [*songs, waltz], SameLevelMixtures(), [Constant()])
    assert "1 song of another metre takes no part" in report.notes[0]
    assert "4 beats in a bar" in report.notes[0]
    assert of_one_metre([waltz, songs[0]]) == [songs[0]]
    with pytest.raises(UnusableInput, match="These 2 songs") as caught:
        evaluate("kway", [waltz, songs[0]], SameLevelMixtures(), [Constant()])
    assert "one metre" in caught.value.hint


def test_a_vocal_that_nothing_is_matched_with_is_told() -> None:
    """Its harmony and drums still serve under others in another key."""
    songs = [sung(0), sung(1), replace(sung(2), tempo_bpm=200.0)]
    report = evaluate("huang", songs, SameLevelMixtures(), [Constant()])
    assert report.tasks[0].results[0].overall.songs == 2
    assert "3 vocal windows have no harmony or drums" in report.notes[0]
    with pytest.raises(UnusableInput, match="These 2 songs") as caught:
        evaluate("huang", songs[1:], SameLevelMixtures(), [Constant()])
    assert "near each other in tempo and key" in caught.value.hint


def test_without_names_every_model_that_is_there_takes_part() -> None:
    names = [ranker.name for ranker in rankers_for(None)]
    assert names[:4] == ["random", "chroma", "automashupper-tool", "automashupper"]


def test_only_a_model_that_is_not_there_is_left_out_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.registry.SHIPPED", tmp_path / "none")
    names = [ranker.name for ranker in rankers_for(None, folders=(tmp_path,))]
    assert names == ["random", "chroma", "automashupper-tool", "automashupper"]
    for name in ("premixnet", "fit"):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(b"cut off")
        with pytest.raises(MissingDependency) as caught:
            rankers_for(None, folders=(tmp_path,))
        assert caught.value.code == "checkpoint_damaged"
        assert f"leave out {name}: --models random" in caught.value.hint
        with pytest.raises(MissingDependency, match=name) as caught:
            rankers_for(name, folders=(tmp_path,))
        assert "--model " not in caught.value.hint
        path.unlink()


@pytest.mark.parametrize("names", ["", "random,random", "nonesuch"])
def test_models_that_cannot_be_meant_are_refused(names: str) -> None:
    with pytest.raises(UsageError):
        rankers_for(names)


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="listening") as refusal:
        parse_protocol("listening")
    assert "retrieval" in refusal.value.hint


def test_songs_without_an_item_are_refused() -> None:
    songs = [song(i, parts=("drums", "other")) for i in range(2)]
    with pytest.raises(UnusableInput, match="huang"):
        evaluate("huang", songs, SameLevelMixtures(), [Constant()])
