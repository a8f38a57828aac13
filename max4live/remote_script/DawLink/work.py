"""What a person can have done: suggest, walk through the results, try, insert, remove.

Each command starts a job; a new one ends the one before. ``state`` is what the page shows, and
``say`` goes to Live's status line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .asking import Asking, files_of, whole_bar
from .clip import Refused, read_selected
from .engine import LONG_TICKS, Ask, EngineError
from .insertion import TOO_OLD, Stem, can_insert, insert_stem, place_of, remove
from .project import checked_render, project_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from .asking import Steps, Suggestion
    from .clip import SelectedClip
    from .engine import Engine, Job
    from .insertion import Inserted, Place
    from .shapes import MakeMarker, Song, Value

#: Suggestions that are asked for.
LIMIT = 8
#: Share by which an estimated tempo may be off.
SAME_TEMPO = 0.005
#: Roles that may be asked for, one stem of each in a suggestion.
ROLES = ("harmonic percussion", "harmonic", "percussion", "bass", "other", "*")


class Work:
    """The commands. Every public method is one; each may raise :class:`Refused`."""

    def __init__(
        self,
        song: Callable[[], Song],
        engine: Engine,
        *,
        say: Callable[[str], None],
        make_marker: MakeMarker,
    ) -> None:
        self._song, self._engine, self._say = song, engine, say
        self._make_marker = make_marker
        self._job: Optional[Job] = None
        self._asking = Asking(engine)
        self._clip: Optional[SelectedClip] = None
        self._clip_id = ""
        self._clip_life = 0
        self._clip_bpm = 0.0
        self._asked_at = 0.0
        self._tried: list[Inserted] = []
        self.found: list[Suggestion] = []
        self.picked = -1
        self.message = ""
        self.roles = ROLES[0]

    def state(self) -> dict[str, object]:
        """What the page shows."""
        return {
            "connected": self._engine.connected,
            "songs": self._engine.songs,
            "message": self.message,
            "clip": self._clip.name if self._clip is not None else "",
            "roles": self.roles,
            "picked": self.picked,
            "found": [{"score": one.score, "stems": one.told()} for one in self.found],
        }

    def say(self, sentence: str) -> None:
        """Shown in Live's status line and on the page."""
        self.message = sentence
        self._say("dawlink: " + sentence)

    def suggest(self, roles: str = "") -> None:
        """Asks for accompaniments of the selected clip."""
        if roles:
            if roles not in ROLES:
                raise Refused(f"Roles are one of: {', '.join(ROLES)}.")
            self.roles = roles
        self._start(self._suggesting())

    def pick(self, number: int) -> None:
        """Chooses a suggestion, from 1."""
        if not self.found:
            raise Refused("Press Suggest first.")
        self.picked = min(max(int(number) - 1, 0), len(self.found) - 1)
        self._tell_picked()

    def next(self) -> None:
        """Chooses the next suggestion."""
        self.pick(self.picked + 2)

    def previous(self) -> None:
        """Chooses the suggestion before."""
        self.pick(self.picked)

    def try_out(self) -> None:
        """Puts the chosen suggestion into the set for now, and plays it with the clip."""
        self._start(self._inserting(*self._choice(), trying=True))

    def insert(self) -> None:
        """Puts the chosen suggestion into the set; what was only tried is taken out."""
        self._start(self._inserting(*self._choice(), trying=False))

    def keep(self) -> None:
        """What was tried stays."""
        if not self._tried:
            raise Refused("Nothing was tried.")
        self._tried = []
        self.say("Kept.")

    def remove(self) -> None:
        """Takes out what was tried."""
        if not self._tried:
            raise Refused("Nothing was tried.")
        self._take_out()
        self.say("Removed.")

    def cancel(self) -> None:
        """Ends what is going on."""
        if self._job is None:
            raise Refused("Nothing is going on.")
        self._stop()
        self.say("Cancelled.")

    def _choice(self) -> tuple[Suggestion, SelectedClip]:
        if self._clip is None or not 0 <= self.picked < len(self.found):
            raise Refused("Press Suggest first.")
        self._clip.check_alive()
        return self.found[self.picked], self._clip

    def _start(self, steps: Job) -> None:
        self._stop()
        self._job = job = self._guarded(steps)
        self._engine.start(job)

    def _stop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._engine.stop(job)

    def _guarded(self, steps: Job) -> Job:
        """A job whose every failure becomes one sentence."""
        if not self._engine.connected:
            steps.close()
            self.say("The engine is not running. In a terminal: dawlink serve.")
            return
        try:
            yield from steps
        except (Refused, EngineError) as refusal:
            self.say(str(refusal))
        except Exception:  # a job's boundary: Live writes it into its log, the person is told
            self.say("Something went wrong; see Live's Log.txt.")
            raise
        self._job = None

    def _suggesting(self) -> Job:
        self.found, self.picked = [], -1
        clip = read_selected(self._song())
        self.say(f"Listening to {clip.name}.")
        self._asking.tell_session(self._song(), clip.path)
        asked_at = float(self._song().tempo)
        clip_id = yield from self._introduce(clip)
        self._asked_at = asked_at
        self.found = yield from self._asking.suggest(clip_id, LIMIT, self.roles)
        if not self.found:
            raise Refused("Nothing fits. Add songs, or choose other roles.")
        self.pick(1)

    def _introduce(self, clip: SelectedClip) -> Steps[str]:
        life = self._engine.life
        clip_id, self._clip_bpm = yield from self._asking.introduce(clip)
        self._clip, self._clip_id, self._clip_life = clip, clip_id, life
        return clip_id

    def _inserting(self, one: Suggestion, clip: SelectedClip, *, trying: bool) -> Job:
        song = self._song()
        told, clip = clip, clip.read_again()
        project = project_folder(song, clip.path)
        self._asking.tell_session(song, clip.path)
        if clip.gain_db != told.gain_db or self._clip_life != self._engine.life:
            yield from self._introduce(clip)
        self._clip = clip
        tempo_bpm = float(song.tempo)
        # An unwarped clip's bars keep their seconds when the set changes its tempo.
        faster = 1.0 if clip.warped else tempo_bpm / self._asked_at
        place, start_beat, bars = place_of(
            clip,
            offset_beats=one.offset_beats * faster,
            bars=one.bars,
            bar_beats=self._asking.bar_beats,
            tempo_bpm=tempo_bpm,
        )
        kinds = "wav" if can_insert(song) else "wav alc"
        self.say(f"Rendering {one.hits[0][4]}.")
        answer = yield Ask(
            "/dawlink/render",
            [one.ids, self._clip_id, float(start_beat), float(bars), kinds],
            wait_ticks=LONG_TICKS,
            on_part=self._progress,
        )
        files = files_of(answer)
        clip.check_alive()
        place.beats = float(answer.values[3])  # as the engine counts, which may have another metre
        if kinds != "wav":
            path = (files.get("alc") or files.get("wav") or [""])[0]
            raise Refused(f"{TOO_OLD}{checked_render(path, project)}")
        paths = [str(checked_render(path, project)) for path in files.get("wav", ())]
        if len(paths) != len(one.hits):
            raise Refused(f"The engine rendered {len(paths)} of {len(one.hits)} stems.")
        stems = [Stem(path, str(hit[4]), str(hit[3])) for path, hit in zip(paths, one.hits)]  # noqa: B905 - not in 3.7
        bpm = self._put(stems, place, clip, trying=trying)
        yield Ask("/dawlink/inserted", [int(bpm > 0), float(bpm)])

    def _progress(self, address: str, values: list[Value]) -> None:
        if address == "/dawlink/render/progress":
            self.message = f"Rendering, {round(100 * float(values[0]))} %."

    def _put(self, stems: list[Stem], place: Place, clip: SelectedClip, *, trying: bool) -> float:
        """Into the set, as one step of undo; the lowest tempo read back, 0.0 if one is wrong."""
        song = self._song()
        song.begin_undo_step()
        made: list[Inserted] = []
        try:
            self._take_out()
            for stem in stems:
                made.append(insert_stem(song, stem, place, make_marker=self._make_marker))
        except Refused:
            for inserted in made:
                remove(song, inserted)
            raise
        finally:
            song.end_undo_step()
        if trying:
            self._tried = made
            self._play(made, place, clip)
        exact = all(inserted.bpm for inserted in made)
        self.say(_outcome(trying=trying, exact=exact) + self._metre(song) + self._apart(clip))
        return min(inserted.bpm for inserted in made)

    def _metre(self, song: Song) -> str:
        """What a person has to know of the metre, behind another sentence."""
        if whole_bar(song):
            return ""
        signature = f"{song.signature_numerator}/{song.signature_denominator}"
        return f" In {signature} dawlink counts bars of {self._asking.bar_beats} quarters."

    def _apart(self, clip: SelectedClip) -> str:
        """The stems are at the set's tempo, an unwarped clip may be at another."""
        ratio = self._clip_bpm / float(self._song().tempo)
        same = any(abs(ratio * times - 1) < SAME_TEMPO for times in (0.5, 1, 2))
        if clip.warped or same or not self._clip_bpm:
            return ""
        return " This clip is not warped: it does not follow the set's tempo."

    def _play(self, made: list[Inserted], place: Place, clip: SelectedClip) -> None:
        if place.arranged:
            return
        for inserted in made:
            inserted.clip.canonical_parent.fire()
        clip.clip.canonical_parent.fire()  # anew, where it plays already: all begin together

    def _take_out(self) -> None:
        tried, self._tried = self._tried, []
        for inserted in tried:
            remove(self._song(), inserted)

    def _tell_picked(self) -> None:
        one = self.found[self.picked]
        stems = ", ".join(f"{hit[4]} ({hit[3]}, {int(hit[6]):+d})" for hit in one.hits)
        position = f"{self.picked + 1} of {len(self.found)}"
        self.say(f"{position}: {stems}, fit {round(100 * one.score)} %")


def _outcome(*, trying: bool, exact: bool) -> str:
    if not exact:
        return "Inserted without warp: it plays right at this tempo only."
    return "Trying it: Keep or Remove." if trying else "Inserted."
