"""The package's own exceptions.

Every message is one line: the file, record or argument; what was expected and what came; what to
do. Each class can be rebuilt from its message alone, because Kipoi's loader workers re-raise an
exception in the parent process as ``type(error)(text)``.
"""


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
