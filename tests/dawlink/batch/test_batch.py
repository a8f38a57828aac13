"""Whole batches through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from dawlink.batch.state import STATE_NAME
from dawlink.cli.main import main
from tests.dawlink.batch.conftest import KNOWN, Batch, Music, outputs, write_plan


def test_every_line_gets_its_folder_with_stems_clip_and_mix(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    lines: list[dict[str, object]] = [
        {"clip": str(music.clip), "tempo": 120},
        {"clip": str(music.clip), "out": "{clip}/{tempo} {key}", "key": "8A", "mix": False},
        {"clip": str(music.clip), "top": 2, "roles": "percussion", "render_clip": "no"},
    ]
    out = tmp_path / "out"
    ran = batch(write_plan(tmp_path / "plan.jsonl", lines), out, "--json")
    assert ran.code == 0, ran.stderr
    assert ran.statuses == ["done"] * 3
    assert all(document["schema"] == 1 for document in ran.documents)
    assert ran.documents[-1]["summary"] == {
        "done": 3,
        "skipped": 0,
        "failed": 0,
        "out": str(out.resolve()),
        "seconds": ran.documents[-1]["summary"]["seconds"],
    }
    names = {"001 vox": 5, "vox/own tempo Am": 4, "003 vox": 6}
    for folder, count in names.items():
        assert len([p for p in (out / folder).iterdir() if p.is_file()]) == count
    mix = next((out / "001 vox").glob("*mix.wav"))
    assert soundfile.info(mix).frames == round(4 * 60 / 120 * 44100)
    renders = ran.lines[0]["renders"]
    assert isinstance(renders, list)
    assert json.loads(Path(renders[0]["json"]).read_text())["tempo_bpm"] == 120
    assert not list(out.rglob(".dawlink-part*"))


@pytest.mark.parametrize("kind", ["csv", "excel", "tsv", "toml"])
def test_every_format_means_the_same(batch: Batch, music: Music, tmp_path: Path, kind: str) -> None:
    (tmp_path / "vox, take 2.wav").hardlink_to(music.clip)
    header = ["clip", "tempo", "clip_tempo", "clip_downbeat", "clip_key", "bars", "roles"]
    cells = ["vox, take 2.wav", "112.5", "110", "0", "Am", "1", "drums"]
    if kind == "csv":
        plan = tmp_path / "plan.csv"
        plan.write_text(",".join(header) + "\n" + ",".join([f'"{cells[0]}"', *cells[1:]]) + "\n")
    elif kind == "excel":  # as a spreadsheet saves it where commas are decimal
        plan = tmp_path / "plan.csv"
        text = ";".join(header).title() + ";\r\n" + ";".join(cells).replace("112.5", "112,5")
        plan.write_text(text + ";\r\n;;;;;;;\r\n", encoding="utf-8-sig", newline="")
    elif kind == "tsv":
        plan = tmp_path / "plan.tsv"
        plan.write_text("\t".join(header) + "\n" + "\t".join(cells))
    else:
        plan = tmp_path / "plan.toml"
        plan.write_text(
            '[defaults]\nclip_key = "Am"\nclip_tempo = 110\nroles = ["drums"]\ntempo = 90\n\n'
            '[[render]]\nclip = "vox, take 2.wav"\nclip_downbeat = 0.0\nbars = 1\ntempo = 112.5\n'
        )
    ran = batch(plan, tmp_path / "out", "--json")
    assert ran.code == 0, ran.stderr
    line = ran.lines[0]
    assert line["line"] == (7 if kind == "toml" else 2)
    assert line["clip"] == str((tmp_path / "vox, take 2.wav").resolve())
    render = line["renders"][0]
    assert (render["tempo_bpm"], render["bars"], render["key"]) == (112.5, 1, "A minor")
    assert [stem["role"] for stem in render["stems"]] == ["drums"]


def test_a_second_run_renders_nothing_and_a_missing_file_is_made_again(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    lines: list[dict[str, object]] = [
        {"clip": str(music.clip), "roles": "drums", "tempo": tempo} for tempo in (100, 104)
    ]
    plan, out = write_plan(tmp_path / "plan.jsonl", lines), tmp_path / "out"
    first = batch(plan, out, "--json")
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = batch(plan, out, "--json")
    assert again.code == 0
    assert again.statuses == ["skipped", "skipped"]
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert [line["renders"] for line in again.lines] == [line["renders"] for line in first.lines]

    whole = outputs(out)
    gone = next((out / "002 vox").glob("*mix.wav"))
    gone.unlink()
    next((out / "002 vox").glob("*clip.wav")).write_bytes(
        b""
    )  # as a crash of the machine leaves it
    mended = batch(plan, out, "--json")
    assert mended.statuses == ["skipped", "done"]
    assert outputs(out) == whole
    untouched = [path for path in files if path.parent.name == "001 vox"]
    assert all(path.stat().st_mtime_ns == files[path] for path in untouched)

    fresh = batch(plan, out, "--json", "--fresh")
    assert fresh.statuses == ["done", "done"]
    assert outputs(out) == whole


def test_a_changed_line_or_clip_is_rendered_again_into_its_place(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    clip = tmp_path / "vox.wav"
    clip.write_bytes(music.clip.read_bytes())
    line: dict[str, object] = {
        "clip": "vox.wav",
        "roles": "drums",
        "tempo": 100,
        "out": "{clip} {tempo}",
    }
    plan, out = write_plan(tmp_path / "plan.jsonl", [line]), tmp_path / "out"
    assert batch(plan, out, "--json").statuses == ["done"]
    write_plan(plan, [{**line, "tempo": 106}, line])
    assert batch(plan, out, "--json").statuses == ["done", "skipped"]
    with clip.open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"\x10\x00")
    changed = batch(plan, out, "--json")
    assert changed.statuses == ["done", "done"]
    assert batch(plan, out, "--json").statuses == ["skipped", "skipped"]


def test_a_line_that_says_something_else_is_made_again_in_its_place(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    """Also where the files have the same names: they are the batch's own."""
    line: dict[str, object] = {"clip": str(music.clip), "roles": "drums", "tempo": 100}
    other = {**line, "tempo": 104}
    plan, out = write_plan(tmp_path / "plan.jsonl", [line, other]), tmp_path / "out"
    assert batch(plan, out, "--json").statuses == ["done", "done"]
    before = outputs(out)
    write_plan(plan, [{**line, "bit_depth": "16"}, other])
    assert batch(plan, out, "--json").statuses == ["done", "skipped"]
    assert outputs(out).keys() == before.keys()
    mix = next((out / "001 vox").glob("*mix.wav"))
    assert soundfile.info(mix).subtype == "PCM_16"
    mix.write_bytes(mix.read_bytes() + b"edited")  # a person's now
    write_plan(plan, [{**line, "bit_depth": "24"}, other])
    ran = batch(plan, out, "--json")
    assert ran.statuses == ["failed", "skipped"]
    assert ran.lines[-1]["error"]["code"] == "exists"
    assert mix.read_bytes().endswith(b"edited")
    assert batch(plan, out, "--json", "--overwrite").statuses == ["done", "skipped"]


def test_a_line_of_another_tempo_leaves_nothing_of_the_old_one(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    """But for what a person has changed, and nothing of lines that were taken out."""
    line: dict[str, object] = {"clip": str(music.clip), "roles": "drums", "project": "rpp"}
    plan, out = tmp_path / "plan.jsonl", tmp_path / "out"
    write_plan(plan, [{**line, "tempo": 100}, {**line, "tempo": 104}])
    assert batch(plan, out, "--json").statuses == ["done", "done"]
    taken_out = {name for name in outputs(out) if name.startswith("002 vox")}
    mix = next((out / "001 vox").glob("*mix.wav"))
    mix.write_bytes(mix.read_bytes() + b"edited")
    write_plan(plan, [{**line, "tempo": 106}])
    assert batch(plan, out, "--json").statuses == ["done"]
    now = outputs(out)
    assert taken_out <= now.keys()
    old = [name for name in now if name.startswith("001 vox") and "100bpm" in name]
    assert old == [mix.relative_to(out).as_posix()]
    assert any("106bpm" in name and name.endswith(".rpp") for name in now)


def test_two_plans_in_one_folder_leave_each_other_alone(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    """Their lines may have folders of one name."""
    line: dict[str, object] = {"clip": str(music.clip), "roles": "drums"}
    plans = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    out = tmp_path / "out"
    for plan, tempo in zip(plans, (100, 104), strict=True):
        write_plan(plan, [{**line, "tempo": tempo}])
        assert batch(plan, out, "--json").statuses == ["done"]
    for plan in plans:
        assert batch(plan, out, "--json").statuses == ["skipped"]


def test_a_recording_in_a_project_outlives_the_line_that_made_it(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    line: dict[str, object] = {"clip": str(music.clip), "roles": "drums", "project": "als"}
    plan, out = tmp_path / "plan.jsonl", tmp_path / "out"
    write_plan(plan, [{**line, "tempo": 100}])
    assert batch(plan, out, "--json").statuses == ["done"]
    (project,) = (path for path in (out / "001 vox").iterdir() if path.is_dir())
    take = project / "Samples" / "Recorded" / "my take.wav"
    take.parent.mkdir(parents=True, exist_ok=True)
    take.write_bytes(b"mine")
    whole = {path for path in project.rglob("*") if path.is_file()}
    write_plan(plan, [{**line, "tempo": 106}])
    assert batch(plan, out, "--json").statuses == ["done"]
    assert {path for path in project.rglob("*") if path.is_file()} == whole


@pytest.mark.parametrize("touch", ["saved", "beside"])
def test_a_project_that_somebody_worked_in_is_theirs(
    batch: Batch, music: Music, tmp_path: Path, touch: str
) -> None:
    line: dict[str, object] = {"clip": str(music.clip), "roles": "drums", "project": "rpp"}
    plan, out = write_plan(tmp_path / "plan.jsonl", [line]), tmp_path / "out"
    assert batch(plan, out, "--json").statuses == ["done"]
    project = next(out.rglob("*.rpp"))
    theirs = project if touch == "saved" else project.with_name("take.wav")
    with theirs.open("ab") as stream:
        stream.write(b"work of hours")
    assert batch(plan, out, "--json", "--fresh").statuses == ["failed"]
    next(out.rglob("*mix.wav")).unlink()
    assert batch(plan, out, "--json").statuses == ["failed"]
    assert theirs.read_bytes().endswith(b"work of hours")
    project.parent.rename(tmp_path / "mine")
    assert batch(plan, out, "--json").statuses == ["done"]


def test_a_failing_line_stops_no_other(batch: Batch, music: Music, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("This is no audio. " * 100)
    lines: list[dict[str, object]] = [
        {"clip": str(music.clip), "roles": "drums"},
        {"clip": "notes.wav"},
        {"clip": str(music.clip), "rank": 900},
        {"clip": str(music.clip), "roles": "bass"},
    ]
    plan, out = write_plan(tmp_path / "plan.jsonl", lines), tmp_path / "out"
    ran = batch(plan, out, "--json")
    assert ran.code == 3
    assert ran.statuses == ["done", "failed", "failed", "done"]
    errors = [line["error"]["code"] for line in ran.lines if "error" in line]
    assert errors[1] == "no_such_rank"
    assert ran.documents[-1]["summary"]["failed"] == 2
    assert "2 of 4 lines failed" in str(ran.documents[-1]["error"])
    human = batch(plan, out)
    assert human.code == 3
    assert "2 done before, 2 failed" in human.stdout.replace("0 done, ", "")
    assert "line 2 (notes.wav)" in human.stderr


def test_foreign_files_are_never_touched(batch: Batch, music: Music, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.jsonl", [{"clip": str(music.clip), "roles": "bass"}])
    trial = tmp_path / "trial"
    batch(plan, trial)
    mix = next(trial.rglob("*mix.wav")).relative_to(trial)
    out = tmp_path / "out"
    (out / mix).parent.mkdir(parents=True)
    (out / mix).write_text("mine")
    ran = batch(plan, out, "--json")
    assert ran.code == 3
    assert ran.lines[0]["error"]["code"] == "exists"
    assert list((out / mix).parent.iterdir()) == [out / mix]
    assert (out / mix).read_text() == "mine"
    assert batch(plan, out, "--json").code == 3  # nor by a second attempt
    assert (out / mix).read_text() == "mine"
    assert batch(plan, out, "--json", "--overwrite").code == 0
    assert (out / mix).read_bytes() == (trial / mix).read_bytes()


def test_stems_and_songs_are_found_by_the_beginning_of_their_ids(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    first: dict[str, object] = {"clip": str(music.clip), "roles": "harmonic"}
    plan, out = write_plan(tmp_path / "plan.jsonl", [first]), tmp_path / "out"
    stem = batch(plan, out, "--json").lines[0]["renders"][0]["stems"][0]
    lines = [
        {**first, "exclude_song": stem["song_id"], "out": "another"},
        {**KNOWN, "clip": str(music.clip), "stems": stem["stem_id"][:8], "out": "the same"},
    ]
    ran = batch(write_plan(plan, lines), out, "--json")
    assert ran.code == 0, ran.stderr
    chosen = [line["renders"][0]["stems"][0] for line in ran.lines]
    assert chosen[0]["song_id"] != stem["song_id"]
    assert chosen[1]["stem_id"] == stem["stem_id"]


def test_a_dry_run_makes_nothing_and_estimates_what_is_left(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    lines: list[dict[str, object]] = [
        {"clip": str(music.clip), "tempo": 120, "format": "wav", "bit_depth": "16"},
        {"clip": str(music.clip), "tempo": 100},
    ]
    plan, out = write_plan(tmp_path / "plan.jsonl", lines), tmp_path / "out"
    ran = batch(plan, out, "--json", "--dry-run")
    assert ran.code == 0
    assert not out.exists()
    assert ran.statuses == ["render", "render"]
    write_plan(plan, lines[:1])
    assert batch(plan, out, "--json").code == 0
    made = sum(path.stat().st_size for path in out.rglob("*.wav"))
    assert ran.lines[0]["size_bytes"] == pytest.approx(made, rel=0.02)
    write_plan(plan, lines)
    before = sorted(out.rglob("*"))
    second = batch(plan, out, "--json", "--dry-run")
    assert second.statuses == ["skip", "render"]
    assert second.documents[-1]["summary"]["seconds_from"] == "lines done here"
    assert sorted(out.rglob("*")) == before
    assert "1 to render, 1 done before" in batch(plan, out, "--dry-run").stdout


def test_a_clip_that_is_not_there_fails_its_line_alone_also_after_it_was_done(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    (tmp_path / "second.wav").hardlink_to(music.clip)
    lines: list[dict[str, object]] = [
        {"clip": str(music.clip), "roles": "drums"},
        {"clip": "second.wav", "roles": "drums"},
        {"clip": "none.wav", "roles": "drums"},
    ]
    plan, out = write_plan(tmp_path / "plan.jsonl", lines), tmp_path / "out"
    foretold = batch(plan, out, "--json", "--dry-run")
    assert (foretold.code, foretold.statuses) == (0, ["render", "render", "fail"])
    assert foretold.documents[-1]["summary"]["fail"] == 1
    assert f"{tmp_path / 'none.wav'} is not there" in foretold.stderr
    first = batch(plan, out, "--json")
    assert (first.code, first.statuses) == (3, ["done", "done", "failed"])
    (error,) = [line["error"] for line in first.lines if line["status"] == "failed"]
    assert error["code"] == "missing_file"
    made = outputs(out)
    (tmp_path / "second.wav").unlink()
    again = batch(plan, out, "--json")
    assert (again.code, again.statuses) == (3, ["skipped", "failed", "failed"])
    assert outputs(out) == made


def test_a_dry_run_counts_what_projects_hold(batch: Batch, music: Music, tmp_path: Path) -> None:
    line: dict[str, object] = {"clip": str(music.clip), "tempo": 120, "top": 2}
    line["project"] = "als,alc,dawproject,rpp,ardour"
    plan, out = write_plan(tmp_path / "plan.jsonl", [line]), tmp_path / "out"
    (foretold,) = batch(plan, out, "--json", "--dry-run").lines
    assert batch(plan, out, "--json").code == 0
    made = [path for path in (out / "001 vox").rglob("*") if path.is_file()]
    assert foretold["files"] == len(made)
    size = sum(path.stat().st_size for path in made)
    assert foretold["size_bytes"] == pytest.approx(size, rel=0.05)


def test_an_unusable_plan_library_or_folder_is_its_own_error(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    plan = write_plan(tmp_path / "plan.jsonl", [{"clip": str(music.clip)}])
    (tmp_path / "file").write_text("")
    assert batch(tmp_path / "none.csv", tmp_path / "out").code == 6
    assert batch(plan, tmp_path / "file").code == 7
    ran = batch(plan, tmp_path / "file" / "below", "--json")
    assert (ran.code, ran.documents[0]["error"]["code"]) == (7, "unwritable")
    nowhere = ["--library", str(tmp_path / "none"), "batch", str(plan)]
    assert main([*nowhere, "--out", str(tmp_path / "out")]) == 6
    assert not (tmp_path / "out").exists()


def test_the_state_names_every_line_and_survives_a_torn_one(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    plan = write_plan(tmp_path / "plan.jsonl", [{"clip": str(music.clip), "roles": "drums"}])
    out = tmp_path / "out"
    batch(plan, out)
    with (out / STATE_NAME).open("ab") as state:
        state.write(b'{"schema": 1, "event": "done", "key": "0123')
    write_plan(plan, [{"clip": str(music.clip), "roles": r} for r in ("drums", "bass")])
    assert batch(plan, out, "--json").statuses == ["skipped", "done"]
    assert batch(plan, out, "--json").statuses == ["skipped", "skipped"]


def test_projects_belong_to_their_line(batch: Batch, music: Music, tmp_path: Path) -> None:
    line = {"clip": str(music.clip), **KNOWN, "roles": "drums"}
    lines = [{**line, "project": "rpp, dawproject", "mix": False}, {**line, "tempo": 121}]
    plan, out = write_plan(tmp_path / "plan.jsonl", lines), tmp_path / "out"
    assert batch(plan, out, "--json").statuses == ["done", "done"]
    made = {path.suffix for path in (out / "001 vox").rglob("*") if path.is_file()}
    assert made == {".wav", ".json", ".mid", ".rpp", ".dawproject"}
    assert batch(plan, out, "--json").statuses == ["skipped", "skipped"]
    next(out.rglob("Media/*.wav")).unlink()
    assert batch(plan, out, "--json").statuses == ["done", "skipped"]


def test_a_project_that_cannot_be_is_told_with_its_line(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    line = {"clip": str(music.clip), **KNOWN}
    plan = write_plan(
        tmp_path / "plan.jsonl",
        [line, {**line, "project": "logic"}, {**line, "project": "als", "into": "no.als"}],
    )
    ran = batch(plan, tmp_path / "out")
    assert ran.code == 2
    assert "line 2" in ran.stderr
    assert "logic" in ran.stderr
    assert "line 3" in ran.stderr
    assert "no.als" in ran.stderr
    assert not (tmp_path / "out").exists()
