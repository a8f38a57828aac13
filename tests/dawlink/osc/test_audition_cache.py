"""Where loops go when the library's own cache cannot be written, and that nothing stays there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dawlink.osc.conftest import Music, suggested, warped_clip
from tests.dawlink.osc.daemon import Running, start


@pytest.fixture
def uncached(music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Music:
    """A library that has no room for a cache, and temporary files in a place of their own."""
    library = tmp_path / "library"
    shutil.copytree(music.library, library, ignore=shutil.ignore_patterns("cache"))
    (library / "cache").write_text("in the way")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return Music(library, music.clip)


def loop_of(running: Running, music: Music) -> Path:
    with running.client() as client:
        client.send("/dawlink/set/tempo", "f", 120.0)
        clip_id = warped_clip(client, music.clip)
        stem = suggested(client, clip_id)[1][0]
        paths = {
            str(client.ask("/dawlink/audition", "ssfi", stem, clip_id, 1.0, 0).values[1])
            for _ in range(2)
        }
    (path,) = paths
    return Path(path)


def test_loops_among_the_temporary_files_go_with_the_daemon(
    uncached: Music, tmp_path: Path
) -> None:
    running = start(uncached.library, tmp_path)
    path = loop_of(running, uncached)
    assert path.is_relative_to(tmp_path / "tmp")
    assert path.is_file()
    assert path.parent.stat().st_mode & 0o077 == 0
    running.process.kill()
    running.stop()
    assert path.is_file()
    running = start(uncached.library, tmp_path)
    again = loop_of(running, uncached)
    assert not path.parent.exists()
    assert running.stop() == 0
    assert not again.parent.exists()
