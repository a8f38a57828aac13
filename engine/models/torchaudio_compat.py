"""The pure-Python transforms of torchaudio, whatever PyTorch is installed.

torchaudio's Linux wheel loads a library that needs CUDA as soon as the package is imported; beside
a CPU build of PyTorch ``import torchaudio`` therefore ends in an OSError. Spectrograms need none of
that library. A stand-in for the one module that loads it (``torchaudio._extension``, as it looks in
2.11) is put in place first, which says that no extension is there; torchaudio then uses its Python
code. It is put there on every platform, so the same code runs everywhere. This is the only module
that imports torchaudio. Audio files are never read or written through it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from engine.errors import MissingDependency

__all__ = ["transforms"]

_EXTENSION = "torchaudio._extension"


def transforms() -> ModuleType:
    """The module ``torchaudio.transforms``.

    Raises:
        MissingDependency: torchaudio is not installed, or is one that does not work so.
    """
    if "torchaudio" not in sys.modules:
        sys.modules.setdefault(_EXTENSION, _stand_in())
    try:
        return importlib.import_module("torchaudio.transforms")
    except (ImportError, OSError, AttributeError) as error:
        raise MissingDependency(
            f"torchaudio cannot be used: {error}.",
            hint="Install it with: pip install --no-deps torchaudio==2.11.0",
            code="torchaudio",
        ) from error


def _stand_in() -> ModuleType:
    """What torchaudio asks of its extension where there is none."""
    module = ModuleType(_EXTENSION, "No compiled extension: only the Python parts are used.")
    names = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "fail_if_no_align": _unavailable,
        "_check_cuda_version": _no_version,
    }
    vars(module).update(names)
    return module


def _unavailable(function: Callable[..., object]) -> Callable[..., NoReturn]:
    """Decorates what needs the extension."""

    def refused(*_arguments: object, **_options: object) -> NoReturn:
        raise RuntimeError(f"{function.__name__} needs torchaudio's compiled extension")

    return refused


def _no_version() -> None:
    """There is no CUDA version to compare."""
