"""``dawlink demo``: the main job from end to end with nothing prepared."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dawlink.cli.context import invocation
from dawlink.cli.options import Json
from dawlink.cli.output import emit_json, emit_text, progress
from dawlink.cli.render import project_maker, render_and_describe, render_options
from dawlink.cli.suggest import print_reply
from dawlink.documents import Document, suggest_document
from engine.clips.clip import ClipRequest
from engine.engine import Engine
from engine.ingest.adding import AddOptions, add_sources, plan_all
from engine.suggestions import SuggestOptions

app = typer.Typer(help="Try everything with songs made on the spot.")
_LOGGER = logging.getLogger(__name__)

#: Suggestions that the demo renders.
RENDERED = 3
#: Projects of the best one.
PROJECTS = "als,dawproject"


@app.command()
def demo(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for songs, library and renders.")
    ] = Path("dawlink-demo"),
    json: Json = False,
) -> None:
    """Synthesise a dozen songs, add them, rank them for a vocal and render the best three."""
    from dawlink.demo import write_demo_vocal

    settings = invocation(ctx).settings()
    library = out / "library"
    songs = _songs(out / "songs")
    vocal = write_demo_vocal(out)
    _add(songs, library, jobs=settings.workers)
    with Engine.open(library) as engine:
        reply = engine.suggest(ClipRequest(vocal), SuggestOptions(), model=settings.model)
        if not json:
            print_reply(reply)
        writing = render_options(settings, out=out / "renders", overwrite=True)
        best = replace(writing, projects=project_maker(PROJECTS), midi=True)
        document, rendered = render_and_describe(engine, reply, reply.suggestions[:1], best)
        others = reply.suggestions[1:RENDERED]
        more, more_rendered = render_and_describe(engine, reply, others, writing)
        renders = [*_renders(document), *_renders(more)]
        rendered += more_rendered
    pictures = []
    for item in rendered:
        from dawlink.pictures import plot_render

        pictures.append(item.description.with_suffix(".png"))
        plot_render(item, pictures[-1], title=reply.clip.title)
    if json:
        emit_json(
            {
                "out": str(out.resolve()),
                "library": str(library.resolve()),
                "vocal": str(vocal.resolve()),
                "suggest": suggest_document(reply),
                "renders": renders,
                "pictures": [str(picture) for picture in pictures],
            }
        )
        return
    mixes = [item.mix.path for item in rendered if item.mix]
    emit_text(f"\nlisten   {mixes[0].resolve()}")
    for mix in mixes[1:]:
        emit_text(f"         {mix.resolve()}")
    for project in rendered[0].projects:
        emit_text(f"open     {project}")
    emit_text(f"look     {pictures[0]}")
    emit_text(f"songs    {(out / 'songs').resolve()}")
    emit_text(f"library  {library.resolve()}")
    emit_text(f"again    dawlink --library {library} suggest '{vocal}'")


def _renders(document: Document) -> list[object]:
    renders = document["renders"]
    assert isinstance(renders, list)
    return renders


def _songs(folder: Path) -> list[Path]:
    from dawlink.demo import DEMO_SONGS, write_demo_songs

    with progress("synthesising songs", total=len(DEMO_SONGS)) as bar:
        folders = []
        for song in DEMO_SONGS:
            bar.describe(f"synthesising {song.title}")
            folders += write_demo_songs(folder, [song])
            bar.advance()
    return folders


def _add(songs: list[Path], library: Path, *, jobs: int) -> None:
    options = AddOptions(stems=True, jobs=jobs)
    plans, _ = plan_all(songs, options)
    with progress("analysing songs", total=len(plans)) as bar:
        for outcome in add_sources(plans, library, options):
            bar.advance()
            bar.describe(f"analysed {outcome.title}")
            if outcome.error is not None:
                raise outcome.error
