"""A process that has imported what takes seconds, and forks for every call of a program.

A call is a process of its own, with its own arguments, folder and environment, that has imported neither
Kipoi nor this package before it begins; only the libraries under them are there.

    python tests/kipoi_server.py PROGRAM

Reads lines of JSON (argv, cwd, env, and files for the two outputs), and answers each with the exit status.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

# tensorflow and keras: their threads begin with the first tensor, so that there are none to be forked.
LIBRARIES = ("numpy", "pandas", "h5py", "pyarrow", "scipy", "xarray", "pysam", "tensorflow", "keras")
TIMEOUT = 600  # seconds of a call


class KipoiServer:
    """The process, seen from the tests.

    Parameters
    ----------
    program
        The script that calls run, such as ``bin/kipoi``.
    folder
        A folder for what calls print.
    env
        Environment of the libraries.
    """

    def __init__(self, program: Path, folder: Path, env: dict[str, str]) -> None:
        self._program = str(program)
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, __file__, program],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, args: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Call the program."""
        printed = [self._folder / "stdout", self._folder / "stderr"]
        call = {"args": args, "cwd": str(cwd), "env": env, "printed": list(map(str, printed))}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(call), file=self._process.stdin, flush=True)
        limit = threading.Timer(TIMEOUT, os.killpg, (self._process.pid, signal.SIGKILL))
        limit.start()
        status = int(self._process.stdout.readline())
        limit.cancel()
        command = [self._program, *args]
        return subprocess.CompletedProcess(command, status, *(path.read_text() for path in printed))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def begin(program: str, call: dict[str, Any]) -> None:
    """Be the process of a call, up to its first line."""
    os.environ.clear()
    os.environ.update(call["env"])
    os.chdir(call["cwd"])
    for number, path in enumerate((os.devnull, *call["printed"])):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0)  # noqa: SIM115
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    sys.argv = [program, *call["args"]]
    sys.path[0] = os.path.dirname(program)


def run_to_its_end(program: str) -> int:
    """Run the program; its exit status, as Python gives it."""
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as exit:
        if exit.code is None or isinstance(exit.code, int):
            return exit.code or 0
        print(exit.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def end(status: int) -> NoReturn:
    """End the process of a call as Python does, but for taking its libraries apart, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xFF)


def serve(program: str) -> None:
    """Answer calls until there are no more."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # a call's own garbage alone is looked through, so that the pages of the rest stay shared
    answers = os.fdopen(os.dup(1), "w")
    while line := sys.stdin.readline():
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
        else:
            answers.close()
            begin(program, json.loads(line))
            end(run_to_its_end(program))


if __name__ == "__main__":
    serve(sys.argv[1])
