"""Reads the role that a stem plays from its file name.

A name is folded to plain lower-case words (accents, separators, CamelCase and numbers go), and
every word that is known votes for a role with a weight: an explicit drum piece beats ``bass``
(``BassKick``), ``bass`` and voices beat other instruments (``Synth Bass``, ``Bass Guitar``),
instruments beat effects, and ``master`` or ``mix`` only count when nothing else does (``Drum
Mix``). Between equal weights the last word wins, as the head noun does in English (``Bass
Vocal``). Words run together are taken apart when all their parts are known (``leadguitar``).

Decided where usage differs: a lone ``808`` is the bass that producers mean by it; with a drum
word (``808 Kick``) or as ``TR-808`` it is drums. A choir is ``vocals``. ``Instrumental`` is a
``mix``. A prefix of the form ``role__`` is an explicit statement and wins over the rest.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.theory import Role

__all__ = ["NamedRole", "named_role", "role_of"]


@dataclass(frozen=True)
class NamedRole:
    """A role, the word that named it and that word's weight [0, 5]."""

    role: Role
    word: str
    weight: int


_PIECE, _MAIN, _DEFAULT, _INSTRUMENT, _EFFECT, _MIX = 5, 4, 3, 2, 1, 0

#: Weight and role of words, English first, then German, French, Spanish, Italian, Portuguese,
#: Dutch, Polish, Swedish, Russian, Japanese. Accents are already folded, plurals in s follow.
_WORDS: Final[Sequence[tuple[int, Role, str]]] = (
    (_PIECE, "drums", "kick kik kck snare snr hat hihat hh ohh chh tom cymbal cym clap snap"
        " crash shaker tamb tambourine conga bongo cowbell rimshot rim timbale cajon clave"
        " overhead bassdrum kickdrum bd sd becken grossetrommel bombo caja platillo cassa rullante"
        " piatti chimbal hihhat djembe tabla taiko"),
    (_PIECE, "other", "bassoon steeldrum steelpan fagott contrabassoon"),
    (_PIECE, "bass", "contrabass kontrabass contrabasse contrabbasso contrabajo"),
    (_MAIN, "drums", "drum drs drm drms dms percussion perc prc 909 707 breakbeat beatbox"
        " schlagzeug trommel trommeln perkussion batterie bateria percusion batteria percussioni"
        " percussione percussao drumstel slagwerk perkusja trummor davul"
        " барабаны ударные ドラム パーカッション"),
    (_MAIN, "bass", "bass subbass bassline bassgitarre basse bajo basso baixo bas basy"
        " бас ベース"),
    (_MAIN, "vocals", "vocal vox voc vx voice bgvox bgv bv bvox leadvox ldvox acapella acappella"
        " accapella adlib choir vocoder rap singer singing gesang stimme stimmen chor voix chant"
        " choeur voz voces vozes coro voce voci vokal vocale vocali zang wokal wokale sang"
        " вокал голос ボーカル コーラス"),
    (_DEFAULT, "bass", "808 sub"),
    (_INSTRUMENT, "other", "guitar gtr gt egtr agtr piano pno epiano ep keyboard key keys organ"
        " rhodes wurli wurlitzer clav clavinet synth syn synthesizer minilogue pad string violin"
        " viola cello horn brass trumpet trombone sax saxophone flute clarinet oboe woodwind"
        " wind orchestra pluck mallet marimba vibraphone vibe xylophone glockenspiel bell arp"
        " arpeggio harp banjo mandolin ukulele sitar accordion harmonica other strs"
        " gitarre gitarren klavier streicher blaser blaeser orgel flote floete geige tasten"
        " guitare clavier cordes cuivres orgue nappe guitarra teclado cuerdas metales"
        " chitarra tastiera tastiere archi fiati ottoni pianoforte violao gitaar toetsen gitara"
        " klawisze gitarr гитара клавиши синт ギター キーボード シンセ ピアノ ストリングス"),
    (_EFFECT, "other", "fx sfx effect effekt efx riser sweep impact ambience ambient atmo atmos"
        " atmosphere texture noise drone lead melody chord stab harmonic melodie melodia"),
    (_EFFECT, "drums", "beat break ride oh groovebox loop808 percloop"),
    (_EFFECT, "vocals", "harmony harmonies bgs spoken speech"),
    (_MIX, "mix", "master mastered mixdown mix fullmix premaster mixed instrumental stereomix"
        " 2mix rough gesamtmix mixage"),
)  # fmt: skip

#: Neighbouring words that mean something else together.
_PAIRS: Final[Mapping[tuple[str, str], tuple[int, Role]]] = {
    ("bass", "drum"): (_PIECE, "drums"),
    ("grosse", "caisse"): (_PIECE, "drums"),
    ("caisse", "claire"): (_PIECE, "drums"),
    ("hi", "hat"): (_PIECE, "drums"),
    ("tr", "808"): (_MAIN, "drums"),
    ("steel", "drum"): (_PIECE, "other"),
    ("steel", "pan"): (_PIECE, "other"),
    ("hang", "drum"): (_PIECE, "other"),
    ("bass", "clarinet"): (_PIECE, "other"),
    ("bass", "trombone"): (_PIECE, "other"),
    ("bass", "flute"): (_PIECE, "other"),
    ("double", "bass"): (_PIECE, "bass"),
    ("kick", "bass"): (_PIECE, "drums"),
    ("sub", "bass"): (_MAIN, "bass"),
    ("top", "loop"): (_MAIN, "drums"),
    ("ad", "lib"): (_MAIN, "vocals"),
    ("back", "track"): (_MIX, "mix"),
    ("backing", "track"): (_MIX, "mix"),
    ("vox", "amp"): (_INSTRUMENT, "other"),
}
#: Words that say nothing about the role but may be run together with one that does.
_MODIFIER_LIST: Final = (
    "lead main back backing bg background male female loop track stem bus group sum dry wet left"
    " right stereo mono top rhythm acoustic electric clean dist solo intro outro fill open closed"
    " low high mid alt double slap mute soft hard deep ld e lib"
)
_MODIFIERS: Final = frozenset(_MODIFIER_LIST.split())
#: Letters that Unicode does not take apart.
_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l"})

_AUDIO_SUFFIX: Final = re.compile(r"(?i)\.(wav|aiff?|flac|mp3|m4a|ogg|opus|aac|wv)$")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_EXPLICIT: Final = re.compile(r"^(vocals|drums|bass|other|mix)(?:_[a-z]+)?__", re.IGNORECASE)
_EXPLICIT_WEIGHT: Final = 5


def role_of(name: str) -> Role | None:
    """The role that a file name (with or without suffix) tells, None when it tells none."""
    found = named_role(name)
    return found.role if found else None


def named_role(name: str) -> NamedRole | None:
    """As :func:`role_of`, with the word that decided."""
    explicit = _EXPLICIT.match(name)
    if explicit:
        role = _STATED[explicit[1].lower()]
        return NamedRole(role, explicit[0].lower(), _EXPLICIT_WEIGHT)
    votes = list(_votes(_words_of(name)))
    if not votes:
        return None
    heaviest = max(vote.weight for vote in votes)
    return [vote for vote in votes if vote.weight == heaviest][-1]


_STATED: Final[Mapping[str, Role]] = {
    "vocals": "vocals",
    "drums": "drums",
    "bass": "bass",
    "other": "other",
    "mix": "mix",
}


def _votes(words: Sequence[str]) -> list[NamedRole]:
    """What every word, and every pair of neighbours, says; a pair silences its two words."""
    votes: list[NamedRole] = []
    index = 0
    while index < len(words):
        pair = _PAIRS.get((words[index], words[index + 1])) if index + 1 < len(words) else None
        if pair:
            votes.append(NamedRole(pair[1], " ".join(words[index : index + 2]), pair[0]))
            index += 2
            continue
        single = _vocabulary().get(words[index])
        if single:
            votes.append(single)
        index += 1
    return votes


def _words_of(name: str) -> list[str]:
    """Plain lower-case words, singular where that is known, joined words taken apart."""
    bare = _AUDIO_SUFFIX.sub("", _AUDIO_SUFFIX.sub("", name))
    split = _CAMEL.sub(" ", unicodedata.normalize("NFC", bare))
    words: list[str] = []
    for raw in _WORD.findall(split):
        word = _folded(raw)
        words.extend(_taken_apart(word) or (_singular(word),))
    return words


def _folded(word: str) -> str:
    """Lower case without accents; scripts without case and accents stay as they are."""
    text = word.casefold().translate(_LIGATURES)
    if not any(character.isascii() for character in unicodedata.normalize("NFKD", text)):
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _singular(word: str) -> str:
    if _is_known(word) or not word.endswith("s"):
        return word
    return next((cut for cut in (word[:-1], word[:-2]) if _is_known(cut)), word)


def _is_known(word: str) -> bool:
    return word in _vocabulary() or word in _MODIFIERS


@functools.lru_cache(maxsize=4096)
def _taken_apart(word: str) -> tuple[str, ...]:
    """Two to four known words that spell ``word``, at least one naming a role; else nothing."""
    if _singular(word) in _vocabulary() or len(word) < 5:
        return ()
    for cut in range(len(word) - 2, 1, -1):
        head, tail = _singular(word[:cut]), word[cut:]
        if len(head) < 2 or not _is_known(head):
            continue
        whole = _singular(tail)
        rest = (whole,) if _is_known(whole) else _taken_apart(tail)
        if rest and len(rest) < 4 and any(w in _vocabulary() for w in (head, *rest)):
            return (head, *rest)
    return ()


@functools.cache
def _vocabulary() -> dict[str, NamedRole]:
    return {
        word: NamedRole(role, word, weight)
        for weight, role, words in _WORDS
        for word in words.split()
    }
