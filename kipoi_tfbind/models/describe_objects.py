"""Models that cannot be called as they are: exported PyTorch programs, scikit-learn's estimators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kipoi_tfbind.backends.base import InputStructure
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.models import make_backend as make
from kipoi_tfbind.models.description import Description, InputField


def describe_estimator(estimator: Any) -> Description:
    """A fitted estimator of scikit-learn, or what has its interface, on flattened one-hot sequences.

    A classifier gives the probability of each class, if it can.
    """
    name = type(estimator).__name__
    n_features = getattr(estimator, "n_features_in_", None)
    if n_features is None:
        raise UnsupportedModelError(f"model {name}: is not fitted; call its fit first")
    if n_features % len(BASES):
        raise UnsupportedModelError(
            f"model {name}: expected an estimator of flattened one-hot sequences, four features for each "
            f"position, got one of {n_features} features; give a function of one-hot sequences instead"
        )
    has_probabilities = hasattr(estimator, "predict_proba")
    predict = estimator.predict_proba if has_probabilities else estimator.predict

    def predicted(flat: Any) -> Any:
        found = predict(flat)
        # Of several outputs with classes, a list of arrays.
        return found if isinstance(found, list) else np.asarray(found)

    classes = getattr(estimator, "classes_", None) if has_probabilities else None
    single = classes is not None and not isinstance(classes, list)
    names = tuple(map(str, classes)) if single and classes is not None else None
    fields = [InputField("sequence", (int(n_features),), True)]
    description = Description(
        predicted, name, InputStructure(), fields, None, make.function_backend, default_layout="L*4"
    )
    return replace(description, names=names)


def describe_onnx(model: Any) -> Description:
    """An ONNX model: its inputs have names and shapes."""
    from kipoi_tfbind.backends.onnx_module import graph_inputs

    fields = [InputField(name, shape) for name, shape in graph_inputs(model).items()]
    kind: Any = "array" if len(fields) == 1 else "arguments"
    structure = InputStructure(kind, tuple(f.name for f in fields))
    name = model.graph.name or "onnx"
    return Description(model, name, structure, fields, None, make.onnx_backend)


def input_shapes_of_program(program: Any) -> list[tuple[int | None, ...]]:
    """Shapes of the inputs of an exported PyTorch program, without the batch axis; None for any size."""
    names = set(program.graph_signature.user_inputs)
    shapes = [
        getattr(node.meta.get("val"), "shape", ()) for node in program.graph.nodes if node.name in names
    ]
    return [tuple(size if isinstance(size, int) else None for size in shape[1:]) for shape in shapes]


def module_of_program(program: Any) -> Any:
    """The module of an exported PyTorch program (`torch.export.ExportedProgram`).

    It was exported in one mode, and refuses to be asked for another.

    Raises
    ------
    UnsupportedModelError
        It takes one number of sequences only.
    """
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        shape = getattr(node.meta.get("val"), "shape", None) if node.name in names else None
        if shape and isinstance(shape[0], int):
            raise UnsupportedModelError(
                f"model: an exported program that takes {shape[0]} sequences at once and no other number; "
                "export it with a dynamic batch: dynamic_shapes={..: {0: torch.export.Dim('batch')}}"
            )
    module = program.module()
    for method in ("train", "eval"):
        setattr(module, method, lambda mode=True, module=module: module)
    return module
