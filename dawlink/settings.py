"""What a person can set, and where each value comes from.

Sources, the stronger first: flags, ``DAWLINK_*`` environment variables, ``./dawlink.toml``, the
user's ``config.toml`` (platformdirs), defaults. ``--config FILE`` is read in place of both files.
The fields of :class:`Settings` are the one list of keys: name, type, range and the sentence that
``dawlink config show --default`` prints come from there. A key that does not exist, a wrong type
or a value out of range is a :class:`~engine.errors.UsageError` that names source and key.
Relative folders count from the file they stand in, else from the current folder.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args

import platformdirs

from engine.errors import UsageError
from engine.library.place import LibraryPlace, ServerPlace, parse_place, redacted

__all__ = [
    "Settings",
    "default_config",
    "load_settings",
    "user_config_path",
]

AudioFormat = Literal["wav", "flac"]
BitDepth = Literal["16", "24", "32f"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
ModelName = Literal[
    "auto",
    "fit",
    "premixnet",
    "postmixnet",
    "stem-jepa",
    "automashupper",
    "automashupper-tool",
    "chroma",
    "random",
]
StretcherName = Literal["auto", "pylibrb", "pyrubberband"]

Value = str | int | float | Path | ServerPlace | tuple[float, float]
Reader = Callable[[object], Value]

CONFIG_NAME: Final = "dawlink.toml"
#: What renders may have [Hz]; as :data:`engine.delivery.records.SAMPLE_RATES`, too slow to import.
SAMPLE_RATES: Final = (22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
ENVIRONMENT_PREFIX: Final = "DAWLINK_"
DEFAULT: Final = "default"


def _setting(reader: Reader, comment: str) -> dict[str, object]:
    return {"reader": reader, "comment": comment}


def _whole(low: int, high: int) -> Reader:
    def read(value: object) -> Value:
        number = int(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return _explained(read, f"a whole number from {low} to {high}")


def _real(low: float, high: float) -> Reader:
    def read(value: object) -> Value:
        number = float(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError
        if not low <= number <= high:  # also turns NaN away
            raise ValueError
        return float(number)

    return _explained(read, f"a number from {low:g} to {high:g}")


def _one_of(names: tuple[str, ...]) -> Reader:
    def read(value: object) -> Value:
        text = str(value)
        if isinstance(value, bool) or text not in names:
            raise ValueError
        return text

    return _explained(read, f"one of {', '.join(names)}")


def _one_rate() -> Reader:
    def read(value: object) -> Value:
        number = int(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or number not in SAMPLE_RATES:
            raise ValueError
        return number

    return _explained(read, f"one of {', '.join(map(str, SAMPLE_RATES))}")


def _word() -> Reader:
    def read(value: object) -> Value:
        if not isinstance(value, str) or not value.strip():
            raise ValueError
        return value.strip()

    return _explained(read, "a name")


def _scheduler() -> Reader:
    def read(value: object) -> Value:
        text = value.strip() if isinstance(value, str) else ""
        if text != value or not re.fullmatch(r"((tcp|tls)://[^\s/]+:\d+)?", text):
            raise ValueError
        return text

    return _explained(read, "an address such as tcp://192.168.1.20:8786")


def _folder() -> Reader:
    def read(value: object) -> Value:
        if not isinstance(value, str | Path) or not str(value).strip():
            raise ValueError
        return Path(value).expanduser()

    return _explained(read, "a folder")


def _library() -> Reader:
    """A folder, or the address of a server; what is wrong with an address is told."""

    def read(value: object) -> Value:
        if isinstance(value, ServerPlace):
            return value
        if not isinstance(value, str | Path) or not str(value).strip():
            raise ValueError("a folder, or postgresql://HOST/DATABASE?files=/SHARED/FOLDER")
        return parse_place(str(value))

    return read


def _ratio_range(low: float, high: float) -> Reader:
    def read(value: object) -> Value:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or len(parts) != 2:
            raise ValueError
        slow, fast = (_real(low, high)(part) for part in parts)
        if not isinstance(slow, float) or not isinstance(fast, float) or not slow <= 1 <= fast:
            raise ValueError
        return slow, fast

    return _explained(read, f"two ratios from {low:g} to {high:g} around 1, such as 0.8,1.25")


def _explained(read: Reader, expected: str) -> Reader:
    """``read``, whose every failure says what was expected."""

    def reader(value: object) -> Value:
        try:
            return read(value)
        except (TypeError, ValueError) as error:
            raise ValueError(expected) from error

    return reader


@dataclass(frozen=True)
class Settings:
    """Every setting, complete and checked. Made by :func:`load_settings`."""

    library: LibraryPlace = field(
        default_factory=lambda: platformdirs.user_data_path("dawlink", False) / "library",
        metadata=_setting(
            _library(),
            "Folder of the analysed stem database, or postgresql://HOST/DATABASE?files=FOLDER.",
        ),
    )
    output: Path = field(
        default_factory=lambda: platformdirs.user_music_path() / "dawlink",
        metadata=_setting(_folder(), "Folder of renders that no project folder was named for."),
    )
    jobs: int = field(
        default=0, metadata=_setting(_whole(0, 256), "Files worked on at once; 0: one per core.")
    )
    cluster: str = field(
        default="",
        metadata=_setting(
            _scheduler(), "Dask scheduler whose workers add and batch use; none: this machine."
        ),
    )
    device: DeviceName = field(
        default="auto",
        metadata=_setting(
            _one_of(get_args(DeviceName)),
            "What train computes on; auto takes a GPU where there is one.",
        ),
    )
    separator: str = field(
        default="auto",
        metadata=_setting(
            _word(), "Separation model for full mixes; auto: htdemucs when it is there."
        ),
    )
    model: ModelName = field(
        default="auto",
        metadata=_setting(_one_of(get_args(ModelName)), "Ranking model; auto: fit."),
    )
    max_semitones: int = field(
        default=3, metadata=_setting(_whole(0, 12), "Widest transposition [semitones].")
    )
    tempo_range: tuple[float, float] = field(
        default=(0.8, 1.25),
        metadata=_setting(_ratio_range(0.25, 4.0), "Slowest and fastest allowed tempo change."),
    )
    bars: int = field(
        default=0,
        metadata=_setting(
            _whole(0, 1024),
            "Length to fit [bars]; 0: as the clip, 1, 2 or rounded up to a multiple of 4.",
        ),
    )
    limit: int = field(
        default=10, metadata=_setting(_whole(1, 1000), "How many suggestions are listed.")
    )
    stretcher: StretcherName = field(
        default="auto",
        metadata=_setting(_one_of(get_args(StretcherName)), "Way to Rubber Band."),
    )
    format: AudioFormat = field(
        default="wav", metadata=_setting(_one_of(get_args(AudioFormat)), "Format of renders.")
    )
    bit_depth: BitDepth = field(
        default="24", metadata=_setting(_one_of(get_args(BitDepth)), "Sample format of renders.")
    )
    sample_rate: int = field(
        default=44100,
        metadata=_setting(
            _one_rate(), "Sample rate of renders [Hz]; the clip's own when left out."
        ),
    )
    mix_lufs: float = field(
        default=-14.0, metadata=_setting(_real(-60, 0), "Loudness of a rendered mix [LUFS].")
    )
    ceiling_db: float = field(
        default=-1.0, metadata=_setting(_real(-20, 0), "True peak no mix goes over [dBTP].")
    )
    host: str = field(
        default="127.0.0.1", metadata=_setting(_word(), "Address that the engine listens on.")
    )
    port: int = field(
        default=11110, metadata=_setting(_whole(0, 65535), "Its UDP port; 0: any free one.")
    )
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def workers(self) -> int:
        """Number of files worked on at once, at least 1."""
        return self.jobs or os.cpu_count() or 1

    def as_dict(self) -> dict[str, str | int | float | list[float]]:
        """Key to plain value, ready for JSON."""
        return {key: _plain(getattr(self, key)) for key in _keys()}


def load_settings(
    flags: Mapping[str, object] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    user_config: Path | None = None,
) -> Settings:
    """Gather all sources into one checked :class:`Settings`.

    Args:
        flags: key to value as given on the command line; None means "not given".
        config: file read in place of ``./dawlink.toml`` and the user's; must exist.
        environ: environment variables; default the process's.
        folder: where ``./dawlink.toml`` is looked for; default the current folder.
        user_config: the user's file; default :func:`user_config_path`.

    Raises:
        UsageError: a file cannot be read, or a source holds an unknown key or unusable value.
    """
    base = folder if folder is not None else Path.cwd()
    if config is not None:
        files = [config]
    else:
        files = [user_config or user_config_path(), base / CONFIG_NAME]
        files = [path for path in files if path.is_file()]
    values: dict[str, Value] = {}
    origin = dict.fromkeys(_keys(), DEFAULT)
    sources = [(str(path), path.parent, _read_file(path)) for path in files]
    sources.append(("", base, _from_environment(os.environ if environ is None else environ)))
    sources.append(("flag", base, {k: v for k, v in (flags or {}).items() if v is not None}))
    for name, relative_to, found in sources:
        for key, raw in found.items():
            origin[key] = _origin_of(key, name)
            values[key] = _checked(key, raw, source=origin[key], relative_to=relative_to)
    checked = cast("dict[str, Any]", values)  # every reader returns its field's type
    return Settings(**checked, origin=MappingProxyType(origin))


def user_config_path() -> Path:
    """Where the user's own settings live, whether or not the file is there."""
    return platformdirs.user_config_path("dawlink", False) / "config.toml"


def default_config() -> str:
    """A commented TOML file in which every key stands with its default, switched off."""
    lines = [
        "# dawlink settings. Save as ./dawlink.toml or as",
        f"# {user_config_path()}",
        "# and take the # away from the lines you change.",
    ]
    defaults = Settings()
    for key in _keys():
        comment = _metadata(key)["comment"]
        lines += ["", f"# {comment}", f"# {key} = {_toml(getattr(defaults, key))}"]
    return "\n".join(lines) + "\n"


def _keys() -> tuple[str, ...]:
    return tuple(item.name for item in fields(Settings) if item.metadata)


def _metadata(key: str) -> Mapping[str, object]:
    return {item.name: item.metadata for item in fields(Settings)}[key]


def _origin_of(key: str, source: str) -> str:
    if source == "flag":
        return f"--{key.replace('_', '-')}"
    return source or f"{ENVIRONMENT_PREFIX}{key.upper()}"


def _read_file(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{path} is not a TOML file: {error}.",
            hint="Compare it with: dawlink config show --default",
            code="bad_config",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"The settings file {path} cannot be read: {reason}.",
            hint="Name a TOML file with --config, or leave it out.",
            code="bad_config",
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {key: f"{ENVIRONMENT_PREFIX}{key.upper()}" for key in _keys()}
    return {key: environ[name] for key, name in names.items() if environ.get(name)}


def _checked(key: str, raw: object, *, source: str, relative_to: Path) -> Value:
    if key not in _keys():
        close = get_close_matches(key, _keys(), n=1)
        guess = f"Did you mean '{close[0]}'? " if close else ""
        raise UsageError(
            f"{source}: '{key}' is not a setting.",
            hint=f"{guess}All of them: dawlink config show --default",
            code="unknown_setting",
        )
    reader = cast("Reader", _metadata(key)["reader"])
    try:
        value = reader(raw)
    except ValueError as error:
        raise UsageError(
            f"{source}: '{key}' is {redacted(repr(raw))}, expected {error}.",
            hint="What each setting means: dawlink config show --default",
            code="bad_setting",
        ) from error
    return relative_to / value if isinstance(value, Path) else value


def _plain(value: Value) -> str | int | float | list[float]:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path | ServerPlace) else value


def _toml(value: Value) -> str:
    plain = _plain(value)
    if isinstance(plain, str):
        escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(plain)
