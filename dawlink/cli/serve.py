"""``dawlink serve``: the engine daemon. The port answers before anything heavy is imported."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer

import dawlink
from dawlink.cli.context import invocation
from dawlink.cli.output import emit_json_line, emit_text
from dawlink.settings import Settings
from engine.errors import EngineUnreachable, UsageError
from engine.parallel.stop_signals import STOP_SIGNALS

app = typer.Typer(help="Run the engine for the DAW.")
_LOGGER: Final = logging.getLogger(__name__)
#: Each worker thread computes on its own; numeric libraries must not start more of them.
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Room for datagrams that come in while the loop is busy [bytes]; systems give what they allow.
_RECEIVE_BYTES: Final = 4 << 20


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="UDP port; 0: any free one.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="DAWLINK_TOKEN",
            help="Word that every client must know; needed where others can reach the port.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print where it listens as JSON.")] = False,
) -> None:
    """Answer Live and other OSC clients until it is stopped (Ctrl-C, SIGTERM)."""
    settings = invocation(ctx).settings(host=host, port=port)
    _require_token(settings.host, token)
    for variable in _THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    door = _bound(settings)
    # The selector loop everywhere: on Windows the other one may stop hearing when a client is gone.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        try:
            idle = runner.run(_serve(settings, door, token, json=json))
        finally:
            door.close()
    if not idle:
        _leave_threads_behind()


def _leave_threads_behind() -> None:
    """End now. What the threads still do is of use to nobody, and no file of it has its name."""
    _LOGGER.info("Not waiting for work that nobody needs any more.")
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


async def _serve(settings: Settings, door: socket.socket, token: str | None, *, json: bool) -> bool:
    """Serve until told to stop; False when some work has not ended by then."""
    from dawlink.osc.desk import PROTOCOL, Desk
    from dawlink.osc.jobtable import JobTable
    from dawlink.osc.runfile import RunFile
    from dawlink.osc.server import Daemon, Doorway
    from dawlink.osc.service import EngineService
    from dawlink.osc.workers import Workers

    service, workers, jobs = EngineService(settings), Workers(), JobTable()
    daemon = Daemon(service, Desk(service, workers, jobs), Doorway(token))
    host, port = door.getsockname()[:2]
    run_file = RunFile(
        os.getpid(), host, port, PROTOCOL, dawlink.__version__, str(settings.library)
    )
    _stop_on_signals(daemon.stop)
    run_file.write()
    if json:
        emit_json_line({"host": host, "port": port, "pid": run_file.pid, "protocol": PROTOCOL})
    else:
        emit_text(f"dawlink engine listens on {host}:{port}")
    try:
        await daemon.run(door, workers)
    finally:
        run_file.remove()
        jobs.close()
    return not workers.busy


def _stop_on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:  # as nohup asks
            continue
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def _bound(settings: Settings) -> socket.socket:
    """The socket on its port.

    Raises:
        EngineUnreachable: the port is taken.
        UsageError: there is no such address here.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_DGRAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        if exclusive is not None:  # without it Windows lets two programs share a port
            door.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        door.bind((settings.host, settings.port))
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE or (os.name == "nt" and error.errno == errno.EACCES):
            raise _taken(settings) from error
        if error.errno == errno.EACCES:
            raise UsageError(
                f"This user may not listen on port {settings.port}.",
                hint="Choose a port above 1023 with --port.",
                code="bad_port",
            ) from error
        raise UsageError(
            f"{settings.host} is no address of this computer: {error.strerror or error}.",
            hint="The default is --host 127.0.0.1.",
            code="bad_host",
        ) from error
    door.setblocking(False)
    return door


def _taken(settings: Settings) -> EngineUnreachable:
    from dawlink.osc.holder import named_holder

    holder = named_holder(settings.host, settings.port)
    hint = "Use that one, stop it, or choose another with --port."
    return EngineUnreachable(
        f"UDP port {settings.port} is taken by {holder.text}.",
        hint=hint if holder.is_engine else "Choose another with --port; --port 0 is any free one.",
        code="port_taken",
    )


def _require_token(host: str, token: str | None) -> None:
    if token is not None and (not token or any(letter.isspace() for letter in token)):
        raise UsageError("A token is one word.", hint="Give --token without spaces.")
    if not _is_loopback(host) and token is None:
        raise UsageError(
            f"{host} can be reached by other computers, and no --token was given.",
            hint="Add --token WORD, which every client must then send, or use --host 127.0.0.1.",
            code="no_token",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
