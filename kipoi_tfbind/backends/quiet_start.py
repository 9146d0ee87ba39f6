"""TensorFlow's start without what it says of itself: oneDNN, missing GPUs, new sessions.

These lines come from C++, before any setting of TensorFlow is read, so they are taken off at the file
descriptor of stderr while TensorFlow is imported and first used. All else is passed on as it comes, by a
process of its own: it outlives this one, so that the last words of a crash are seen too.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_STDERR = 2
_WAIT_SECONDS = 2.0

# Reads lines and passes on all but: whatever has the level of information, and a few of higher levels that
# say no more than that there is no GPU, or that a library was registered twice. Text without a line break
# (a progress bar) is passed on unless it may become one of these.
_FILTER = r"""
import os, re, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
stamp = rb"\d{4} \d\d:\d\d:[\d.]+ +\d+ "
known = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)|To enable the following instructions: "
    rb"|I" + stamp + rb"|\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+: I "
    rb"|[WE]" + stamp + rb"\S+\] (failed call to cuInit|Unable to register cu|computation placer already)"
)
begins = re.compile(rb"(WARNING:?|WARNING: All .*|To enable .*|To|[IWE]\d.*|[IWE]|\d{4}-.*)\Z", re.DOTALL)
held = b""
while True:
    chunk = os.read(0, 65536)
    *lines, held = (held + chunk).split(b"\n")
    text = b"".join(line + b"\n" for line in lines if not known.match(line))
    if not chunk or not begins.match(held):
        text, held = text + held, b""
    while text:
        text = text[os.write(1, text):]
    if not chunk:
        break
"""

_active = False
_started = False


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep TensorFlow's start off stderr, if it is in this block that it is imported or first used.

    Where the user has set TF_CPP_MIN_LOG_LEVEL to 0, all is shown.
    """
    global _active, _started
    _leave_out_retracing()
    if _active or _started or os.environ.get(LEVEL) == "0":
        yield
        return
    with ExitStack() as stack:
        _active = True
        if "tensorflow" in sys.modules:
            # Somebody has imported it: what it says of its devices is still to come.
            stack.enter_context(_filtered_stderr())
            _started = True
        else:
            stack.enter_context(_at_import(lambda: stack.enter_context(_filtered_stderr())))
        try:
            yield
        finally:
            _active = False


def start_tensorflow() -> None:
    """Import TensorFlow and let it look for its devices, quietly."""
    with quiet_start():
        import tensorflow as tf

        tf.constant(0)


@contextmanager
def _at_import(begin: Callable[[], object]) -> Iterator[None]:
    """Call `begin` when TensorFlow is about to be imported, and let it start at the level of warnings."""
    global _started

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if name == "tensorflow" and Finder in sys.meta_path:
                sys.meta_path.remove(Finder)
                begin()
                os.environ.setdefault(LEVEL, "1")

    before = os.environ.get(LEVEL)
    sys.meta_path.insert(0, Finder)
    try:
        yield
    finally:
        if Finder in sys.meta_path:
            sys.meta_path.remove(Finder)
        else:
            _started = "tensorflow" in sys.modules
        if before is None:
            os.environ.pop(LEVEL, None)


@contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Send what this process writes to its stderr through the filter."""
    try:
        own = os.dup(_STDERR)
    except OSError:  # there is no stderr
        yield
        return
    read, write = os.pipe()
    try:
        process = subprocess.Popen([sys.executable, "-ISc", _FILTER], stdin=read, stdout=own)
    except OSError:
        for descriptor in (own, read, write):
            os.close(descriptor)
        yield
        return
    os.close(read)
    _flush()
    os.dup2(write, _STDERR)
    os.close(write)
    try:
        yield
    finally:
        _flush()
        os.dup2(own, _STDERR)
        os.close(own)
        try:
            process.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            # Somebody who was started meanwhile has the other end still: it goes on for him.
            logging.getLogger(__name__).debug("the filter of stderr is in use")


def _flush() -> None:
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()


class _OwnRetracing(logging.Filter):
    """Leaves out TensorFlow's warning of frequent tracing where this package is what traces.

    Each model and each length is traced once, which is what TensorFlow counts; a user cannot act on it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if "triggered tf.function retracing" not in record.getMessage():
            return True
        package = __name__.partition(".")[0]
        frame: Any = sys._getframe()
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if name.startswith(f"{package}.") and name != __name__:
                return False
            frame = frame.f_back
        return True


def _leave_out_retracing() -> None:
    logger = logging.getLogger("tensorflow")
    if not any(isinstance(each, _OwnRetracing) for each in logger.filters):
        logger.addFilter(_OwnRetracing())
