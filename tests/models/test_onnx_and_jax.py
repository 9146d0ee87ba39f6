"""Models of ONNX, held against onnxruntime and the same network elsewhere; and functions of JAX."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import random_sequences
from tests import foreign_models as foreign
from tests.same_weights import jax_function
from tests.same_weights import onnx_network as network

LENGTH = foreign.LENGTH
SEQUENCES = random_sequences(3, LENGTH, seed=5)
X = SEQUENCES["one_hot"].values


class TestOnnx:
    def test_predictions_are_those_of_onnxruntime(self) -> None:
        pytest.importorskip("onnxruntime")
        from kipoi_tfbind.backends.onnx_module import session_function

        proto = network()
        model = tfb.as_sequence_model(proto)
        assert (model.name, model.output, model.length) == ("network", "logit", LENGTH)
        np.testing.assert_allclose(model.predict(X), foreign.logits(X), rtol=1e-5, atol=1e-5)
        probability = tfb.as_sequence_model(proto, output="probability")
        expected = session_function(proto)(X.transpose(0, 2, 1))
        np.testing.assert_allclose(probability.predict(X), expected, rtol=1e-5, atol=1e-6)

    def test_every_method_of_a_graph(self) -> None:
        model = tfb.as_sequence_model(network())
        result = tfb.deep_shap(model, SEQUENCES, references="zeros")
        assert np.abs(result["completeness_error"]).max() < 1e-4
        incremental, full = (
            tfb.in_silico_mutagenesis(model, SEQUENCES, start=10, end=20, path=path)["mutation_effect"]
            for path in ("incremental", "full")
        )
        np.testing.assert_allclose(incremental, full, atol=1e-5)
        assert tfb.gradients(model, SEQUENCES).attrs["output"] == "logit"
        exact = tfb.as_sequence_model(network(), double_precision=True).predict(X)
        np.testing.assert_allclose(exact, foreign.logits(X), rtol=1e-12)

    def test_an_operation_that_is_not_translated(self, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("onnxruntime")
        model = tfb.as_sequence_model(network(end="HardSwish"))
        notes = capsys.readouterr().err.splitlines()
        assert len(notes) == 1
        assert "HardSwish" in notes[0]
        assert "predictions only, by onnxruntime" in notes[0]
        logits = foreign.logits(X)
        np.testing.assert_allclose(model.predict(X), logits * np.clip(logits / 6 + 0.5, 0, 1), atol=1e-5)
        with pytest.raises(UnsupportedModelError):
            tfb.deep_shap(model, SEQUENCES)

    @pytest.mark.parametrize(
        ("operation", "inputs", "attributes"),
        [
            ("Conv", [(2, 6, 15), (4, 3, 5)], {"group": 2, "dilations": [2], "pads": [3, 1], "strides": [2]}),
            ("Conv", [(2, 3, 15), (4, 3, 4)], {"auto_pad": "SAME_UPPER"}),
            ("Conv", [(2, 3, 15), (4, 3, 4)], {"auto_pad": "SAME_LOWER", "strides": [2]}),
            ("MaxPool", [(2, 3, 15)], {"kernel_shape": [4], "strides": [3], "pads": [1, 2]}),
            ("MaxPool", [(2, 3, 15)], {"kernel_shape": [4], "strides": [4], "ceil_mode": 1}),
            ("AveragePool", [(2, 3, 15)], {"kernel_shape": [4], "strides": [3], "pads": [1, 2]}),
            ("AveragePool", [(2, 3, 15)], {"kernel_shape": [4], "pads": [1, 2], "count_include_pad": 1}),
            ("Gemm", [(5, 2), (4, 5), (4,)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
            ("Softmax", [(2, 3, 5)], {"axis": 1}),
            ("LayerNormalization", [(2, 3, 5), (5,), (5,)], {"axis": -1}),
            ("BatchNormalization", [(2, 3, 5), (3,), (3,), (3,), (3,)], {"epsilon": 0.01}),
            ("GlobalAveragePool", [(2, 3, 5)], {}),
            ("Slice", [(2, 9), [-1], [-20], [1], [-2]], {}),
            ("Slice", [(2, 9, 4), [1, 0], [7, 3], [1, 2], [2, 1]], {}),
            ("Pad", [(2, 3, 5), [0, 1, 2, 0, 0, 3]], {}),
            ("Gather", [(2, 3, 5), [2, 0]], {"axis": 1}),
            ("Transpose", [(2, 3, 5)], {"perm": [2, 0, 1]}),
            ("ReduceMean", [(2, 3, 5)], {"axes": [1, 2], "keepdims": 0}),
            ("ReduceMax", [(2, 3, 5)], {"axes": [2]}),
            ("Squeeze", [(2, 1, 5), [1]], {}),
            ("Unsqueeze", [(2, 5), [0, 2]], {}),
            ("Flatten", [(2, 3, 5)], {"axis": 2}),
            ("LeakyRelu", [(2, 3)], {"alpha": 0.3}),
            ("Elu", [(2, 3)], {"alpha": 0.7}),
            ("Pow", [(2, 3), 2.0], {}),
            ("Div", [(2, 3), (3,)], {}),
            ("Max", [(2, 3), (3,)], {}),
            ("Expand", [(2, 1, 3), [2, 4, 3]], {}),
        ],
    )
    def test_operations_are_those_of_the_standard(
        self, operation: str, inputs: list[Any], attributes: dict[str, Any]
    ) -> None:
        pytest.importorskip("onnxruntime")
        import torch
        from onnx import TensorProto, helper, numpy_helper

        from kipoi_tfbind.backends.onnx_module import OnnxModule, session_function

        rng = np.random.default_rng(3)
        arrays = [
            np.abs(rng.normal(size=i)).astype(np.float32) + 0.1
            if isinstance(i, tuple)
            else np.asarray(i, np.float32 if isinstance(i, float) else np.int64)
            for i in inputs
        ]
        names = [f"i{number}" for number in range(len(arrays))]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            [helper.make_node(operation, names, ["y"], **attributes)],
            operation,
            [value("i0", TensorProto.FLOAT, arrays[0].shape)],
            [value("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(a, n) for a, n in zip(arrays[1:], names[1:], strict=True)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        expected = session_function(model)(arrays[0])
        found = OnnxModule(model)(torch.from_numpy(arrays[0])).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class TestJax:
    def test_a_function_of_jax(self) -> None:
        pytest.importorskip("jax")
        function = jax_function()
        model = tfb.as_sequence_model(function, length=LENGTH)
        assert model.target_names == ("logits/0", "logits/1")
        np.testing.assert_allclose(model.predict(X), foreign.logits(X), rtol=1e-5, atol=1e-5)
        result = tfb.gradients(model, SEQUENCES)
        expected = tfb.gradients(tfb.as_sequence_model(network()) if _has_onnx() else model, SEQUENCES)
        np.testing.assert_allclose(
            result["hypothetical_contribution"], expected["hypothetical_contribution"], atol=1e-5
        )
        path = tfb.gradients(model, SEQUENCES, method="integrated_gradients", n_steps=60)
        assert np.abs(path["completeness_error"]).max() < 0.2
        with pytest.raises(UnsupportedModelError, match="multipliers"):
            tfb.deep_shap(model, SEQUENCES)
        with pytest.raises(InputError, match="JAX_ENABLE_X64"):
            tfb.as_sequence_model(function, length=LENGTH, double_precision=True)

    def test_a_function_that_cannot_be_compiled(self) -> None:
        pytest.importorskip("jax")
        import jax.numpy as jnp

        def function(x: Any) -> Any:
            return jnp.asarray(np.asarray(x).sum(axis=(1, 2)))[:, None]

        model = tfb.as_sequence_model(function, length=LENGTH)
        np.testing.assert_allclose(model.predict(X), np.full((3, 1), LENGTH), rtol=1e-6)

    def test_keras_on_jax(self) -> None:
        pytest.importorskip("jax")
        program = (
            "import os; os.environ['KERAS_BACKEND'] = 'jax'\n"
            "import keras, numpy as np, kipoi_tfbind as tfb\n"
            "x = keras.Input((20, 4)); y = keras.layers.Conv1D(3, 5, activation='relu')(x)\n"
            "model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)))\n"
            "wrapped = tfb.as_sequence_model(model)\n"
            "sequences = tfb.testing.random_sequences(2, 20)\n"
            "one_hot = sequences['one_hot'].values\n"
            "expected = model.predict(one_hot)\n"
            "np.testing.assert_allclose(wrapped.predict(one_hot), expected, rtol=1e-5, atol=1e-6)\n"
            "found = tfb.gradients(wrapped, sequences)['hypothetical_contribution'].values\n"
            "moved = one_hot.copy(); moved[0, 3, 1] += 1e-3\n"
            "change = (wrapped.predict(moved) - wrapped.predict(one_hot))[0] / 1e-3\n"
            "np.testing.assert_allclose(found[0, 3, 1], change, atol=2e-3)\n"
        )
        process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr


def _has_onnx() -> bool:
    from importlib.util import find_spec

    return find_spec("onnx") is not None
