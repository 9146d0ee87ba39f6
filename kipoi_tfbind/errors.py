"""The package's own exceptions.

Every message is one line: the file, record or argument; what was expected and what came; what to
do. Each class can be rebuilt from its message alone, because Kipoi's loader workers re-raise an
exception in the parent process as ``type(error)(text)``.
"""

import os

TRACEBACK_VARIABLE = "KIPOI_TFBIND_TRACEBACK"


class TFBindError(Exception):
    """Base class of every error that a user can mend; the command line shows it without a traceback."""


class InputError(TFBindError, ValueError):
    """A file, record or argument that the user gave cannot be used."""


class WeightsError(TFBindError, ValueError):
    """A weights file is missing, corrupted, or does not fit the model it is named for."""


class MissingProgramError(TFBindError, RuntimeError):
    """A program outside Python (bedtools, say) is needed and is not installed."""


class UnsupportedModelError(TFBindError, TypeError):
    """A model lacks a capability that the method needs."""


class UnsupportedOperationError(UnsupportedModelError):
    """A model has an operation for which the method has no exact rule."""


class VerificationError(TFBindError, RuntimeError):
    """Two ways to compute the same numbers do not agree."""


class CompletenessWarning(UserWarning):
    """Contributions do not add up to the difference that they explain, beyond the tolerance."""


class BackgroundWarning(UserWarning):
    """Background sequences are unlike the real ones, as a model sees them."""


def error_line(error: TFBindError) -> str:
    r"""Return the line that is shown for an error instead of its traceback.

    An error in one of Kipoi's loader workers comes with the worker's whole traceback as its text; the
    message is what follows the error's name there.

    Parameters
    ----------
    error
        The error, raised here or by Kipoi on behalf of a worker.

    Returns
    -------
    str
        "error: " and the message, without a line break.

    Examples
    --------
    >>> from kipoi_tfbind.errors import InputError
    >>> error_line(InputError("a.bed, line 3: expected 3 columns, got 1"))
    'error: a.bed, line 3: expected 3 columns, got 1'
    >>> worker_text = "Traceback (most recent call last):\n ...\nkipoi_tfbind.errors.InputError: no such file"
    >>> error_line(InputError(worker_text))
    'error: no such file'
    """
    name = f"\n{type(error).__module__}.{type(error).__qualname__}: "
    message = str(error).rpartition(name)[-1]
    return "error: " + " ".join(message.split("\n")).strip()


def wants_traceback() -> bool:
    """Whether the user asks for tracebacks, by setting KIPOI_TFBIND_TRACEBACK to anything but 0."""
    return os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0")
