"""What is wrong with a plan is told all at once, with line numbers, before anything is rendered."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from dawlink.batch.estimate import audio_seconds
from dawlink.batch.folders import TemplateError, folder_of
from dawlink.batch.plan import PlanLine, read_plan
from dawlink.cli.context import Invocation
from dawlink.cli.main import main
from engine.errors import UsageError
from engine.theory import Key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav", "con.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    return tmp_path


def plan(folder: Path, text: str, name: str = "plan.csv") -> list[PlanLine]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_plan(folder / name, folder / "out", Invocation(folder / "library"))


def problems(folder: Path, text: str, name: str = "plan.csv") -> str:
    with pytest.raises(UsageError) as caught:
        plan(folder, text, name)
    assert caught.value.exit_code == 2
    assert caught.value.code == "bad_plan"
    return caught.value.message


def test_every_problem_of_every_line_is_told(folder: Path) -> None:
    text = """clip,tempo,key,start,end,roles,rank,top,bit_depth,format
a.wav,120,Am,,,,,,,
,120,,,,,,,,
none.wav,0,H moll,,,,,,,
a.wav,fast,,5,2,,,,,
a.wav,,,,,kazoo,,,32f,flac
a.wav,,,,,,1,2,25,mp3
a.wav,,,,,,0,,,,surplus
"""
    message = problems(folder, text)
    said = [line.strip() for line in message.split("\n")[1:]]
    for number, word in [
        (3, "there is no clip"),
        (4, f"the clip {folder / 'none.wav'} is not there"),
        (4, "A tempo of 0 BPM"),
        (4, "key is 'H moll', expected a key like"),
        (5, "tempo is 'fast', expected a number"),
        (5, "A clip from 5 s to 2 s"),
        (6, "'kazoo' is not a role"),
        (6, "FLAC holds no floating-point samples"),
        (7, "rank, top, stems exclude each other"),
        (7, "'format' is 'mp3'"),
        (7, "'bit_depth' is '25'"),
        (8, "rank is '0', expected a whole number from 1 on"),
        (8, "the cell 'surplus' has no column"),
    ]:
        assert any(line.startswith(f"line {number}:") and word in line for line in said), word
    assert "line 2" not in message
    assert "13 problems" in message
    numbers = [int(line.split(":")[0].removeprefix("line ")) for line in said]
    assert numbers == sorted(numbers)


def test_only_the_first_twenty_are_spelt_out(folder: Path) -> None:
    message = problems(folder, "clip\n" + "none.wav\n" * 30)
    assert message.count("is not there") == 20
    assert message.endswith("and 10 more.")


def test_a_clip_that_is_not_there_is_its_own_line_s_failure(folder: Path) -> None:
    lines = plan(folder, "clip\na.wav\nnone.wav\n")
    assert [line.number for line in lines] == [2, 3]
    message = problems(folder, "clip\na.wav\nnone.wav\n.\n")
    assert "line 3: the clip" in message  # told with what is wrong with the plan
    assert "line 4: the clip" in message
    assert "line 2: the clip" in problems(folder, "clip\nnone.wav\n")


def test_quoted_cells_and_blank_lines_do_not_shift_the_numbers(folder: Path) -> None:
    text = '\nclip,out\n"a.wav","one\ntwo"\n\nb.wav,three\nnone.wav,four\n'
    lines = plan(folder, text)
    assert [line.number for line in lines] == [3, 6, 7]
    assert str(lines[0].folder) == "onetwo"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.csv", "clip,temp\na.wav,1\n", "no column 'temp' (did you mean 'tempo'?)"),
        ("p.csv", "tempo\n120\n", "the column 'clip' is missing"),
        ("p.csv", "clip,clip\na.wav,b.wav\n", "is there twice"),
        ("p.csv", 'clip\n"a.wav\n', "no CSV file from line 2"),
        ("p.csv", "clip\n\n", "holds no line"),
        ("p.csv", "", "the column 'clip' is missing"),
        ("p.xlsx", "clip\n", "no plan by its name"),
        ("p.toml", "[[render]\n", "not a TOML file"),
        ("p.toml", "[render]\nclip='a.wav'\n", "not an array of tables"),
        ("p.toml", "[[renders]]\nclip='a.wav'\n", "no table 'renders'"),
        ("p.toml", "[defaults]\ntemp=1\n[[render]]\nclip='a.wav'\n", "no column 'temp'"),
        ("p.toml", "\n[[render]]\nclip='a.wav'\nbars='x'\n", "line 2: bars is 'x'"),
        ("p.toml", "[[render]]\nclip=1e5\nmix='maybe'\n", "mix is 'maybe'"),
        ("p.jsonl", '{"clip":"a.wav"}\n{"clip":\n', "line 2: this is not JSON"),
        ("p.jsonl", '[]\n{"clip":"a.wav"}\n', "line 1: this is not a JSON object"),
        ("p.jsonl", '{"clip":"a.wav","tempo":NaN}\n', "expected a number"),
        ("p.jsonl", '{"clip":"a.wav","temp":1}\n', "no column 'temp'"),
        ("p.jsonl", '{"clip":["a.wav"],"bars":1.5}\n', "expected a whole number"),
        ("p.jsonl", '{"clip":"a.wav","tempo_range":[1.2,1.3]}\n', "line 1"),
        ("p.jsonl", '{"clip":"."}\n', "is not a file"),
        ("p.csv", "clip,model\na.wav,best\n", "line 2"),
        ("p.jsonl", '{"clip":"a.wav"}\n' + "[" * 100_000 + "\n", "line 2: this is not JSON"),
        ("p.jsonl", '{"clip":"a.wav","bars":' + "9" * 5000 + "}\n", "line 1: this is not JSON"),
        ("p.toml", "a = " + "[" * 100_000 + "\n", "not a TOML file"),
    ],
)
def test_a_plan_that_cannot_be_meant(folder: Path, name: str, text: str, expected: str) -> None:
    assert expected in problems(folder, text, name)


def test_text_of_another_encoding_is_named_with_its_line(folder: Path) -> None:
    (folder / "plan.csv").write_bytes("clip\na.wav\nmüll.wav\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8 text: line 3"):
        read_plan(folder / "plan.csv", folder / "out", Invocation(folder / "library"))


def test_a_value_of_the_line_beats_the_defaults(folder: Path) -> None:
    first, second = plan(
        folder,
        "[defaults]\nclip='a.wav'\ntempo=100\ntop=3\nmix=false\n"
        "[[render]]\nrank=2\nmix=true\n[[render]]\nclip='b.wav'\nkey='8A'\n",
        "plan.toml",
    )
    assert (first.rank, first.top, first.writing.mix) == (2, None, True)
    assert (second.rank, second.top, second.writing.mix) == (None, 3, False)
    assert second.wanted.key == Key(9, "minor")
    assert second.request.path == folder / "b.wav"
    assert (first.number, second.number) == (6, 9)


def test_two_lines_never_share_a_folder(folder: Path) -> None:
    text = "clip,out\na.wav,one\nb.wav,two\na.wav,One\na.wav,o{line}\n"
    message = problems(folder, text)
    assert "line 4: its folder 'One' is line 2's" in message
    assert "line 3" not in message


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{line:03d} {clip}", "007 vox"),
        ("{clip}/{tempo} {key}/{model}", "vox/120 Am/auto"),
        ("a//b", "a/b"),
        ("con", "con_"),
        ("what? {clip}", "what- vox"),
    ],
)
def test_a_template_is_filled_in(template: str, expected: str) -> None:
    assert str(folder_of(template, VALUES)) == expected


@pytest.mark.parametrize(
    "template",
    ["/etc", "\\\\host\\share", "C:\\x", "c:x", "../up", "a/../../b", "a\\..\\b", ".", "/", "a/./b",
     "{line:0999999999d}", "{tempo:.999999999f}",
     "{clip.__class__}", "{clip!r}", "{0}", "{}", "{song}", "{line", "{line:{clip}}", "{clip:d}"],
)  # fmt: skip
def test_a_template_that_leads_out_or_cannot_be_filled_in_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        folder_of(template, VALUES)


VALUES = {"line": 7, "clip": "vox", "tempo": 120, "key": "Am", "model": "auto"}


def test_a_template_that_leads_out_is_a_problem_of_its_line(folder: Path) -> None:
    assert "line 3: out is '../x'" in problems(folder, "clip,out\na.wav,x\na.wav,../x\n")


def test_a_stated_metre_counts_in_the_estimate(folder: Path) -> None:
    with wave.open(str(folder / "a.wav"), "wb") as clip:
        clip.setparams((1, 2, 44100, 0, "NONE", ""))
        clip.writeframes(bytes(2 * 44100))
    text = "clip,bars,tempo,clip_metre,roles\na.wav,4,120,3,drums\na.wav,4,120,,drums\n"
    tracks = 3  # drums, clip, mix
    assert [audio_seconds(line) for line in plan(folder, text)] == [tracks * 6.0, tracks * 8.0]


def test_nothing_is_made_for_a_plan_with_a_problem(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plan.csv").write_text("clip\na.wav\n.\n")
    code = main(["batch", str(folder / "plan.csv"), "--out", str(folder / "out")])
    assert code == 2
    assert "line 3" in capsys.readouterr().err
    assert not (folder / "out").exists()
