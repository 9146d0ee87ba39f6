"""Where an output may be written: never over an input, and over a foreign file only if the user insists."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from kipoi_tfbind.errors import InputError


def is_same_file(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether two names are one file, also through a symbolic or a hard link.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.vcf").write_text("...")
    >>> (folder / "b.vcf").symlink_to(folder / "a.vcf")
    >>> is_same_file(folder / "a.vcf", folder / "b.vcf"), is_same_file(folder / "a.vcf", folder / "new.vcf")
    (True, False)
    """
    if os.path.realpath(a) == os.path.realpath(b):
        return True
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def refuse_inputs(output: str | os.PathLike[str], inputs: Mapping[str, str | os.PathLike[str]]) -> None:
    """Refuse an output that is one of the inputs, be it by another name.

    Parameters
    ----------
    output
        File that is to be written.
    inputs
        Files that are read, by the name of their argument.

    Raises
    ------
    InputError
        The output is an input.

    Examples
    --------
    >>> refuse_inputs("scores.tsv", {"vcf_file": "variants.vcf"})
    """
    for argument, path in inputs.items():
        if is_same_file(output, path):
            raise InputError(
                f"{output}: is the input {argument} ({os.fspath(path)}), which it would overwrite; "
                "give another name"
            )


def files_among(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Arguments that are the name of a file that exists, also those in lists and dictionaries.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.bed"
    >>> _ = path.write_text("...")
    >>> list(files_among({"length": 1000, "tracks": [str(path), "no such file"]}))
    ['tracks/0']
    """
    found: dict[str, str] = {}
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{key}": path for key, path in files_among(value).items()}
        elif isinstance(value, list | tuple):
            numbered = {str(i): item for i, item in enumerate(value)}
            found |= {f"{name}/{key}": path for key, path in files_among(numbered).items()}
        elif isinstance(value, str | os.PathLike) and os.path.exists(value):
            found[name] = os.fspath(value)
    return found


def unwritable(path: str | os.PathLike[str], error: OSError, advice: str = "") -> InputError:
    """The error of a file that cannot be written, with what the system says.

    Examples
    --------
    >>> unwritable("x.tsv", OSError(28, "No space left on device"))
    InputError('x.tsv: cannot be written (No space left on device); free some space or give another folder')
    """
    reason = error.strerror or " ".join(str(error).split())
    advice = advice or (
        "free some space or give another folder"
        if _is_full(error)
        else "give a folder that exists and that you may write to"
    )
    return InputError(f"{path}: cannot be written ({reason}); {advice}")


def reserve(path: str | os.PathLike[str], n_bytes: int) -> None:
    """See that there is room for a file, by taking it for a moment.

    Raises
    ------
    OSError
        There is none.

    Examples
    --------
    >>> reserve(getfixture("tmp_path") / "a.bw", 1 << 16)
    """
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        finally:
            file.truncate(0)


def _is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
