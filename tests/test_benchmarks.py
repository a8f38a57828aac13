"""The benchmarks that the documents name are there and can be started."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

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


def test_the_documents_name_no_other() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS if path.is_file()]
    named = {name for text in texts for name in re.findall(r"benchmarks[./]([a-z_]+)", text)}
    assert named - {"figures", "py"} <= set(BENCHMARKS)
    assert not any("python benchmarks/" in text for text in texts)
