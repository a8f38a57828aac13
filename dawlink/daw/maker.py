"""DAW projects of rendered suggestions, for :class:`engine.delivery.records.RenderOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, get_args

from dawlink.daw.rendered import Delivery, rendered_project, warped_project
from dawlink.daw.writer import EXTENDS, ProjectWriter, writer_for
from engine.delivery.records import RenderedSuggestion
from engine.errors import UsageError
from engine.suggestions import Suggestion, SuggestReply

__all__ = ["Projects", "parse_delivery"]

#: Sources wait here while projects are made from them.
_SOURCES: Final = "sources"


@dataclass(frozen=True)
class Projects:
    """A :class:`~engine.delivery.records.ProjectMaker`.

    Args:
        formats: names of :data:`~dawlink.daw.writer.FORMATS`.
        deliver: rendered audio, or the sources with their warps.
        into: a project to make a copy of and add to.

    Raises:
        UsageError: a format that does not exist, cannot warp, or cannot add to a project.
    """

    formats: tuple[str, ...]
    deliver: Delivery = "rendered"
    into: Path | None = None

    def __post_init__(self) -> None:
        if self.into is not None and not set(self.formats) & set(EXTENDS):
            raise UsageError(
                f"--into goes with --project {' or '.join(EXTENDS)}.",
                hint="Leave --into out to get new projects.",
                code="bad_project",
            )
        for writer in self._writers():
            if self.deliver == "warped" and not writer.warps:
                raise UsageError(
                    f"{writer.name} has no warp markers.",
                    hint="Use --deliver rendered for it.",
                    code="not_warpable",
                )

    def entries(self, name: str) -> tuple[str, ...]:
        """See :class:`~engine.delivery.records.ProjectMaker`."""
        return tuple(writer.entry(name) for writer in self._writers())

    def make(
        self,
        reply: SuggestReply,
        suggestion: Suggestion,
        rendered: RenderedSuggestion,
        folder: Path,
    ) -> tuple[Path, ...]:
        """See :class:`~engine.delivery.records.ProjectMaker`.

        Raises:
            UnusableInput: a source, or the project to add to, cannot be read.
            UnwritableOutput: the disk is full.
        """
        if self.deliver == "warped":
            sources = folder / _SOURCES
            sources.mkdir()
            project = warped_project(reply, suggestion, rendered, sources)
        else:
            project = rendered_project(reply, suggestion, rendered, folder)
        made = (writer.write(project, folder) for writer in self._writers())
        return tuple(path for paths in made for path in paths)

    def _writers(self) -> tuple[ProjectWriter, ...]:
        return tuple(
            writer_for(name, into=self.into if name in EXTENDS else None) for name in self.formats
        )


def parse_delivery(text: str) -> Delivery:
    """``rendered`` or ``warped``.

    Raises:
        UsageError: neither.
    """
    for known in get_args(Delivery):
        if text == known:
            return cast("Delivery", known)
    raise UsageError(
        f"Stems are delivered rendered or warped, not {text!r}.",
        hint="Use --deliver rendered or --deliver warped.",
        code="bad_delivery",
    )
