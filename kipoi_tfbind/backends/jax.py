"""JAX: functions of JAX arrays (Haiku, Flax, Equinox), and Keras models that compute with JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import (
    Capability,
    InputStructure,
    NoGradients,
    OutputKind,
    Path,
    Transform,
    leaves,
    transformed_whole,
)
from kipoi_tfbind.errors import UnsupportedModelError

# JAX itself, and libraries whose models are functions of its arrays.
_LIBRARIES = ("jax", "jaxlib", "flax", "haiku", "equinox")
# Functions and objects that are looked into for something of JAX's.
_MOST_LOOKED_AT = 200
_REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum, "max": jnp.max}


class JaxBackend(NoGradients):
    """A function of JAX arrays: its predictions, and its gradients by JAX itself.

    Parameters
    ----------
    function
        The model: its inputs, packed as `structure` says, to nested outputs. It is compiled where it can be.
    structure
        The form of its inputs.
    transform
        Applied to each output array.
    order
        Paths of the outputs in the order that is wanted; by default the output's own.
    variables
        The model's weights, if they are known.
    """

    framework = "jax"
    capabilities: frozenset[Capability] = frozenset({"predictions", "gradients"})
    # Nothing tells whether such a model ends in a sigmoid.
    output: OutputKind = "raw"

    def __init__(
        self,
        function: Callable[..., Any],
        structure: InputStructure,
        *,
        transform: Transform | None = None,
        order: Sequence[Path] | None = None,
        variables: Iterable[Any] = (),
    ) -> None:
        self._function, self._structure = function, structure
        self._transform, self._order = transform, order
        self._variables = list(variables)
        self._compiles = True
        self._flat = jax.jit(self._side_by_side)
        self._pulled = jax.jit(self._columns, static_argnums=1)

    def output_shapes(self, inputs: Sequence[NDArray]) -> list[tuple[Path, tuple[int, ...]]]:
        """See the protocol."""
        return [(path, tuple(array.shape[1:])) for path, array in self._outputs(_arrays(inputs))]

    def predict(self, inputs: Sequence[NDArray]) -> NDArray:
        """See the protocol."""
        return np.asarray(self._compiled(self._flat, self._side_by_side, _arrays(inputs)))

    def gradient(self, inputs: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        arguments = _arrays(inputs), wrt, jnp.asarray(list(columns), jnp.int32)
        by_column = self._compiled(self._pulled, self._columns, *arguments)
        return np.moveaxis(np.asarray(by_column), 0, -1)

    def multipliers(
        self, inputs: Sequence[NDArray], references: NDArray, wrt: int, columns: Sequence[int]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Refuse, and say what works."""
        raise UnsupportedModelError(
            "model: computes with JAX, whose operations have no DeepLIFT rules here; use integrated "
            "gradients, sampled Shapley values or in-silico mutagenesis"
        )

    def weights(self) -> list[NDArray]:
        """See the protocol."""
        return [np.asarray(variable) for variable in self._variables]

    def _outputs(self, arrays: Sequence[Any]) -> list[tuple[Path, Any]]:
        output = self._structure.call(self._function, arrays)
        whole = transformed_whole(output, self._transform)
        found = leaves(output if whole is None else whole, self._order)
        return [(path, value if whole is not None else self._reduced(value)) for path, value in found]

    def _reduced(self, value: Any) -> Any:
        if callable(self._transform):
            return self._transform(value)
        axes = tuple(range(1, jnp.ndim(value) - 1))
        if self._transform is None or not axes:
            return value
        reduce: Any = _REDUCTIONS[self._transform]
        return reduce(value, axis=axes)

    def _side_by_side(self, arrays: Sequence[Any]) -> Any:
        n = arrays[0].shape[0]
        return jnp.concatenate([jnp.reshape(value, (n, -1)) for _, value in self._outputs(arrays)], axis=1)

    def _columns(self, arrays: Sequence[Any], wrt: int, columns: Any) -> Any:
        """Gradient (column, sequence, *axes): one pass forward, and one back for each column."""

        def by_sequence(array: Any) -> Any:
            return self._side_by_side([*arrays[:wrt], array, *arrays[wrt + 1 :]])

        prediction, pull = jax.vjp(by_sequence, arrays[wrt])
        one = jnp.eye(prediction.shape[1], dtype=prediction.dtype)[columns]
        seeds = jnp.broadcast_to(one[:, jnp.newaxis], (len(columns), *prediction.shape))
        return jax.lax.map(lambda seed: pull(seed)[0], seeds)

    def _compiled(self, compiled: Any, plain: Any, *arguments: Any) -> Any:
        """Run compiled; as it is where the function looks at values or leaves JAX on the way."""
        if self._compiles:
            try:
                return compiled(*arguments)
            except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
                self._compiles = False
        return plain(*arguments)


def gives_jax_arrays(function: Callable[..., Any], structure: InputStructure, inputs: Sequence[Any]) -> bool:
    """Whether a function makes arrays of JAX, be it given those of NumPy; not where it fails.

    A function such as ``x.sum(axis=1)`` computes with whatever it gets, and is left to NumPy. One that has
    nothing of JAX's at hand is not called: a user may count its calls, or pay for them.
    """
    if not _may_use_jax(function):
        return False
    for arrays in (list(inputs), _arrays(inputs)):
        try:
            found = leaves(structure.call(function, arrays))
        except Exception:  # of any function, which will fail again where it is asked for its predictions
            continue
        return bool(found) and all(isinstance(value, jax.Array) for _, value in found)
    return False


def _may_use_jax(function: Any) -> bool:
    """Whether something of JAX's is within reach of a function, by what it names and holds."""
    pending: list[Any] = [function]
    seen: set[int] = set()
    while pending and len(seen) < _MOST_LOOKED_AT:
        value = pending.pop(0)
        if _is_of_jax(value):
            return True
        if id(value) not in seen and callable(value) and not isinstance(value, type):
            seen.add(id(value))
            pending += _within(value)
    return False


def _within(function: Any) -> list[Any]:
    """Objects that a function has at hand: globals that it names, its closure, what it is bound to."""
    if isinstance(function, FunctionType):
        codes, names = [function.__code__], set()
        while codes:
            code = codes.pop()
            names |= set(code.co_names)
            codes += [value for value in code.co_consts if isinstance(value, CodeType)]
        known = [function.__globals__[name] for name in names if name in function.__globals__]
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # a name that has no value yet
                known.append(cell.cell_contents)
        return known
    if isinstance(function, MethodType):
        return [function.__func__, *getattr(function.__self__, "__dict__", {}).values()]
    if isinstance(function, partial):
        return [function.func, *function.args, *function.keywords.values()]
    return [type(function).__call__, *getattr(function, "__dict__", {}).values()]


def _is_of_jax(value: Any) -> bool:
    """Whether a module is of JAX or a library on it, or its class or one of the bases is defined in one."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    bases = (base.__module__ for base in type(value).__mro__)
    return any(str(where).split(".")[0] in _LIBRARIES for where in (name, *bases))


def _arrays(inputs: Sequence[Any]) -> list[Any]:
    return [jnp.asarray(array) for array in inputs]
