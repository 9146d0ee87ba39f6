"""Repairs of Kipoi's ``SklearnModel``: a reason where a pickle cannot be read, or is not."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.repairs.weight_files import refuse_code, require_weights


def explain_unreadable_pickles(model: ModuleType) -> None:
    """Let ``SklearnModel`` say in one line why a pickle of another scikit-learn cannot be read."""
    sklearn_model = model.SklearnModel
    load = sklearn_model.__init__

    @functools.wraps(load)
    def __init__(self: Any, pkl_file: str, predict_method: str = "predict") -> None:
        pkl_file = str(require_weights(pkl_file))
        refuse_code(pkl_file, "a pickle")
        try:
            load(self, pkl_file, predict_method)
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            if package == "sklearn":
                raise _unreadable(pkl_file, error) from error
            raise UnsupportedModelError(
                f"{pkl_file}: made with the package {package}, which is not installed: pip install {package}"
            ) from error
        except (AttributeError, ImportError, KeyError, ValueError) as error:
            raise _unreadable(pkl_file, error) from error
        except AssertionError:
            raise InputError(
                f"predict_method: expected predict, predict_proba or predict_log_proba, and one that "
                f"{type(self.model).__name__} in {pkl_file} has; got {predict_method!r}"
            ) from None

    sklearn_model.__init__ = __init__


def _unreadable(path: str, error: Exception) -> UnsupportedModelError:
    import sklearn

    reason = " ".join(str(error).split())
    return UnsupportedModelError(
        f"{path}: cannot be read with scikit-learn {sklearn.__version__} ({type(error).__name__}: {reason}); "
        "install the version that wrote it, or save it anew"
    )
