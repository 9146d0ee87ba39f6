"""TensorFlow: Keras models, SavedModels and functions of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import (
    Capability,
    InputStructure,
    OutputKind,
    Path,
    Transform,
    leaves,
    transformed_whole,
    with_output,
)
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.layer_output import (
    ConvolutionOutput,
    LayerOutput,
    convolution_outputs,
    layer_outputs,
)
from kipoi_tfbind.graph.live_memory import bytes_per_row
from kipoi_tfbind.graph.tensorflow.deep_lift import TensorFlowDeepLift
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.tensorflow.incremental import TensorFlowIncremental
from kipoi_tfbind.graph.tensorflow.trace import trace_tensorflow
from kipoi_tfbind.repairs.saved_models import names_in_signature, serving_signature


class TensorFlowBackend:
    """A TensorFlow model, traced once: what it computes is copied, and the user's model is never touched.

    Parameters
    ----------
    function
        The model: its inputs, packed as `structure` says, to nested outputs.
    specs
        Type and shape of each input; the first axis is the batch, None.
    structure
        The form of its inputs.
    output
        "logit" to leave out a sigmoid or softmax at the end, where every output has one.
    transform
        Applied to each output tensor.
    order
        Paths of the outputs in the order that is wanted; by default the output's own.
    variables
        The model's weights.
    double_precision
        Compute in float64.
    """

    framework = "tensorflow"
    capabilities: frozenset[Capability] = frozenset({"predictions", "gradients", "multipliers"})

    def __init__(
        self,
        function: Callable[[Any], Any],
        specs: Sequence[tf.TensorSpec],
        structure: InputStructure,
        *,
        output: OutputKind = "logit",
        transform: Transform | None = None,
        order: Sequence[Path] | None = None,
        variables: Iterable[Any] = (),
        double_precision: bool = False,
    ) -> None:
        self._specs = list(specs)
        self._transform = transform
        self._paths: list[Path] = []
        self._whole = False
        self._variables = list(variables)

        def outputs(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            output = structure.call(function, tensors)
            whole = transformed_whole(output, transform)
            self._whole = whole is not None
            found = leaves(whole if self._whole else output, order)
            self._paths = [path for path, _ in found]
            ranks = [getattr(getattr(value, "shape", None), "rank", None) for _, value in found]
            self._flat_already = ranks == [2] and transform is None
            return [value for _, value in found]

        self._outputs = outputs
        graph = trace_tensorflow(outputs, self._specs)
        self.output, graph = with_output(graph, output)
        if double_precision:
            graph = graph.in_precision("float64")
            self._specs = [
                tf.TensorSpec(spec.shape, tf.float64) if spec.dtype.is_floating else spec
                for spec in self._specs
            ]
        self._traced = graph
        self._model = graph.as_function()
        self._flat = tf.function(self._side_by_side, input_signature=[self._specs])
        self._gradients: dict[int, Any] = {}
        self._graphs: dict[Any, TensorFlowGraph] = {}
        self._deep_lift: dict[int, TensorFlowDeepLift] = {}
        self._incremental: dict[Any, Incremental] = {}
        self._inner: dict[Any, Any] = {}
        # Parts of the graphs from an inner value on, as of `head_of`.
        self.heads: dict[Any, Any] = {}
        self._masked: dict[Any, Any] = {}
        self._row_bytes: dict[Any, int] = {}

    def output_shapes(self, inputs: Sequence[NDArray]) -> list[tuple[Path, tuple[int, ...]]]:
        """See the protocol."""
        tensors = [self._reduced(tensor) for tensor in self._model(self.tensors(inputs))]
        return [(path, tuple(tensor.shape[1:])) for path, tensor in zip(self._paths, tensors, strict=True)]

    def predict(self, inputs: Sequence[NDArray]) -> NDArray:
        """See the protocol."""
        return self._flat(self.tensors(inputs)).numpy()

    def gradient(self, inputs: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        if wrt not in self._gradients:
            self._gradients[wrt] = tf.function(
                lambda tensors, columns: self._gradient(tensors, wrt, columns),
                input_signature=[self._specs, tf.TensorSpec((None,), tf.int32)],
            )
        by_column = self._gradients[wrt](self.tensors(inputs), tf.constant(columns, tf.int32))
        return np.moveaxis(by_column.numpy(), 0, -1)

    def multipliers(
        self, inputs: Sequence[NDArray], references: NDArray, wrt: int, columns: Sequence[int]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the protocol."""
        if wrt not in self._deep_lift:
            self._deep_lift[wrt] = TensorFlowDeepLift(self._graph(self._specs), wrt)
        return self._deep_lift[wrt](inputs, references, columns)

    def incremental(
        self, inputs: Sequence[NDArray], wrt: int, axis: int, base_encodings: NDArray
    ) -> Incremental | None:
        """See the protocol."""
        shapes = tuple(array.shape[1:] for array in inputs)
        if (wrt, shapes) not in self._incremental:
            graph = self._graph(self._of_shapes(shapes))
            self._incremental[wrt, shapes] = TensorFlowIncremental(graph, wrt, shapes, axis, base_encodings)
        return self._incremental[wrt, shapes]

    def layers(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[LayerOutput]:
        """See the protocol."""
        shapes = tuple(array.shape[1:] for array in inputs)
        return layer_outputs(self._graph(self._of_shapes(shapes)), wrt, axis, shapes)

    def convolutions(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[ConvolutionOutput]:
        """See the protocol."""
        shapes = tuple(array.shape[1:] for array in inputs)
        return convolution_outputs(self._graph(self._of_shapes(shapes)), wrt, axis, shapes)

    def traced(self, inputs: Sequence[NDArray]) -> TensorFlowGraph:
        """See the protocol."""
        return self._graph(self._of_shapes([array.shape[1:] for array in inputs]))

    def activations(self, inputs: Sequence[NDArray], ref: Ref) -> NDArray:
        """See the protocol."""
        specs = self._of_shapes([array.shape[1:] for array in inputs])
        key = ref, str(specs)
        if key not in self._inner:
            graph = self._graph(specs)

            def run(tensors: list[tf.Tensor]) -> tf.Tensor:
                return graph.run(tensors, {ref}, tf.shape(tensors[0])[0])[ref]

            self._inner[key] = tf.function(run, input_signature=[specs], autograph=False)
        return self._inner[key](self.tensors(inputs)).numpy()

    def predict_silenced(
        self, inputs: Sequence[NDArray], layer: LayerOutput, channels: Sequence[int]
    ) -> NDArray:
        """See the protocol."""
        return self._with_mask(inputs, layer)(self.tensors(inputs), layer.mask(channels)).numpy()

    def _with_mask(self, inputs: Sequence[NDArray], layer: LayerOutput) -> Any:
        """The output as a function of the inputs and a mask on a layer's output."""
        specs = self._of_shapes([array.shape[1:] for array in inputs])
        key = layer, str(specs)
        if key not in self._masked:
            graph = self._graph(specs)
            (ref,) = graph.outputs

            def run(tensors: list[tf.Tensor], mask: tf.Tensor) -> tf.Tensor:
                changes = {layer.ref: lambda x: x * tf.cast(mask, x.dtype)}
                return graph.run(tensors, {ref}, None, changes)[ref]

            mask = tf.TensorSpec([None] * len(layer.shape))
            self._masked[key] = tf.function(run, input_signature=[specs, mask], autograph=False)
        return self._masked[key]

    def _of_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tf.TensorSpec]:
        return [tf.TensorSpec((None, *s), t.dtype) for s, t in zip(shapes, self._specs, strict=True)]

    def model_outputs(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The outputs of the model itself instead of its trace: a sigmoid or softmax at its end is there."""
        return self._outputs(tensors)

    def joined(self, outputs: Sequence[tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        """The outputs, each after its transform and flattened, side by side (row, column)."""
        flat = [
            tf.reshape(
                tensor, (rows, -1 if None in tensor.shape[1:] else np.prod(tensor.shape[1:], dtype=int))
            )
            for tensor in map(self._reduced, outputs)
        ]
        return tf.concat(flat, axis=1) if len(flat) > 1 else flat[0]

    def weights(self) -> list[NDArray]:
        """See the protocol."""
        return [np.asarray(variable) for variable in self._variables]

    def bytes_per_row(self, inputs: Sequence[NDArray], *, backward: bool) -> int:
        """See the protocol."""
        shapes = tuple(array.shape[1:] for array in inputs)
        key = shapes, backward
        if key not in self._row_bytes:
            itemsize = max(spec.dtype.size for spec in self._specs)
            self._row_bytes[key] = bytes_per_row(self._traced, shapes, itemsize, keeps_all=backward)
        return self._row_bytes[key]

    def tensors(self, inputs: Sequence[NDArray]) -> list[tf.Tensor]:
        """The inputs as tensors of the model's own types."""
        return [
            tf.convert_to_tensor(_as(array, spec.dtype))
            for array, spec in zip(inputs, self._specs, strict=True)
        ]

    def _graph(self, specs: Sequence[tf.TensorSpec]) -> TensorFlowGraph:
        """The graph of all outputs side by side, for inputs of these shapes."""
        if self._flat_already and [s.shape for s in specs] == [s.shape for s in self._specs]:
            return self._traced
        key = tuple(str(spec.shape) for spec in specs)
        if key not in self._graphs:
            self._graphs[key] = trace_tensorflow(lambda tensors: [self._side_by_side(tensors)], specs)
        return self._graphs[key]

    def _side_by_side(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        return self.joined(self._model(list(tensors)), tf.shape(tensors[0])[0])

    def _reduced(self, tensor: tf.Tensor) -> tf.Tensor:
        if self._whole:
            return tensor
        if callable(self._transform):
            return self._transform(tensor)
        if self._transform is None or tensor.shape.rank < 3:
            return tensor
        return getattr(tf, f"reduce_{self._transform}")(tensor, axis=list(range(1, tensor.shape.rank - 1)))

    def _gradient(self, tensors: Sequence[tf.Tensor], wrt: int, columns: tf.Tensor) -> tf.Tensor:
        """(column, sequence, *axes): one pass forward, and one back for each column."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(tensors[wrt])
            prediction = self._side_by_side(tensors)

        def of_column(column: tf.Tensor) -> tf.Tensor:
            ones = tf.ones_like(prediction) * tf.one_hot(
                column, tf.shape(prediction)[1], dtype=prediction.dtype
            )
            return tape.gradient(
                prediction, tensors[wrt], ones, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )

        # One at a time: the passes of many columns at once would need the memory of all.
        return tf.map_fn(of_column, columns, fn_output_signature=tensors[wrt].dtype, parallel_iterations=1)


def keras_backend(
    model: Any,
    structure: InputStructure,
    specs: Sequence[tf.TensorSpec],
    **options: Any,
) -> TensorFlowBackend:
    """Backend of a Keras model (3 on TensorFlow, or tf_keras), as it predicts: without dropout."""
    return TensorFlowBackend(
        functools.partial(model, training=False), specs, structure, variables=model.weights, **options
    )


def saved_model_backend(
    model: Any, structure: InputStructure, specs: Sequence[tf.TensorSpec], **options: Any
) -> TensorFlowBackend:
    """Backend of a loaded SavedModel, or of a function of tensors.

    Raises
    ------
    UnsupportedModelError
        The SavedModel can neither be called nor has the signature `serving_default`.
    """
    signatures = getattr(model, "signatures", None) or {}
    # A loaded SavedModel has its variables on its functions, unless it is a Keras model.
    restored = getattr(model.__call__, "concrete_functions", ()) if callable(model) else ()
    functions = [*signatures.values(), *restored]
    variables = getattr(model, "variables", None) or next((f.variables for f in functions), ())
    if callable(model):
        return TensorFlowBackend(model, specs, structure, variables=variables, **options)
    serve = serving_signature(model)
    known = serve.structured_input_signature[1]
    names = names_in_signature(known, structure.names, [spec.shape[1:] for spec in specs])

    def call(inputs: Any, *more: Any) -> Any:
        if isinstance(inputs, dict):
            inputs = list(inputs.values())
        tensors = inputs if isinstance(inputs, list) else [inputs, *more]
        outputs = serve(**dict(zip(names, tensors, strict=True)))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    return TensorFlowBackend(call, specs, structure, variables=variables, **options)


def _as(array: NDArray, dtype: tf.DType) -> NDArray:
    return np.asarray(array, dtype=dtype.as_numpy_dtype)
