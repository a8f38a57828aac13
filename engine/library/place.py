"""Where a library is: a folder of its own, or a database server and a folder that machines share.

A studio's library has its rows on a PostgreSQL server and its files (audio, features) in a folder
that every machine sees, such as a network drive::

    postgresql://USER@HOST:PORT/DATABASE?files=/mnt/studio/dawlink[&cache=FOLDER][&sslmode=require]

``files`` may lie elsewhere on each machine: rows name files by their content, never by a path.
``cache`` is this machine's own folder for what can be made again. All other parameters go to
PostgreSQL's client library. A URL may hold a password, so no text made here for people holds one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

__all__ = ["DATABASE_NAME", "LibraryPlace", "ServerPlace", "files_of", "parse_place", "redacted"]

#: The database of a library that is a folder of its own.
DATABASE_NAME: Final = "library.sqlite"
_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")
_SERVER: Final = re.compile(rf"({'|'.join(map(re.escape, _SCHEMES))}):", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"://[^\s]*@")
_PASSWORDS: Final = re.compile(r"((?:ssl)?password=)[^&\s'\"]+", re.IGNORECASE)
_EXPECTED: Final = "postgresql://HOST/DATABASE?files=/SHARED/FOLDER"


@dataclass(frozen=True)
class ServerPlace:
    """A library on a server.

    Args:
        url: ``postgresql://…`` as PostgreSQL's client takes it; may hold a password.
        name: the same for people: server, port and database.
        files: the shared folder of audio and features, as this machine sees it.
        cache: this machine's folder for what can be made again.
    """

    url: str = field(repr=False)
    name: str
    files: Path
    cache: Path

    def __str__(self) -> str:
        return f"{self.name}?files={self.files}"


LibraryPlace = Path | ServerPlace


def parse_place(text: str) -> LibraryPlace:
    """The place that a text names: a URL of a server, or else a folder.

    Raises:
        ValueError: a URL that is not right; says what was expected and holds nothing of the URL.
    """
    return _parse_server(text) if _SERVER.match(text.strip()) else Path(text).expanduser()


def _parse_server(text: str) -> ServerPlace:
    """The library that a URL names.

    Raises:
        ValueError: says what was expected; holds nothing of the URL.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(_EXPECTED) from error
    database = parts.path.strip("/")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    files = Path(given.pop("files", "")).expanduser()
    if parts.scheme.lower() not in _SCHEMES or not database or "/" in database:
        raise ValueError(_EXPECTED)
    if not files.is_absolute():
        raise ValueError(f"{_EXPECTED}, whose folder begins at the root")
    host = parts.hostname or given.get("host", "")
    name = f"postgresql://{f'[{host}]' if ':' in host else host}"
    name += f":{port}/{database}" if port else f"/{database}"
    cache = Path(given.pop("cache", "")).expanduser()
    query = f"?{urlencode(given, quote_via=quote)}" if given else ""
    return ServerPlace(
        url=f"postgresql+psycopg://{parts.netloc}/{database}{query}",
        name=name,
        files=files,
        cache=cache if cache.is_absolute() else _own_cache(name),
    )


def files_of(place: LibraryPlace) -> Path:
    """The folder of a library's files."""
    return place if isinstance(place, Path) else place.files


def redacted(text: str) -> str:
    """The text without what stands where a URL has its user and password."""
    return _PASSWORDS.sub(r"\1***", _CREDENTIALS.sub("://***@", text))


def _own_cache(name: str) -> Path:
    import platformdirs

    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return platformdirs.user_cache_path("dawlink", False) / "libraries" / digest
