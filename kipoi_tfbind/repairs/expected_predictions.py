"""``kipoi test``: the file of expected predictions, and their comparison."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any


def find_expected_predictions(model: ModuleType) -> None:
    """Let ``test.expect`` of a model.yaml name a file beside it, as every other entry of the yaml may.

    ``kipoi test`` opens the path as it stands, so it passes only in the model's own directory.
    """
    get_model = model.get_model

    @functools.wraps(get_model)
    def get_model_with_expected(*args: Any, **kwargs: Any) -> Any:
        loaded = get_model(*args, **kwargs)
        expect = loaded.test.expect
        if isinstance(expect, str) and not os.path.exists(expect):
            loaded.test.expect = os.path.join(loaded.source_dir, expect)
        return loaded

    model.get_model = get_model_with_expected  # type: ignore[attr-defined]


def compare_every_output(main: ModuleType) -> None:
    """Let ``kipoi test`` compare all outputs of a model that has several.

    Its comparison takes the None of NumPy's assertion for a difference, stops after the first output,
    prints "false for key", and then reports that all predictions match.
    """
    compare = main.compare_numpy_dict

    def compare_nested(a: Any, b: Any, exact: bool = True, decimal: int = 7) -> bool:
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            return all(compare_nested(a[key], b[key], exact, decimal) for key in a)
        if compare(a, b, exact=exact, decimal=decimal) not in (None, True):
            raise AssertionError(f"expected {type(b).__name__} {b}, got {type(a).__name__} {a}")
        return True

    main.compare_numpy_dict = compare_nested  # type: ignore[attr-defined]
