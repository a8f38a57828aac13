from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawlink.settings import SAMPLE_RATES, Settings, default_config, load_settings
from engine.delivery import records
from engine.errors import UsageError

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """``load_settings`` that sees only what a test puts into tmp_path."""

    def run(
        flags: dict[str, object] | None = None,
        *,
        here: str = "",
        user: str = "",
        environ: dict[str, str] | None = None,
        config: Path | None = None,
    ) -> Settings:
        if here:
            (tmp_path / "dawlink.toml").write_text(here, encoding="utf-8")
        (tmp_path / "user").mkdir(exist_ok=True)
        (tmp_path / "user" / "config.toml").write_text(user, encoding="utf-8")
        return load_settings(
            flags,
            config=config,
            environ=environ or {},
            folder=tmp_path,
            user_config=tmp_path / "user" / "config.toml",
        )

    return run


def test_defaults_are_those_of_the_contract(load: Load) -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 11110)
    assert (settings.mix_lufs, settings.ceiling_db) == (-14.0, -1.0)
    assert (settings.max_semitones, settings.tempo_range, settings.limit) == (3, (0.8, 1.25), 10)
    assert set(settings.origin.values()) == {"default"}


def test_the_stronger_source_wins_and_is_named(load: Load, tmp_path: Path) -> None:
    settings = load(
        {"limit": 1, "bars": None},
        environ={"DAWLINK_LIMIT": "2", "DAWLINK_BARS": "2"},
        here="limit = 3\nbars = 3\njobs = 3",
        user="limit = 4\nbars = 4\njobs = 4\nport = 4",
    )
    assert (settings.limit, settings.bars, settings.jobs, settings.port) == (1, 2, 3, 4)
    assert settings.origin["limit"] == "--limit"
    assert settings.origin["bars"] == "DAWLINK_BARS"
    assert settings.origin["jobs"] == str(tmp_path / "dawlink.toml")
    assert settings.origin["port"] == str(tmp_path / "user" / "config.toml")
    assert settings.origin["host"] == "default"


def test_config_is_read_in_place_of_both_files(load: Load, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("limit = 7", encoding="utf-8")
    settings = load(here="jobs = 3", user="bars = 4", config=own)
    assert (settings.limit, settings.jobs, settings.bars) == (7, 0, 0)


def test_relative_folders_count_from_their_file(load: Load, tmp_path: Path) -> None:
    settings = load({"output": Path("renders")}, user='library = "stems"')
    assert settings.library == tmp_path / "user" / "stems"
    assert settings.output == tmp_path / "renders"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('limit = "many"', "limit"),
        ("limit = true", "limit"),
        ("limit = 0", "limit"),
        ("limit = 2.5", "limit"),
        ("port = 65536", "port"),
        ("mix_lufs = nan", "mix_lufs"),
        ("ceiling_db = 1", "ceiling_db"),
        ("tempo_range = [1.1, 1.25]", "tempo_range"),
        ("tempo_range = [0.8]", "tempo_range"),
        ("tempo_range = 3", "tempo_range"),
        ("library = 3", "library"),
        ('library = ""', "library"),
        ('format = "mp3"', "format"),
        ("bit_depth = 20", "bit_depth"),
        ('host = ""', "host"),
    ],
)
def test_an_unusable_value_names_file_key_and_what_was_expected(
    load: Load, tmp_path: Path, line: str, key: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(here=line)
    assert str(tmp_path / "dawlink.toml") in caught.value.message
    assert f"'{key}'" in caught.value.message
    assert "expected" in caught.value.message
    assert caught.value.exit_code == 2


def test_an_unknown_key_is_refused_with_the_nearest_one(load: Load, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(here="max_semitone = 2")
    assert str(tmp_path / "dawlink.toml") in caught.value.message
    assert "max_semitones" in caught.value.hint


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_settings_file_that_cannot_be_read_is_a_usage_error(
    load: Load, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(config=tmp_path / name)


@pytest.mark.parametrize("content", [b"limit = ", b"host = '\xff'"])
def test_a_file_that_is_not_toml_is_a_usage_error(
    load: Load, tmp_path: Path, content: bytes
) -> None:
    damaged = tmp_path / "damaged.toml"
    damaged.write_bytes(content)
    with pytest.raises(UsageError, match=r"damaged\.toml"):
        load(config=damaged)


def test_the_environment_gives_text_and_empty_means_not_given(load: Load) -> None:
    settings = load(
        environ={
            "DAWLINK_TEMPO_RANGE": "0.9,1.1",
            "DAWLINK_BIT_DEPTH": "16",
            "DAWLINK_LIMIT": "",
            "DAWLINK_UNRELATED": "x",
        }
    )
    assert settings.tempo_range == (0.9, 1.1)
    assert settings.bit_depth == "16"
    assert settings.limit == 10
    with pytest.raises(UsageError, match="DAWLINK_PORT"):
        load(environ={"DAWLINK_PORT": "eleven"})


def test_a_bit_depth_may_be_written_as_a_number(load: Load) -> None:
    assert load(here="bit_depth = 16").bit_depth == "16"
    assert load(here='bit_depth = "32f"').bit_depth == "32f"


def test_the_default_file_switched_on_changes_nothing(load: Load) -> None:
    text = default_config()
    assert tomllib.loads(text) == {}
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    settings = load(here="\n".join(lines))
    assert settings == Settings()
    assert len(lines) == len(settings.as_dict())


@given(st.integers(min_value=-(2**70), max_value=2**70))
def test_a_port_is_read_exactly_when_it_is_one(port: int) -> None:
    options = {"environ": {}, "folder": Path("nowhere"), "user_config": Path("nowhere/config")}
    if 0 <= port <= 65535:
        assert load_settings({"port": port}, **options).port == port  # type: ignore[arg-type]
    else:
        with pytest.raises(UsageError, match="--port"):
            load_settings({"port": port}, **options)  # type: ignore[arg-type]


def test_workers_are_never_none() -> None:
    assert Settings(jobs=3).workers == 3
    assert Settings(jobs=0).workers >= 1


def test_a_sample_rate_is_one_that_renders_may_have(load: Load) -> None:
    assert SAMPLE_RATES == records.SAMPLE_RATES
    assert load({"sample_rate": "48000"}).sample_rate == 48000
    for wrong in (8000, 12345, "44.1", True):
        with pytest.raises(UsageError, match="expected one of 22050, 32000, 44100"):
            load({"sample_rate": wrong})
