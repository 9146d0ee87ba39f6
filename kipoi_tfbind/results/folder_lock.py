"""A lock on the folder of an unfinished output: two processes never write one output."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from kipoi_tfbind.errors import InputError

LOCK = "lock"


def lock_folder(folder: Path, output: str) -> IO[str]:
    """Make a folder if it is not there, and lock it until the file that is returned is closed.

    Raises
    ------
    InputError
        Another process has locked it.
    OSError
        It cannot be made.

    Examples
    --------
    >>> folder = getfixture("tmp_path") / "a.vcf.partial"
    >>> with lock_folder(folder, "a.vcf"):
    ...     lock_folder(folder, "a.vcf")
    Traceback (most recent call last):
    kipoi_tfbind.errors.InputError: a.vcf: another process is writing this output; wait for it, or choose ...
    """
    folder.mkdir(exist_ok=True)
    path = folder / LOCK
    lock = path.open("w")
    try:
        # The lock goes with the process, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except BlockingIOError:
        is_there = False
    except OSError:  # a file system without locks
        return lock
    if not is_there:  # or it was removed by the process that has just finished
        lock.close()
        raise InputError(
            f"{output}: another process is writing this output; wait for it, or choose another name"
        )
    return lock
