"""How a SavedModel of TensorFlow is called: which of its functions predicts, and which input is which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kipoi_tfbind.errors import UnsupportedModelError

SERVING = "serving_default"


def serving_signature(loaded: Any) -> Any:
    """The signature of a SavedModel that predicts.

    Raises
    ------
    UnsupportedModelError
        It has none of that name.
    """
    signatures = getattr(loaded, "signatures", None) or {}
    if SERVING not in signatures:
        names = ", ".join(sorted(signatures)) or "none"
        raise UnsupportedModelError(
            f"SavedModel: expected one that can be called, or one with a function serve or a signature "
            f"{SERVING}; its signatures are: {names}"
        )
    return signatures[SERVING]


def known_inputs(loaded: Any) -> dict[str, Any]:
    """Name, shape and type of each input of a SavedModel, as tensor specs by name; empty where unknown."""
    import tensorflow as tf

    functions = list((getattr(loaded, "signatures", None) or {}).values())
    if callable(loaded):
        functions = [*getattr(loaded.__call__, "concrete_functions", ()), *functions]
    for function in functions:
        specs = [
            spec
            for spec in tf.nest.flatten(function.structured_input_signature)
            if isinstance(spec, tf.TensorSpec)
        ]
        if specs:
            return {spec.name: spec for spec in specs}
    return {}


def names_in_signature(
    inputs: Mapping[str, Any], names: Sequence[str], shapes: Sequence[Sequence[int | None]]
) -> list[str]:
    """Which input of a signature each array is: by its name, else by its shape, else in order.

    A signature takes its inputs by name and lists them sorted, whatever their order was.

    Parameters
    ----------
    inputs
        The signature's tensor specs by name.
    names, shapes
        Name of each array, and its shape without the batch axis.

    Raises
    ------
    UnsupportedModelError
        The numbers differ.
    """
    if len(inputs) != len(names):
        described = ", ".join(f"{name} {tuple(spec.shape)}" for name, spec in inputs.items())
        raise UnsupportedModelError(
            f"SavedModel: its signature takes {len(inputs)} inputs, {described}; got {len(names)}, "
            f"{', '.join(names)}"
        )
    found: dict[int, str] = {i: name for i, name in enumerate(names) if name in inputs}
    for i, shape in enumerate(shapes):
        left = [name for name in inputs if name not in found.values()]
        fitting = [name for name in left if inputs[name].shape[1:].is_compatible_with(tuple(shape))]
        if i not in found and len(fitting) == 1:
            found[i] = fitting[0]
    left = [name for name in inputs if name not in found.values()]
    return [found[i] if i in found else left.pop(0) for i in range(len(names))]
