from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from dawlink.cli import doctor
from dawlink.cli.main import main
from dawlink.settings import Settings
from engine.analysis import demucs_separation, madmom_compat
from engine.errors import MissingDependency
from engine.library.library import Library

Captured = pytest.CaptureFixture[str]


def test_it_works_here_and_says_so(capsys: Captured, tmp_path: Path) -> None:
    code = main(["--library", str(tmp_path / "new"), "doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (code, document["works"]) == (0, True)
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["torch"]["status"] == "ok"
    assert "cpu" in checks["torch device"]["detail"]
    assert checks["library"]["detail"].endswith("(not made yet)")
    assert not (tmp_path / "new").exists()


def test_every_learned_model_is_read(capsys: Captured, tmp_path: Path) -> None:
    own = tmp_path / "library" / "models" / "premixnet.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"no checkpoint")
    code = main(["--library", str(tmp_path / "library"), "doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in document["checks"]}
    assert (code, document["works"]) == (4, False)
    assert checks["model fit"]["detail"] == "comes with dawlink"
    assert checks["model premixnet"]["status"] == "missing"
    assert str(own) in checks["model premixnet"]["detail"]
    assert checks["model premixnet"]["mend"] == f'mv "{own}" "{own}.unusable"'
    assert "model postmixnet" not in checks


def test_something_necessary_that_is_missing_exits_with_4(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "NECESSARY", {"not-there": "not_there_at_all"})
    assert main(["--library", str(tmp_path), "doctor"]) == 4
    printed = capsys.readouterr().out
    assert "not-there: python3 bootstrap.py setup" in printed
    assert "cannot work" in printed


def test_every_dependency_is_looked_at() -> None:
    root = Path(__file__).parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {re.split(r"[^\w-]", text, maxsplit=1)[0] for text in project["dependencies"]}
    assert declared == {*doctor.NECESSARY, *doctor.REPLACEABLE}


def test_a_package_that_the_models_lack_is_a_row_and_no_end(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'safetensors'", name="safetensors")

    monkeypatch.setattr("engine.models.registry.load_ranker", lacking)
    monkeypatch.setattr("engine.models.song_masher.shipped_mask.load_duck_network", lacking)
    missing = {"safetensors": "not_there_at_all", "soxr": "not_there_either"}
    monkeypatch.setattr(doctor, "NECESSARY", missing)
    assert main(["--library", str(tmp_path), "doctor"]) == 4
    printed = capsys.readouterr()
    assert "cannot work" in printed.out
    assert "Run: dawlink doctor" not in printed.err
    (line,) = [line for line in printed.out.splitlines() if line.endswith("bootstrap.py setup")]
    names = line.partition(":")[0].split(", ")  # one command mends them all
    assert {"safetensors", "soxr", "models", "duck network"} <= set(names)


def test_a_fallback_is_a_note_and_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str) -> None:
        raise MissingDependency("The package madmom is not installed.")

    monkeypatch.setattr(madmom_compat, "load", absent)
    check = doctor._beats_and_key()
    assert check.status == "note"
    assert "fallback" in check.detail
    assert check.mend


def test_a_library_where_nothing_can_be_written_is_missing(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_bytes(b"")
    assert doctor._library(occupied / "library").status == "missing"


def test_a_library_that_can_only_be_read_is_a_note(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Library.open(tmp_path / "library").close()
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    check = doctor._library(tmp_path / "library")
    assert check.status == "note"
    assert "can be read, not written" in check.detail
    assert doctor._library(tmp_path / "elsewhere").status == "missing"
    assert main(["--library", str(tmp_path / "library"), "doctor"]) == 0


def test_weights_are_looked_for_where_separation_looks_and_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def cached(_repository: str, file: str, *, local_files_only: bool = False) -> str:
        assert local_files_only
        if not (tmp_path / file).is_file():
            raise LocalEntryNotFoundError(file)
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cached)
    assert doctor._weights("auto").status == "note"
    assert doctor._weights("no-such-model").status == "note"
    (tmp_path / "htdemucs.yaml").write_text("models: ['955717e8']")
    assert doctor._weights("auto").status == "note"
    (tmp_path / "955717e8.safetensors").write_bytes(b"weights")
    assert doctor._weights("auto").status == "ok"


@pytest.mark.parametrize("listing", ["", "[]", "models: 5", "models: ['955", "models: [\0]"])
def test_a_damaged_list_of_weights_is_no_weights(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "htdemucs.yaml").write_text(listing)
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda _repository, file, **_: str(tmp_path / file)
    )
    assert doctor._weights("auto").status == "note"


def test_a_separator_that_no_model_can_be_called_is_a_note() -> None:
    check = doctor._weights("a/b")
    assert (check.status, check.name) == ("note", "weights of a/b")


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_a_demucs_that_does_not_import_is_no_weights(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "demucs.hf":
                raise error("libtorch_cuda.so: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "demucs.hf", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert doctor._weights("auto").status == "note"


def test_scarce_space_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SCARCE_BYTES", 1 << 80)
    assert doctor._space(Settings(library=tmp_path / "a" / "b").library).status == "note"


def test_without_weights_the_fallback_is_named_and_a_separator_of_its_own_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demucs_separation, "has_weights", lambda model: False)
    assert Settings().separator == "auto"
    automatic = doctor._weights("auto")
    assert (automatic.status, automatic.name) == ("note", "weights of htdemucs")
    assert "hpss-center" in automatic.detail
    assert "get_model('htdemucs')" in automatic.mend
    assert doctor._weights("mdx").name == "weights of mdx"
    assert doctor._weights("hpss-center").status == "ok"
