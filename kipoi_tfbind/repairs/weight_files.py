"""Files of a model's weights: what is in them, under what name a library reads them, which may run code."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from kipoi_tfbind.errors import InputError, WeightsError

ALLOW_PICKLE = "KIPOI_TFBIND_ALLOW_PICKLE"

_allowed_here: ContextVar[bool] = ContextVar("pickles_allowed", default=False)
# Whether `load_model` or a command of ours is loading: Kipoi's own commands load what they always did.
_is_ours: ContextVar[bool] = ContextVar("loaded_by_us", default=False)


@contextmanager
def allowing_pickle(allow: bool = True) -> Iterator[None]:
    """Let models be unpickled inside the ``with`` block; with ``allow=False`` change nothing.

    Examples
    --------
    >>> with allowing_pickle():
    ...     pickle_allowed()
    True
    """
    token = _allowed_here.set(allow or _allowed_here.get())
    try:
        yield
    finally:
        _allowed_here.reset(token)


@contextmanager
def refusing_code(allow: bool = False) -> Iterator[None]:
    """Refuse files of data that run code when they are loaded, in this block, unless they are allowed.

    Examples
    --------
    >>> with refusing_code():
    ...     refuse_code("model.pkl", "a pickle")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    kipoi_tfbind.errors.InputError: model.pkl: a pickle, which runs the code that is in it ...
    >>> refuse_code("model.pkl", "a pickle")  # by Kipoi itself
    """
    token = _is_ours.set(True)
    try:
        with allowing_pickle(allow):
            yield
    finally:
        _is_ours.reset(token)


def pickle_allowed() -> bool:
    """Tell whether the user has allowed to unpickle models, here or with KIPOI_TFBIND_ALLOW_PICKLE=1."""
    return _allowed_here.get() or os.environ.get(ALLOW_PICKLE, "") not in ("", "0")


def refuse_code(path: str | os.PathLike[str], what: str) -> None:
    """Refuse a file of data that runs code when it is loaded, where this package loads it.

    Parameters
    ----------
    path
        The file.
    what
        Kind of file, for the message.

    Raises
    ------
    InputError
        It is not allowed; the message says why, and how to allow it.
    """
    if _is_ours.get() and not pickle_allowed():
        raise _refusal(path, what)


def require_pickle_allowed(path: str | os.PathLike[str], what: str = "a whole pickled model") -> None:
    """Refuse to load a pickle or the like unless the user has allowed it, in Kipoi's own commands too.

    Raises
    ------
    InputError
        It is not allowed; the message says why, and how to allow it.
    """
    if not pickle_allowed():
        raise _refusal(path, what)


def _refusal(path: str | os.PathLike[str], what: str) -> InputError:
    return InputError(
        f"{path}: {what}, which runs the code that is in it when it is loaded; if you trust its source, "
        f"allow it: --allow-pickle, allow_pickle=True or {ALLOW_PICKLE}=1"
    )


def require_weights(path: str | os.PathLike[str]) -> Path:
    """Return the whole path of a file of weights that exists and is not a placeholder of Git LFS.

    Raises
    ------
    WeightsError
        It does not exist, or is only a placeholder.
    """
    # Kipoi names it by its place in the model's folder, which is the current one only now.
    found = Path(path).absolute()
    if not found.exists():
        raise WeightsError(f"{found}: no such file; is the model's folder complete?")
    if found.is_file():
        with open(found, "rb") as file:
            if file.read(23) == b"version https://git-lfs":
                raise WeightsError(
                    f"{found}: a placeholder of Git LFS, not the file; run `git lfs pull` there"
                )
    return found


@contextmanager
def named_as(path: Path, suffix: str) -> Iterator[Path]:
    """Give a file a temporary name that ends in `suffix`, for libraries that go by the name.

    Kipoi stores a download under its checksum, without any suffix.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "d41d8cd98f00b204e9800998ecf8427e"
    >>> _ = path.write_text("weights")
    >>> with named_as(path, ".h5") as named:
    ...     named.suffix, named.read_text()
    ('.h5', 'weights')
    """
    if path.name.endswith(suffix):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"{path.name}{suffix}"
        try:
            named.symlink_to(path.resolve())
        except OSError:  # a file system without links
            shutil.copy(path, named)
        yield named
