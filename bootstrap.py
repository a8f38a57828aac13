#!/usr/bin/env python3
"""Sets dawlink up in ``.venv`` beside this file, and runs it.

    python3 bootstrap.py demo     set up, then run ``dawlink demo``
    python3 bootstrap.py test     set up with the developer tools, then ruff, mypy and pytest
    python3 bootstrap.py setup    set up only, and try again whatever could not be installed

Arguments after the command go to ``dawlink demo`` or to pytest. Needs Python 3.11 or newer and
nothing else: only the standard library is used here. The second run is quick: a stamp in ``.venv``
holds a hash of ``pyproject.toml``, ``constraints.txt``, this file and the Python version, and
while it matches nothing is installed. Two things may be missing afterwards without harm, and
``dawlink doctor`` says so: madmom (needs a C compiler; another beat tracker takes its place) and
the program ``rubberband`` (a second stretcher; the one in process needs no program). Tests whose
programs are missing are skipped and say why.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "dawlink-setup.json"
CONSTRAINTS = ROOT / "constraints.txt"
#: madmom 0.16.1 has no wheels and lists no build requirements: they must be there beforehand.
MADMOM = "madmom==0.16.1"
MADMOM_BUILD = ("cython<3", "numpy", "scipy", "setuptools", "wheel", "mido")
#: Optional programs and the Debian packages they come in: a second stretcher.
PROGRAMS = {"rubberband": ("rubberband-cli",)}
#: The tests drive the engine by a foreign OSC client, run the device's script in an ES5 engine,
#: render MIDI files into stems with sung voices, let a real DAW play the projects, and start
#: PostgreSQL servers of their own.
DEVELOPER_PROGRAMS = {
    "oscsend": ("liblo-tools",),
    "mujs": ("mujs",),
    "fluidsynth": ("fluidsynth", "timgm6mb-soundfont"),
    "espeak-ng": ("espeak-ng",),
    "ardour7-export": ("ardour",),
    "pg_ctlcluster": ("postgresql",),
}
#: Test files run side by side, one for each core up to four: they start servers and engines too.
SIDE_BY_SIDE = ("-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile")
#: Lines of a failed command's output that are shown.
SHOWN_LINES = 30
#: A build or a download that takes longer than this [s] will not come to an end.
STEP_TIMEOUT_S = 3600


class SetupFailed(Exception):
    """A necessary step of the set-up did not work; the text says which and what to do."""


def main(arguments):
    """Run one command; returns the exit code."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        print(
            f"dawlink needs Python 3.11 or newer, this is {found}. "
            "Install a newer one and run: python3.11 bootstrap.py demo",
            file=sys.stderr,
        )
        return 2
    commands = {"demo": demo, "test": test, "setup": setup_again}
    if not arguments or arguments[0] not in commands:
        print(__doc__.strip(), file=sys.stderr)
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    try:
        return commands[arguments[0]](arguments[1:])
    except SetupFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        return 130


def demo(arguments):
    """Set up and play the demo."""
    set_up(developer=False)
    return run_here([str(executable("dawlink")), "demo", *arguments])


def test(arguments):
    """Set up and run every check; all of them run even when one fails."""
    set_up(developer=True)
    python = str(executable("python"))
    checks = {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy"],
        "pytest": [python, "-m", "pytest", "-m", "not network", *SIDE_BY_SIDE, *arguments],
    }
    failed = []
    for name, command in checks.items():
        print(f"== {name}", flush=True)
        if run_here(command, folder=ROOT) != 0:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed", flush=True)
    return 1 if failed else 0


def setup_again(arguments):
    """Install everything, whatever the stamp says."""
    if arguments:
        raise SetupFailed(f"setup takes no arguments, got {' '.join(arguments)}.")
    set_up(developer=stamp().get("developer", False), force=True)
    print(f"dawlink is ready: {executable('dawlink')} --help")
    return 0


def set_up(developer, force=False):
    """Bring ``.venv`` to what pyproject.toml and constraints.txt ask for."""
    wanted = fingerprint()
    done = stamp()
    if not force and done.get("fingerprint") == wanted and (done["developer"] or not developer):
        return
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    make_venv()
    extra = "[dev]" if developer else ""
    say("installing dawlink and what it needs (PyTorch is large: a few minutes the first time)")
    pip(["-c", str(CONSTRAINTS), "-e", f"{ROOT}{extra}"])
    install_madmom()
    install_programs(developer)
    STAMP.write_text(json.dumps({"fingerprint": wanted, "developer": developer}), encoding="utf-8")
    say(f"set up in {time.monotonic() - started:.0f} s")


def make_venv():
    """Create ``.venv``, or keep the one that works."""
    python = executable("python")
    if python.exists() and succeeds([str(python), "-c", "import sys, pip"]):
        return
    say(f"making {VENV}")
    try:
        run_hidden([sys.executable, "-m", "venv", "--clear", str(VENV)])
    except SetupFailed as failure:
        raise SetupFailed(
            f"{failure}\nPython could not make a virtual environment; on Debian and Ubuntu: "
            "apt-get install python3-venv"
        ) from failure


def install_madmom():
    """Build madmom; without a compiler dawlink tracks beats with its fallback."""
    python = str(executable("python"))
    if succeeds([python, "-c", "import importlib.metadata as m; m.version('madmom')"]):
        return
    say("building madmom (beats, downbeats, key)")
    try:
        pip(["-c", str(CONSTRAINTS), *MADMOM_BUILD])
        options = ["-c", str(CONSTRAINTS), "--no-build-isolation", MADMOM]
        pip(options, {"CYTHON_FORCE_REGEN": "1"})
    except SetupFailed:
        say(
            "madmom could not be built (it needs a C compiler): dawlink uses its fallback beat "
            "tracker. With a compiler installed, run: python3 bootstrap.py setup"
        )


def install_programs(developer):
    """Get the optional programs where that is possible without asking; say which are missing."""
    programs = {**PROGRAMS, **(DEVELOPER_PROGRAMS if developer else {})}
    missing = {name: packages for name, packages in programs.items() if not shutil.which(name)}
    packages = sorted(package for names in missing.values() for package in names)
    may_install = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    if missing and may_install:
        say(f"installing optional programs: {' '.join(packages)}")
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        for command in (install, ["apt-get", "update"], install):
            if succeeds(command, environment) and command is install:
                return
    if missing:
        mend = f": apt-get install {' '.join(packages)}" if sys.platform == "linux" else ""
        say(f"missing, and not needed for the main job: {', '.join(sorted(missing))}{mend}")


def fingerprint():
    """What the installed environment depends on, as one hash."""
    digest = hashlib.sha256(sys.version.encode())
    for source in (ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__).resolve()):
        digest.update(source.read_bytes())
    digest.update(str(ROOT).encode())
    return digest.hexdigest()


def stamp():
    """What the last complete set-up left behind, or nothing."""
    try:
        found = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if executable("dawlink").exists() else {}


def executable(name):
    """Path of a program in ``.venv``."""
    if os.name == "nt":
        return VENV / "Scripts" / f"{name}.exe"
    return VENV / "bin" / name


def pip(arguments, environment=None):
    """``pip install`` into ``.venv``; shows its output only when it fails."""
    command = [str(executable("python")), "-m", "pip", "install", "--quiet", *arguments]
    run_hidden(command, {"PIP_DISABLE_PIP_VERSION_CHECK": "1", **(environment or {})})


def run_hidden(command, environment=None):
    """Run to the end, keeping the output back unless it fails."""
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupFailed(f"{' '.join(command)} did not run: {error}") from error
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-SHOWN_LINES:])
        raise SetupFailed(f"{' '.join(command)} exited with {result.returncode}:\n{tail}")


def succeeds(command, environment=None):
    """Whether a command exits with 0."""
    try:
        run_hidden(command, environment)
    except SetupFailed:
        return False
    return True


def run_here(command, folder=None):
    """Run with this terminal's input and output; returns the exit code."""
    return subprocess.run(command, cwd=folder, check=False).returncode


def say(text):
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
