"""One render for a client: files into the project's folder, with progress, stoppable."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dawlink.osc.clients import Answered
from dawlink.osc.service import EngineService
from dawlink.osc.stopping import Stop
from dawlink.settings import AudioFormat, Settings

if TYPE_CHECKING:
    from engine.delivery.records import RenderedSuggestion, RenderOptions, Stage
    from engine.suggestions import Suggestion

__all__ = ["KINDS", "PROJECT_KINDS", "STAGES", "RenderOrder", "render_order"]

#: Projects for DAWs; each plays the files that were rendered.
PROJECT_KINDS: Final = ("als", "alc", "dawproject", "rpp", "ardour")
#: What this engine writes; other kinds are left out of a request.
KINDS: Final = ("wav", "flac", "clip", "mix", *PROJECT_KINDS)
STAGES: Final[dict[Stage | str, int]] = {"wait": 0, "clip": 1, "stem": 2, "mix": 3, "write": 4}
#: Shortest time between two reports [s]; ten a second are the most, and they may bunch on the way.
_REPORT_S: Final = 0.12
#: So many renders of the same name may lie in one project.
_MOST_TAKES: Final = 999

Report = Callable[[float, int], None]


@dataclass(frozen=True, eq=False)
class RenderOrder:
    """What to write where."""

    answered: Answered
    suggestion: Suggestion
    folder: Path
    kinds: tuple[str, ...]
    bars: int | None
    start_beat: float

    @property
    def file_format(self) -> AudioFormat:
        """Of every file."""
        return "flac" if "flac" in self.kinds and "wav" not in self.kinds else "wav"

    def options(self, settings: Settings, out: Path) -> RenderOptions:
        """How the engine writes."""
        from dawlink.daw.maker import Projects
        from engine.delivery.records import RenderOptions

        projects = tuple(kind for kind in self.kinds if kind in PROJECT_KINDS)
        asked_rate = settings.origin.get("sample_rate", "default") != "default"
        depth = settings.bit_depth
        return RenderOptions(
            out=out,
            file_format=self.file_format,
            bit_depth="24" if self.file_format == "flac" and depth == "32f" else depth,
            sample_rate=settings.sample_rate if asked_rate else None,
            mix="mix" in self.kinds,
            clip="clip" in self.kinds,
            mix_lufs=settings.mix_lufs,
            ceiling_db=settings.ceiling_db,
            bars=self.bars,
            start_beat=self.start_beat,
            projects=Projects(projects) if projects else None,
        )


def render_order(
    service: EngineService, order: RenderOrder, stop: Stop, report: Report
) -> RenderedSuggestion:
    """Write the files; nothing of them is there when it fails or is stopped.

    Raises:
        Stopped: ``stop`` said so before the files were moved to their names.
        DawlinkError: a source cannot be read, the folder cannot be written.
    """
    from dawlink.documents import rendered_document
    from engine.errors import UnwritableOutput

    engine, reply = service.engine(), order.answered.reply
    teller = _Teller(report, pieces=len(order.suggestion.stems) + 2)

    def watch(share: float) -> None:
        stop.check()
        teller.piece(share)

    def describe(made: RenderedSuggestion, suggestion: Suggestion) -> dict[str, object]:
        document = rendered_document(made, suggestion, reply)
        stop.commit()
        teller.tell(0.99, "write")
        return {**document, "start_beat": order.start_beat}

    for take in range(1, _MOST_TAKES + 1):
        out = order.folder if take == 1 else order.folder / f"take {take}"
        if take > 1 and out.is_symlink():  # it may lead out of the project
            continue
        options = order.options(service.settings, out)
        planned = engine.planned_files(reply, [order.suggestion], options)
        if any(os.path.lexists(path) for path in planned):
            continue
        try:
            return engine.render(
                reply,
                [order.suggestion],
                options,
                describe=describe,
                progress=teller.stage,
                stretcher=service.stretcher(watch),
            )[0]
        except UnwritableOutput as error:
            if error.code != "exists":
                raise
    raise UnwritableOutput(
        f"{order.folder} holds {_MOST_TAKES} renders of this name.",
        hint="Move some of them away.",
        code="exists",
    )


class _Teller:
    """Puts stages and shares together into reports that are not too many."""

    def __init__(self, report: Report, *, pieces: int) -> None:
        self._report = report
        self._pieces = pieces
        self._last_s = time.monotonic()
        self._base = 0.0
        self._stage = "wait"
        self._told = 0.0

    def stage(self, stage: Stage, share: float) -> None:
        """The engine begins something; ``share`` of all its pieces is done."""
        self._base = share
        self.tell(share, stage)

    def piece(self, share: float) -> None:
        """``share`` of the piece that is worked on is done."""
        self.tell(self._base + share / self._pieces, self._stage)

    def tell(self, share: float, stage: str) -> None:
        """Report if the last report is long enough ago."""
        self._stage = stage
        now = time.monotonic()
        if now - self._last_s < _REPORT_S:
            return
        self._last_s = now
        self._told = max(self._told, min(share, 1.0))
        self._report(self._told, STAGES[stage])
