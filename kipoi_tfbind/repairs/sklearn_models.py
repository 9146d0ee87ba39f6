"""What Kipoi's ``SklearnModel`` needs: a reason where a pickle cannot be read."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.repairs.weight_files import require_weights


def explain_unreadable_pickles(model: ModuleType) -> None:
    """Let ``SklearnModel`` say in one line why a pickle of another scikit-learn cannot be read."""
    sklearn_model = model.SklearnModel
    load = sklearn_model.__init__

    @functools.wraps(load)
    def __init__(self: Any, pkl_file: str, predict_method: str = "predict") -> None:
        pkl_file = str(require_weights(pkl_file))
        try:
            load(self, pkl_file, predict_method)
        except (AttributeError, ImportError, KeyError, ValueError) as error:
            import sklearn

            reason = " ".join(str(error).split())
            raise UnsupportedModelError(
                f"{pkl_file}: cannot be read with scikit-learn {sklearn.__version__} "
                f"({type(error).__name__}: {reason}); install the version that wrote it, or save it anew"
            ) from error
        except AssertionError:
            raise InputError(
                f"predict_method: expected predict, predict_proba or predict_log_proba, and one that "
                f"{type(self.model).__name__} in {pkl_file} has; got {predict_method!r}"
            ) from None

    sklearn_model.__init__ = __init__
