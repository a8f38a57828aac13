"""The benchmarks that the documents name are there and can be started."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from engine.library.library import Library
from engine.theory import Role
from engine.training.midi_audio.listing import read_listing
from tests.dawlink.batch.songs import make_library
from tests.engine.training.heard import list_songs

ROOT = Path(__file__).parent.parent
BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").iterdir()]


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "figures"])
def test_it_starts_as_it_says(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert module.__doc__
    assert f"python -m benchmarks.{name}" in module.__doc__
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", ["huang", "kway"])
def test_tables_are_made_of_the_same_questions_only(protocol: str, tmp_path: Path) -> None:
    from benchmarks.evaluation_table import read

    def report(folder: str, model: str, **other: object) -> Path:
        result = {"model": model, "queries": other.pop("queries", 3)}
        task = {"name": protocol, "results": [result], "chance": {"mean_nr": 0.5}}
        document = {"protocol": protocol, "songs": ["a"], "seed": 0, "tasks": [task], **other}
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{protocol}.json").write_text(json.dumps(document), encoding="utf-8")
        return tmp_path / folder

    first, second = report("first", "fit"), report("second", "random")
    assert set(read([first, second])[protocol]) == {"fit", "random", "(chance)"}
    for other in ({"seed": 1}, {"songs": ["b"]}, {"queries": 4}):
        with pytest.raises(SystemExit):
            read([first, report("third", "random", **other)])


def test_a_cell_is_a_figure_and_a_difference_is_to_a_named_model() -> None:
    from benchmarks.evaluation_table import cell, difference

    gap = {"mean_nr": -0.25, "ci95": {"mean_nr": [-0.5, 0.125]}}
    share = {"share": 0.75, "ci95": [0.5, 1.0]}
    result = {
        "mean_nr": 0.25,
        "ci95": {"mean_nr": [0.125, 0.5]},
        "against": {"fit": gap},
        "first_of": {"8": share},
        "accuracy": share,
    }
    assert cell(result) == "0.250 (0.125–0.500)"
    assert cell(result, "first-of-8") == cell(result, "accuracy") == "0.750 (0.500–1.000)"
    assert cell(result, "first-of-16") == cell(None) == ""
    assert cell({"mean_nr": 0.5, "accuracy": 0.5}, "accuracy") == "0.500"
    assert difference(result, "fit") == "-0.250 (-0.500 to +0.125)"
    assert difference(result, "chroma") == difference(None, "fit") == "—"


def test_the_documents_name_no_other() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS if path.is_file()]
    named = {name for text in texts for name in re.findall(r"benchmarks[./]([a-z_]+)", text)}
    assert named - {"figures", "py"} <= set(BENCHMARKS)
    assert not any("python benchmarks/" in text for text in texts)


def test_the_documents_name_files_that_are_there() -> None:
    folders = [ROOT / name for name in ("dawlink", "engine", "tests", "benchmarks")]
    there = {str(path.relative_to(ROOT)) for folder in folders for path in folder.rglob("*.py")}
    endings = {path.split("/", count)[-1] for path in there for count in range(path.count("/") + 1)}
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS if path.suffix == ".md"]
    named = {name for text in texts for name in re.findall(r"`([\w/]+\.py)`", text)}
    assert named <= endings


def test_separated_songs_keep_their_analysis_and_add_up_to_the_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import separated_songs

    old, new = tmp_path / "old", tmp_path / "new"
    make_library(old)
    with Library.open(old, read_only=True) as library:
        names = [song.id for song in library.songs()]
    list_songs(old, dict(zip(names, ("train", "val"), strict=True)))
    monkeypatch.setattr("sys.argv", ["separated_songs", str(old), str(new), "--keep-analysis"])
    separated_songs.main()
    again = ["separated_songs", str(old), str(new), "--keep-analysis", "--limit-songs", "1"]
    monkeypatch.setattr("sys.argv", again)
    separated_songs.main()  # whose songs are there, and keep their splits
    assert "drums: median SDR" in capsys.readouterr().out
    assert [row.split for row in read_listing(new)] == [row.split for row in read_listing(old)]
    roles: tuple[Role, ...] = ("drums", "bass", "other")
    with Library.open(old, read_only=True) as before, Library.open(new, read_only=True) as after:
        pairs = [sorted(songs.songs(), key=lambda song: song.title) for songs in (before, after)]
        for one, other in zip(*pairs, strict=True):
            grids = [songs.grid(song.id).beats_s for songs, song in ((before, one), (after, other))]
            np.testing.assert_array_equal(*grids)
            assert after.analysis(other.id).key == before.analysis(one.id).key
            mixes, drums = [], []
            for songs, song in ((before, one), (after, other)):
                stems = {s.role: songs.waveform(s).mono() for s in songs.stems(song.id, roles)}
                mixes.append(sum(stems.values()))
                drums.append(stems["drums"])
            np.testing.assert_allclose(mixes[0], mixes[1], atol=1e-3)
            assert np.abs(drums[0] - drums[1]).max() > 0.01  # it is not what it was
