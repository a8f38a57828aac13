"""A plan, checked as a whole before anything is rendered.

Every line becomes what ``dawlink render`` would make of the same options; whatever is wrong with
any line is told together with all the rest. A clip that is not there is its line's own failure
when its turn comes, unless no clip of the plan is there. Relative clips count from the plan's own
folder.
"""

from __future__ import annotations

import contextlib
import functools
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeVar

from dawlink.batch.columns import EXCLUSIVE, Values, read_values
from dawlink.batch.folders import DEFAULT_TEMPLATE, TemplateError, folder_of
from dawlink.batch.reading import Row, read_rows
from dawlink.cli.context import Invocation, open_library
from dawlink.cli.options import clip_request, suggest_options
from dawlink.cli.render import named_stems, own_set, project_maker, render_options
from dawlink.settings import Settings
from engine.clips.clip import ClipRequest
from engine.delivery.records import RenderOptions
from engine.errors import UnusableInput, UsageError
from engine.naming import safe_name
from engine.suggestions import SuggestOptions, parse_roles
from engine.theory import Key

if TYPE_CHECKING:
    from dawlink.daw.live.own_set import OwnSet
    from engine.library.library import Library

__all__ = ["PlanLine", "read_plan"]

#: Problems that one error spells out.
_SHOWN: Final = 20
_DEFAULT_ROLES: Final = "harmonic,percussion"
_T = TypeVar("_T")


@dataclass(frozen=True)
class PlanLine:
    """One line, ready to be rendered.

    Args:
        number: line of the plan's file, from 1.
        request: the clip.
        wanted: what to suggest.
        writing: how and where to write.
        folder: of its files, relative to the batch's.
        model: ranking model.
        rank: the suggestion to render, when stated.
        top: how many of the best to render, when stated.
        stretcher: way to Rubber Band.
        into: the set to add to a copy of, when there is one.
    """

    number: int
    request: ClipRequest
    wanted: SuggestOptions
    writing: RenderOptions
    folder: PurePosixPath
    model: str
    rank: int | None
    top: int | None
    stretcher: str
    into: OwnSet | None = None


def read_plan(
    path: Path, out: Path, invocation: Invocation, *, overwrite: bool = False
) -> list[PlanLine]:
    """Every line of the plan.

    Args:
        path: the plan.
        out: the batch's folder.
        invocation: where settings come from that a line does not state.
        overwrite: replace files that are there.

    Raises:
        UnusableInput: the file is missing or cannot be read.
        LibraryUnusable: a line names songs or stems, and there is no library to find them in.
        UsageError: it is no plan, some of its lines cannot be meant (all of them are named), or
            not one of its clips is there.
    """
    rows = read_rows(path)
    with contextlib.ExitStack() as stack:
        library = functools.cache(lambda: stack.enter_context(open_library(invocation.settings())))
        source = _Source(
            path.parent, out, invocation, library, functools.cache(_own_set_or_error), overwrite
        )
        checks = [_Check(row, source) for row in rows]
        lines = [check.line() for check in checks]
    problems = [(check.row.line, text) for check in checks for text in check.problems]
    problems += _shared_folders([line for line in lines if line is not None])
    missing = [(check.row.line, check.missing) for check in checks if check.missing]
    if problems or len(missing) == len(checks):
        raise _unusable(path, sorted([*problems, *missing]))
    return [line for line in lines if line is not None]


@dataclass(frozen=True)
class _Source:
    """What all rows share: the plan's folder, the batch's, and where the rest comes from."""

    base: Path
    out: Path
    invocation: Invocation
    library: Callable[[], Library]
    own_set: Callable[[Path], OwnSet | UnusableInput]
    overwrite: bool


class _Check:
    """One row on its way to a line; collects what is wrong with it instead of stopping.

    ``missing`` says that its clip is not there, which is no problem of the plan.
    """

    def __init__(self, row: Row, source: _Source) -> None:
        self.row = row
        self.problems = list(row.problems)
        self.missing = ""
        self._source = source

    def line(self) -> PlanLine | None:
        """The line; None when something is wrong with it."""
        if self.problems and not self.row.given:
            return None
        values, wrong = read_values(self.row.given)
        self.problems += wrong
        self._require_one_choice(values)
        clip = self._clip(values)
        settings = self._settings(values)
        if settings is None:
            return None
        into = self._into(values)
        own = None if into is None else self._attempt(lambda: _of(self._source.own_set(into)))
        if own is not None and values.tempo is None:
            values = replace(values, tempo=own.tempo_bpm)
        request = self._attempt(lambda: _request(values, clip, settings))
        wanted = self._attempt(lambda: self._wanted(values, settings))
        folder = self._folder(values, clip, settings)
        writing = self._attempt(lambda: self._writing(values, settings, folder))
        if self.problems or request is None or wanted is None or writing is None:
            return None
        return PlanLine(
            number=self.row.line,
            request=request,
            wanted=wanted,
            writing=writing,
            folder=folder,
            model=settings.model,
            rank=values.rank,
            top=values.top,
            stretcher=settings.stretcher,
            into=own,
        )

    def _attempt(self, make: Callable[[], _T]) -> _T | None:
        try:
            return make()
        except (UsageError, UnusableInput) as error:
            self.problems.append(f"{error.message} {error.hint}".strip().rstrip("."))
            return None

    def _require_one_choice(self, values: Values) -> None:
        if sum(getattr(values, name) is not None for name in EXCLUSIVE) > 1:
            self.problems.append(f"{', '.join(EXCLUSIVE)} exclude each other")

    def _clip(self, values: Values) -> Path:
        if values.clip is None:
            if "clip" not in " ".join(self.problems):
                self.problems.append("there is no clip")
            return self._source.base
        clip = self._source.base / Path(values.clip).expanduser()
        if not clip.exists():
            self.missing = f"the clip {clip} is not there"
        elif not clip.is_file():
            self.problems.append(f"the clip {clip} is not a file")
        return clip

    def _settings(self, values: Values) -> Settings | None:
        load = self._source.invocation.settings
        flags: dict[str, object] = {
            "model": values.model,
            "max_semitones": values.max_semitones,
            "tempo_range": values.tempo_range,
            "limit": values.limit,
            "format": values.format,
            "bit_depth": values.bit_depth,
            "sample_rate": values.sample_rate,
        }
        try:
            return load(**flags)
        except UsageError:  # tells of one value only: try them one by one
            attempts = (functools.partial(load, **{name: value}) for name, value in flags.items())
            wrong = [self._attempt(attempt) for attempt in attempts]
            return next((found for found in wrong if found is not None), None)

    def _folder(self, values: Values, clip: Path, settings: Settings) -> PurePosixPath:
        tempo = values.tempo
        key = Key.parse(values.key).short if values.key else "own key"
        shown: dict[str, str | int | float] = {
            "line": self.row.line,
            "clip": safe_name(clip.stem),
            "tempo": "own tempo" if tempo is None else int(tempo) if tempo % 1 == 0 else tempo,
            "key": key,
            "model": settings.model,
        }
        try:
            return folder_of(values.out or DEFAULT_TEMPLATE, shown)
        except TemplateError as error:
            self.problems.append(str(error))
            return PurePosixPath()

    def _wanted(self, values: Values, settings: Settings) -> SuggestOptions:
        wanted = suggest_options(
            tempo=values.tempo,
            key=values.key,
            transpose=values.transpose or 0,
            roles=values.roles or _DEFAULT_ROLES,
            exclude_song=None,
            include_own=bool(values.include_own) or values.stems is not None,
            limit=max(settings.limit, values.rank or 0, values.top or 0),
            settings=settings,
        )
        if values.exclude_song is not None:
            excluded = values.exclude_song.split(",")
            library = self._source.library()
            ids = frozenset(library.resolve(text, kind="song") for text in excluded)
            wanted = replace(wanted, exclude_songs=ids)
        if values.stems is not None:
            stems, roles = named_stems(self._source.library(), values.stems, "")
            wanted = replace(wanted, only_stems=stems, roles=parse_roles(roles))
        return wanted

    def _writing(self, values: Values, settings: Settings, folder: PurePosixPath) -> RenderOptions:
        return render_options(
            settings,
            out=self._source.out / folder,
            mix=values.mix is not False,
            clip=values.render_clip is not False,
            overwrite=self._source.overwrite,
            duck_db=values.duck or None,
            midi=values.midi,
            projects=project_maker(values.project, deliver=values.deliver, into=self._into(values)),
        )

    def _into(self, values: Values) -> Path | None:
        """The set to add to; relative paths count from the plan's folder."""
        return self._source.base / Path(values.into).expanduser() if values.into else None


def _own_set_or_error(path: Path) -> OwnSet | UnusableInput:
    """Both are kept: a set that many lines name is read once, whatever it is."""
    try:
        return own_set(path)
    except UnusableInput as error:
        return error


def _of(found: OwnSet | UnusableInput) -> OwnSet:
    if isinstance(found, UnusableInput):
        raise found
    return found


def _request(values: Values, clip: Path, settings: Settings) -> ClipRequest:
    return clip_request(
        clip,
        start=values.start or 0.0,
        end=values.end,
        bars=values.bars,
        clip_tempo=values.clip_tempo,
        clip_downbeat=values.clip_downbeat,
        clip_metre=values.clip_metre,
        clip_key=values.clip_key,
        settings=settings,
    )


def _shared_folders(lines: Sequence[PlanLine]) -> list[tuple[int, str]]:
    """Lines whose folder another line has, also where only upper case or accents differ."""
    first: dict[str, PlanLine] = {}
    problems = []
    for line in lines:
        name = unicodedata.normalize("NFC", str(line.folder)).casefold()
        other = first.setdefault(name, line)
        if other is not line:
            problems.append(
                (line.number, f"its folder {str(line.folder)!r} is line {other.number}'s")
            )
    return problems


def _unusable(path: Path, problems: Sequence[tuple[int, str]]) -> UsageError:
    shown = [f"line {number}: {text}." for number, text in problems[:_SHOWN]]
    more = len(problems) - len(shown)
    if more > 0:
        shown.append(f"and {more} more.")
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return UsageError(
        f"{path} has {count}, so nothing was rendered:\n  " + "\n  ".join(shown),
        hint="Mend the plan and run the same command again.",
        code="bad_plan",
    )
