"""DeepLIFT multipliers: complete everywhere, the same in both frameworks, equal to shap where it is right."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError, UnsupportedModelError, UnsupportedOperationError
from kipoi_tfbind.graph import Graph, trace_tensorflow, trace_torch
from kipoi_tfbind.graph.deeplift.engine import DeepLiftResult
from tests import graph_models
from tests.graph.explain import deep_lift, engine_of
from tests.graph_models import LENGTH, NAMES, RECURRENT, Architecture, build

N, N_REFERENCES = 3, 4
# What the arithmetic allows: measured 3e-6 and 5e-15 at worst.
COMPLETE = {"float32": 1e-5, "float64": 1e-12}


def one_hot(*shape: int, seed: int = 0) -> NDArray:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(4, size=shape)]


def channels_first(x: NDArray) -> NDArray:
    return np.ascontiguousarray(np.swapaxes(x, -1, -2))


@cache
def data(name: str) -> tuple[list[NDArray], NDArray]:
    rng = np.random.default_rng(1)
    others = [rng.normal(size=(N, n, 2)).astype(np.float32) for n in build(name).lengths[1:]]
    return [one_hot(N, LENGTH), *others], one_hot(N, N_REFERENCES, LENGTH, seed=2)


@lru_cache(maxsize=1)
def keras_graph(name: str) -> Graph:
    model = build(name).keras
    specs = [tf.TensorSpec((None, *x.shape[1:])) for x in data(name)[0]]
    return trace_tensorflow(lambda x: [model(x, training=False)], specs)


@lru_cache(maxsize=1)
def torch_graph(name: str) -> Graph:
    module = build(name).torch
    assert module is not None
    return trace_torch(module, [torch.from_numpy(channels_first(x)) for x in data(name)[0]])


@cache
def explained(name: str, framework: str, precision: str) -> DeepLiftResult:
    """Multipliers with the bases last, whatever the framework."""
    inputs, references = data(name)
    graph = keras_graph(name) if framework == "keras" else torch_graph(name)
    graph = graph if precision == "float32" else graph.in_precision("float64")
    if framework == "keras":
        return deep_lift(graph, inputs, references)
    result = deep_lift(graph, [channels_first(x) for x in inputs], channels_first(references))
    return result._replace(multipliers=np.swapaxes(result.multipliers, 2, 3))


def completeness_error(result: DeepLiftResult, x: NDArray, references: NDArray) -> float:
    """Largest departure from completeness, relative to the largest difference."""
    difference = (x[:, None] - references)[..., None]
    contributions = (result.multipliers * difference).reshape(
        *references.shape[:2], -1, result.output.shape[-1]
    )
    expected = result.output[:, None] - result.reference_output
    return float(np.abs(contributions.sum(axis=2) - expected).max() / np.abs(expected).max())


def rows(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name == "danq" else name


def of(names: Iterable[str]) -> pytest.MarkDecorator:
    """Architectures; all tests of one come after each other."""
    return pytest.mark.parametrize("name", [rows(name) for name in names], scope="class")


class InKeras:
    @pytest.mark.parametrize("precision", ["float32", "float64"])
    def test_complete_in_keras(self, name: str, precision: str) -> None:
        (x, *others), references = data(name)
        result = explained(name, "keras", precision)
        assert result.multipliers.shape == (*references.shape, result.output.shape[1])
        assert result.multipliers.dtype == precision
        assert np.abs(result.output[:, None] - result.reference_output).max() > 1e-3
        assert completeness_error(result, x, references) < COMPLETE[precision]
        model = build(name).keras
        np.testing.assert_allclose(result.output, model([x, *others]), atol=2e-5)
        flat = references.reshape(-1, LENGTH, 4)
        at_references = model([flat, *(np.repeat(o, N_REFERENCES, 0) for o in others)])
        np.testing.assert_allclose(
            result.reference_output.reshape(at_references.shape), at_references, atol=2e-5
        )


@of(name for name in NAMES if name in graph_models.KERAS_ONLY)
class TestKerasOnly(InKeras):
    pass


@of(name for name in NAMES if name not in graph_models.KERAS_ONLY)
class TestBothFrameworks(InKeras):
    @pytest.mark.parametrize("precision", ["float32", "float64"])
    def test_complete_in_torch(self, name: str, precision: str) -> None:
        inputs, references = data(name)
        result = explained(name, "torch", precision)
        assert result.multipliers.dtype == precision
        assert completeness_error(result, inputs[0], references) < COMPLETE[precision]

    def test_same_in_both_frameworks(self, name: str) -> None:
        mine, its = (explained(name, framework, "float32") for framework in ("keras", "torch"))
        np.testing.assert_allclose(mine.output, its.output, atol=2e-5)
        np.testing.assert_allclose(mine.multipliers, its.multipliers, atol=1e-5)
        # Not the conditioning: in double precision they are equal to the thresholds of the secants.
        if name not in RECURRENT:
            mine, its = (explained(name, framework, "float64") for framework in ("keras", "torch"))
            np.testing.assert_allclose(mine.multipliers, its.multipliers, atol=1e-7)


def attributions(result: DeepLiftResult, x: NDArray, references: NDArray) -> NDArray:
    return (result.multipliers * (x[:, None] - references)[..., None]).mean(axis=1)


def without_runs(*shape: int, seed: int) -> NDArray:
    """Sequences with no base twice in a row: no maxima of a pool are equal, of which shap takes the first."""
    steps = np.random.default_rng(seed).integers(1, 4, size=shape)
    return np.eye(4, dtype=np.float32)[np.cumsum(steps, axis=-1) % 4]


# With what shap has a rule for.
SHAP_IS_RIGHT = (
    "relu",
    "exponential",
    "softplus",
    "elu",
    "tanh_sigmoid_gate",
    "batch_norm",
    "global_average",
)


@pytest.mark.parametrize("name", SHAP_IS_RIGHT)
def test_equals_shap(name: str) -> None:
    import shap

    x, references = without_runs(2, LENGTH, seed=5), without_runs(2, N_REFERENCES, LENGTH, seed=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(name).keras
        theirs = np.stack(
            [
                shap.DeepExplainer(model, r).shap_values(x[i : i + 1], check_additivity=False)[0]
                for i, r in enumerate(references)
            ]
        )
    mine = attributions(deep_lift(keras_graph(name), [x], references), x, references)
    np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("name", ["rc_tied_sum", "rc_tied_max", "zoo_dilated_residual"])
def test_both_strands_alike(name: str) -> None:
    (x,), references = data(name)
    forward = explained(name, "keras", "float32")
    reverse = deep_lift(keras_graph(name), [x[:, ::-1, ::-1]], references[:, :, ::-1, ::-1])
    np.testing.assert_allclose(reverse.output, forward.output, atol=1e-6)
    np.testing.assert_allclose(
        reverse.multipliers[:, :, ::-1, ::-1],
        forward.multipliers,
        atol=1e-6 * np.abs(forward.multipliers).max(),
    )


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_gradient_where_sequence_and_reference_agree(framework: str) -> None:
    """At r = x every multiplier is a derivative; max pooling, whose rule has none, is not in these."""
    for name in ("profile", "attention_pooling", "dilated_dense", "smooth"):
        (x,), _ = data(name)
        if framework == "keras":
            graph = keras_graph(name).in_precision("float64")
            result = deep_lift(graph, [x], x[:, None])
            with tf.GradientTape() as tape:
                at = tf.constant(x, tf.float64)
                tape.watch(at)
                output = tf.reduce_sum(graph.as_function()([at])[0][:, 0])
            expected = tape.gradient(output, at).numpy()
        else:
            graph = torch_graph(name).in_precision("float64")
            at_torch = torch.from_numpy(channels_first(x)).double().requires_grad_()
            result = deep_lift(graph, [at_torch.detach().numpy()], at_torch.detach().numpy()[:, None])
            graph.as_function()([at_torch])[0][:, 0].sum().backward()
            assert at_torch.grad is not None
            expected = at_torch.grad.numpy()
        # Derivatives that the secants have in closed form and those that the frameworks give.
        np.testing.assert_allclose(result.multipliers[:, 0, ..., 0], expected, atol=1e-9)


def tf_graph(function: Callable[[Any], Any], size: int = 2) -> Graph:
    return trace_tensorflow(lambda x: [function(x[0])], [tf.TensorSpec((None, size), tf.float64)])


def th_graph(function: Callable[[Any], Any], size: int = 2) -> Graph:
    return trace_torch(lambda x: [function(x[0])], [torch.ones(1, size, dtype=torch.float64)])


def shapley(function: Callable[[NDArray], float], x: NDArray, r: NDArray) -> NDArray:
    """Shapley values of the inputs by definition: the mean over all orders of switching them from r to x."""
    values = np.zeros(len(x))
    orders = list(itertools.permutations(range(len(x))))
    for order in orders:
        at = r.copy()
        for i in order:
            before = function(at)
            at[i] = x[i]
            values[i] += (function(at) - before) / len(orders)
    return values


PAIRS: dict[str, Sequence[Callable[..., Any]]] = {
    "product": (lambda v: v[:, :1] * v[:, 1:],) * 2 + (lambda v: v[0] * v[1],),
    "ratio": (lambda v: v[:, :1] / v[:, 1:],) * 2 + (lambda v: v[0] / v[1],),
    "maximum": (
        lambda v: tf.maximum(v[:, :1], v[:, 1:]),
        lambda v: torch.maximum(v[:, :1], v[:, 1:]),
        lambda v: max(v[0], v[1]),
    ),
    "minimum": (
        lambda v: tf.minimum(v[:, :1], v[:, 1:]),
        lambda v: torch.minimum(v[:, :1], v[:, 1:]),
        lambda v: min(v[0], v[1]),
    ),
    "power": (lambda v: v[:, :1] ** v[:, 1:],) * 2 + (lambda v: v[0] ** v[1],),
    "squared difference": (
        lambda v: tf.math.squared_difference(v[:, :1], v[:, 1:]),
        lambda v: (v[:, :1] - v[:, 1:]) ** 2,
        lambda v: (v[0] - v[1]) ** 2,
    ),
    "matmul": (
        lambda v: tf.matmul(v[:, :1, None], v[:, 1:, None])[:, 0],
        lambda v: torch.bmm(v[:, :1, None], v[:, 1:, None])[:, 0],
        lambda v: v[0] * v[1],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_two_operands_have_their_shapley_values(name: str, framework: str) -> None:
    in_tf, in_torch, in_numpy = PAIRS[name]
    graph = tf_graph(in_tf) if framework == "tensorflow" else th_graph(in_torch)
    rng = np.random.default_rng(3)
    x, r = rng.uniform(0.5, 3, (6, 2)), rng.uniform(0.5, 3, (6, 1, 2))
    result = deep_lift(graph, [x], r)
    mine = result.multipliers[:, 0, :, 0] * (x - r[:, 0])
    expected = [shapley(in_numpy, a, b) for a, b in zip(x, r[:, 0], strict=True)]
    np.testing.assert_allclose(mine, expected, rtol=1e-12)


def softmax_shares(x: NDArray, r: NDArray) -> NDArray:
    """Contributions to the first of softmax(x), step by step: the log-softmax, and its exponential."""
    sx, sr = np.exp(x).sum(), np.exp(r).sum()
    to_log_sum = (np.exp(x) - np.exp(r)) * np.log(sx / sr) / (sx - sr)
    to_log = np.where(np.arange(len(x)) == 0, x - r, 0) - to_log_sum
    px, pr = np.exp(x[0]) / sx, np.exp(r[0]) / sr
    return to_log * (px - pr) / np.log(px / pr)


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_softmax_is_the_exponential_of_the_log_softmax(framework: str) -> None:
    rng = np.random.default_rng(4)
    x, r = rng.normal(size=(5, 3)), rng.normal(size=(5, 1, 3))
    if framework == "tensorflow":
        graph = tf_graph(lambda v: tf.nn.softmax(v)[:, :1], 3)
    else:
        graph = th_graph(lambda v: torch.softmax(v, -1)[:, :1], 3)
    mine = deep_lift(graph, [x], r).multipliers[:, 0, :, 0] * (x - r[:, 0])
    expected = [softmax_shares(a, b) for a, b in zip(x, r[:, 0], strict=True)]
    np.testing.assert_allclose(mine, expected, rtol=1e-12)


FAR_APART = {
    "softmax": (tf.nn.softmax, lambda v: torch.softmax(v, -1)),
    "log_softmax": (tf.nn.log_softmax, lambda v: torch.log_softmax(v, -1)),
    "log_sum_exp": (
        lambda v: tf.reduce_logsumexp(v, -1, keepdims=True),
        lambda v: torch.logsumexp(v, -1, keepdim=True),
    ),
}


@pytest.mark.parametrize("scale", [1, 8, 100, 1000])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
@pytest.mark.parametrize("name", FAR_APART)
def test_complete_where_inputs_are_far_apart(name: str, framework: str, precision: str, scale: float) -> None:
    """Complete to rounding of the inputs, and no multiplier is larger than the largest derivative."""
    rng = np.random.default_rng(4)
    x, r = rng.normal(0, scale, (6, 5)), rng.normal(0, scale, (6, 7, 5))
    # Equal, shifted alike, masked, and one of them masked.
    r[0, 0], r[1, 0], r[2, 0] = x[0], x[1] + scale, x[2]
    x[3, 1] = r[3, :, 1] = -1e9
    x[4, 1] = r[4, :, 1] = -np.inf
    in_tf, in_torch = FAR_APART[name]
    graph = tf_graph(in_tf, 5) if framework == "tensorflow" else th_graph(in_torch, 5)
    graph = graph.in_precision(precision)  # type: ignore[arg-type]
    result = deep_lift(graph, [x.astype(precision)], r.astype(precision))
    with np.errstate(invalid="ignore"):
        outputs = result.output[:, None] - result.reference_output
    if name == "log_softmax":
        # Of what is masked the logarithm is no number.
        result = result._replace(multipliers=np.delete(result.multipliers, 1, -1))
        outputs = np.delete(outputs, 1, -1)
    with np.errstate(invalid="ignore"):
        difference = np.nan_to_num(x[:, None] - r, nan=0)[..., None]
    error = (result.multipliers * difference).sum(2) - outputs
    # Inputs of this size are rounded to this.
    assert np.abs(error).max() < 50 * scale * np.finfo(precision).eps
    assert np.abs(result.multipliers).max() <= 1 + 1e-5


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_max_pooling_by_hand(framework: str) -> None:
    """The difference of the maxima goes to where the larger one is; ties share it."""
    x = np.array([[1.0, 5.0, 2.0], [0.0, 1.0, 0.0], [4.0, 4.0, 0.0], [1.0, 2.0, 3.0]])
    r = np.array([[3.0, 1.0, 0.0], [3.0, 2.0, 0.0], [0.0, 1.0, 2.0], [3.0, 2.0, 1.0]])[:, None]
    if framework == "tensorflow":
        graph = tf_graph(lambda v: tf.reduce_max(v, axis=1, keepdims=True), 3)
    else:
        graph = th_graph(lambda v: v.amax(1, keepdim=True), 3)
    result = deep_lift(graph, [x], r)
    contributions = result.multipliers[:, 0, :, 0] * (x - r[:, 0])
    expected = [[0, 2, 0], [-2, 0, 0], [1, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(contributions, expected, atol=1e-12)


CONDITIONS = {
    "where": (lambda v: tf.where(v > 1, v, 0.1 * v), lambda v: torch.where(v > 1, v, 0.1 * v)),
    "mask": (lambda v: v * tf.cast(v > 1, v.dtype), lambda v: v * (v > 1).to(v.dtype)),
}


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_condition_on_the_value_itself(name: str, framework: str) -> None:
    in_tf, in_torch = CONDITIONS[name]
    graph = tf_graph(in_tf) if framework == "tensorflow" else th_graph(in_torch)
    x, r = np.array([[0.5, 2.0], [3.0, 1.5]]), np.array([[[2.5, 2.0]], [[1.5, 0.5]]])
    result = deep_lift(graph, [x], r)
    low = 0.1 if name == "where" else 0.0
    secants = [[(low * 0.5 - 2.5) / (0.5 - 2.5), 1.0], [1.0, (1.5 - low * 0.5) / (1.5 - 0.5)]]
    np.testing.assert_allclose([np.diag(m[0]) for m in result.multipliers], secants, rtol=1e-12)


OTHER_TORCH_OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "causal attention": lambda v: torch.nn.functional.scaled_dot_product_attention(v, v, v, is_causal=True),
    "deviation": lambda v: v.std(2) * v.var(2, correction=0),
    "masked": lambda v: v.masked_fill(v < 0.2, 0.0),
    "no gradient": lambda v: v.detach() * v,
    "norm": lambda v: torch.nn.functional.normalize(v, dim=1),
    "logsumexp": lambda v: v.logsumexp(2),
    "logaddexp": lambda v: torch.logaddexp(v[:, :2], v[:, 2:]),
    "addcmul": lambda v: torch.addcmul(v, v, v.flip(2)),
    "strands in one batch": lambda v: torch.maximum(*torch.cat([v.tanh(), v.flip(1, 2).tanh()]).chunk(2)),
    "masked pool": lambda v: v.where(torch.arange(v.shape[2]) % 3 > 0, -torch.inf).amax(2),
    "masked minimum": lambda v: v.where(torch.arange(v.shape[2]) % 3 > 0, torch.inf).amin(2),
    "padded pool": lambda v: torch.nn.functional.max_pool1d(v, 3, 1, 1),
    "largest of two axes": lambda v: v.amax((1, 2), keepdim=True) - v.min(2, keepdim=True)[0],
    "steps": lambda v: (3 * v).round() + v.sign(),
}


@pytest.mark.parametrize("name", OTHER_TORCH_OPERATIONS)
def test_complete_for_other_torch_operations(name: str) -> None:
    operation = OTHER_TORCH_OPERATIONS[name]

    def function(tensors: list[torch.Tensor]) -> torch.Tensor:
        y = operation(tensors[0]).flatten(1)
        return y @ torch.linspace(0.1, 1, y.shape[1], dtype=y.dtype)[:, None]

    rng = np.random.default_rng(6)
    x, references = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 2, 4, 6))
    graph = trace_torch(function, [torch.from_numpy(x)])
    assert completeness_error(deep_lift(graph, [x], references), x, references) < COMPLETE["float64"]


def test_unknown_operation_is_named() -> None:
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, name="before")(inputs)
    x = keras.layers.Lambda(lambda v: tf.math.bessel_i0e(v), name="strange")(x)
    model = keras.Model(inputs, x)
    graph = trace_tensorflow(lambda v: [model(v[0])], [tf.TensorSpec((None, 4))])
    with pytest.raises(UnsupportedOperationError, match=r"BesselI0e of layer .*strange.*mutagenesis"):
        deep_lift(graph, [np.ones((1, 4))], np.zeros((1, 1, 4)))

    class Strange(torch.nn.Module):
        def forward(self, v: torch.Tensor) -> torch.Tensor:
            return torch.special.i0e(v)

    module = torch.nn.Sequential(torch.nn.Linear(4, 3), Strange())
    torch_graph = trace_torch(module, [torch.ones(1, 4)])
    with pytest.raises(UnsupportedOperationError, match=r"special_i0e.* of layer 1: .*mutagenesis"):
        deep_lift(torch_graph, [np.ones((1, 4))], np.zeros((1, 1, 4)))
    assert issubclass(UnsupportedOperationError, UnsupportedModelError)


@pytest.mark.parametrize(
    "function",
    [
        lambda v: v * tf.cast(tf.reduce_sum(v, 1, keepdims=True) > 1, v.dtype),
        lambda v: tf.gather(v, tf.argmax(v, axis=1), axis=1),
        lambda v: tf.sort(v, axis=1),
        lambda v: tf.cast(v > 0, tf.float64),
        lambda v: tf.where(v > 1, v, v[:, ::-1]),
    ],
)
def test_what_has_no_exact_rule_is_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(UnsupportedOperationError):
        deep_lift(tf_graph(function), [np.ones((1, 2))], np.zeros((1, 1, 2)))


def test_batch_normalisation_in_training_mode_is_refused() -> None:
    one = [1.0, 1.0, 1.0, 1.0]

    def normalise(x: list[tf.Tensor]) -> tf.Tensor:
        normalised = tf.raw_ops.FusedBatchNormV3(
            x=x[0][:, None], scale=one, offset=one, mean=[], variance=[], is_training=True
        )
        return tf.reduce_sum(normalised.y, [1, 2])

    graph = trace_tensorflow(normalise, [tf.TensorSpec((None, LENGTH, 4))])
    with pytest.raises(UnsupportedOperationError, match="FusedBatchNormV3"):
        deep_lift(graph, [one_hot(1, LENGTH)], one_hot(1, 1, LENGTH, seed=1))
    layer = keras.layers.BatchNormalization()
    with pytest.raises(UnsupportedModelError, match="training mode"):
        trace_tensorflow(lambda x: [layer(x[0], training=True)], [tf.TensorSpec((None, LENGTH, 4))])


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_one_by_one_as_together(framework: str) -> None:
    """Neither the other sequences nor the number of references nor of targets changes a multiplier."""
    name = "dilated_residual"
    (x,), references = data(name)
    together = explained(name, framework, "float32").multipliers
    graph = keras_graph(name) if framework == "keras" else torch_graph(name)
    if framework == "torch":
        x, references = channels_first(x), channels_first(references)
    one = deep_lift(graph, [x[1:2]], references[1:2, 2:3], targets=[2, 0])
    multipliers = np.swapaxes(one.multipliers, 2, 3) if framework == "torch" else one.multipliers
    np.testing.assert_allclose(multipliers[0, 0], together[1, 2][..., [2, 0]], atol=2e-6)
    assert one.output.shape == (1, 2)
    assert one.reference_output.shape == (1, 1, 2)


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_second_input(framework: str) -> None:
    inputs, _ = data("two_inputs")
    references = np.random.default_rng(5).normal(size=(N, 2, *inputs[1].shape[1:])).astype(np.float32)
    graph = keras_graph("two_inputs") if framework == "keras" else torch_graph("two_inputs")
    if framework == "torch":
        inputs, references = [channels_first(x) for x in inputs], channels_first(references)
    result = deep_lift(graph, inputs, references, wrt=1)
    assert completeness_error(result, inputs[1], references) < COMPLETE["float32"]


def test_output_that_does_not_depend_on_the_input() -> None:
    graph = trace_tensorflow(lambda x: [x[1] + 1.0], [tf.TensorSpec((None, 2)), tf.TensorSpec((None, 1))])
    result = deep_lift(graph, [np.ones((3, 2)), np.ones((3, 1))], np.zeros((3, 2, 2)))
    assert not result.multipliers.any()
    np.testing.assert_array_equal(result.reference_output, np.full((3, 2, 1), 2))


def test_arrays_that_do_not_fit_are_refused() -> None:
    graph = keras_graph("relu")
    x, references = one_hot(2, LENGTH), one_hot(2, 3, LENGTH)
    with pytest.raises(InputError, match="inputs: expected 1 arrays"):
        deep_lift(graph, [x, x], references)
    with pytest.raises(InputError, match="references: expected"):
        deep_lift(graph, [x], references[:1])
    for any_graph, transposed in ((graph, False), (torch_graph("relu"), True)):
        args = [channels_first(a) if transposed else a for a in (x, references)]
        with pytest.raises(InputError, match=r"targets: the model has 3 outputs, got the columns \[3\]"):
            deep_lift(any_graph, args[:1], args[1], targets=[3])


def test_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("batch_norm").keras
    graph = trace_tensorflow(lambda x: [model(x[0])], [tf.TensorSpec((None, None, 4))])
    compiled = []
    engine = engine_of(graph)
    original = type(engine).compile

    def counted(self: Any, *args: Any) -> Any:
        compiled.append(args)
        return original(self, *args)

    monkeypatch.setattr(type(engine), "compile", counted)
    for n, n_references, targets in ((1, 2, None), (3, 1, [1]), (2, 2, [0, 2])):
        deep_lift(graph, [one_hot(n, LENGTH)], one_hot(n, n_references, LENGTH, seed=1), targets=targets)
    assert len(compiled) == 1


@pytest.mark.slow
def test_xla_gives_the_same() -> None:
    (x,), references = data("rc_tied_max")
    result = deep_lift(keras_graph("rc_tied_max"), [x], references, jit_compile=True)
    expected = explained("rc_tied_max", "keras", "float32")
    np.testing.assert_allclose(result.multipliers, expected.multipliers, atol=1e-6)


def test_model_is_left_alone() -> None:
    architecture: Architecture = build("batch_norm")
    assert architecture.torch is not None
    before = [np.array(w) for w in architecture.keras.weights]
    state = {name: value.clone() for name, value in architecture.torch.state_dict().items()}
    explained("batch_norm", "keras", "float32")
    explained("batch_norm", "torch", "float32")
    for weight, value in zip(architecture.keras.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert all(torch.equal(value, state[name]) for name, value in architecture.torch.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in architecture.torch.parameters())
    assert not architecture.torch._forward_hooks
