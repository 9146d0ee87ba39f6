"""Double mutants in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.pair_engine import (
    PairProgram,
    Pairs,
    Separation,
    joined_changes,
    single_changes,
)
from kipoi_tfbind.graph.incremental.pair_propagation import SingleChange
from kipoi_tfbind.graph.incremental.propagation import Propagation
from kipoi_tfbind.graph.incremental.regions import RunNode
from kipoi_tfbind.graph.tensorflow.ops import TensorFlowOps

# Single edits that are followed at once.
_AT_ONCE = 256


class PairFunctions:
    """The functions that double mutants of a model need, each compiled once.

    Parameters
    ----------
    program
        The model, with the activations and changes that are looked up.
    ops
        TensorFlow's arrays.
    run
        Runs a node.
    propagation
        The propagation of single edits.
    """

    def __init__(
        self,
        program: PairProgram,
        ops: TensorFlowOps,
        run: RunNode,
        propagation: Callable[..., Propagation],
    ) -> None:
        self.program, self._ops, self._run, self._propagation = program, ops, run, propagation
        self._of_singles: dict[Any, Any] = {}
        self._of_pairs: dict[Any, Any] = {}

    def singles(
        self, own: list[tf.Tensor], first: NDArray, new: NDArray
    ) -> tuple[list[Any], dict[Ref, NDArray]]:
        """Changes that single edits of one sequence make, and where their regions start."""
        parts = []
        for at in range(0, len(first), _AT_ONCE):
            which = np.minimum(np.arange(at, at + _AT_ONCE), len(first) - 1)
            places = [tf.constant(a, tf.int32) for a in (which * 0, first[which], new[which, np.newaxis])]
            key = self.program.size
            if key not in self._of_singles:
                signature = specs_of([own, *places], any_number=True)
                self._of_singles[key] = tf.function(
                    self._single_edits, input_signature=signature, autograph=False
                )
            n = min(_AT_ONCE, len(first) - at)
            found = self._of_singles[key](own, *places)
            parts.append([(change[:n], starts[:n]) for change, starts in found])
        singles, starts = joined_changes(self._ops, self.program.singles, parts)
        found = [list(singles[cached]) for cached in self.program.singles]
        return found, {ref: first.numpy() for ref, first in starts.items()}

    def predict(
        self, cached: list[Any], singles: list[Any], first: NDArray, second: NDArray, separation: Separation
    ) -> NDArray:
        """Predictions of double mutants."""
        places = [tf.constant(array, tf.int32) for array in (first, second)]
        key = (separation, self.program.size)
        if key not in self._of_pairs:
            signature = specs_of([cached, singles, *places], any_number=True)
            self._of_pairs[key] = tf.function(
                lambda cached, singles, *edits: self._pairs(cached, singles, edits, separation),
                input_signature=signature,
                autograph=False,
            )
        return self._of_pairs[key](cached, singles, *places).numpy()

    def _single_edits(
        self, own: list[tf.Tensor], sequence: tf.Tensor, first: tf.Tensor, codes: tf.Tensor
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        single = self._propagation(self.program.own, own, sequence, first, codes)
        return [
            (change, first * 0 if starts is None else starts)
            for change, starts in single_changes(single, self.program.singles)
        ]

    def _pairs(
        self,
        cached: list[tf.Tensor],
        singles: list[list[tf.Tensor]],
        edits: tuple[tf.Tensor, tf.Tensor],
        separation: Separation,
    ) -> tf.Tensor:
        program = self.program
        own = dict(zip(program.cached, cached, strict=True))
        single = {key: SingleChange(*values) for key, values in zip(program.singles, singles, strict=True)}
        return program.propagation(
            self._ops, self._run, own.__getitem__, single.__getitem__, edits, separation
        ).outputs()


class TensorFlowPairs(Pairs):
    """Double mutants of one sequence.

    Parameters
    ----------
    functions
        Of the model.
    look_up
        Gives the cached activations of the sequence.
    first, new
        Position and new base of each edit.
    """

    def __init__(
        self,
        functions: PairFunctions,
        look_up: Callable[[list[Cached]], list[tf.Tensor]],
        first: NDArray,
        new: NDArray,
    ) -> None:
        self._functions, self._look_up, self._edits = functions, look_up, (first, new)
        super().__init__(functions.program)

    def prepare(self) -> dict[Ref, NDArray]:
        """See the base class."""
        self._cached = self._look_up(self.program.cached)
        own = self._look_up(self.program.own)
        self._singles, starts = self._functions.singles(own, *self._edits)
        return starts

    def predict_prepared(self, first: NDArray, second: NDArray, separation: Separation) -> NDArray:
        """See the base class."""
        return self._functions.predict(self._cached, self._singles, first, second, separation)


def specs_of(arguments: Sequence[Any], *, any_number: bool) -> Any:
    """Signature of a function that takes these tensors, or such with any length of the first axis."""
    return [
        specs_of(argument, any_number=any_number)
        if isinstance(argument, list)
        else tf.TensorSpec((None if any_number else argument.shape[0], *argument.shape[1:]), argument.dtype)
        for argument in arguments
    ]
