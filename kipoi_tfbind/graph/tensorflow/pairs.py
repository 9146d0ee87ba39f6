"""Pairs of edits in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.affected_region import Table
from kipoi_tfbind.graph.incremental.pair_engine import Apart, PairProgram, Pairs, single_changes
from kipoi_tfbind.graph.incremental.pair_propagation import PairWalk, PairWindows, Single
from kipoi_tfbind.graph.tensorflow.edit_arrays import TensorFlowWindows

if TYPE_CHECKING:
    from kipoi_tfbind.graph.tensorflow.incremental import TensorFlowIncremental

# Single edits that are followed at once.
_AT_ONCE = 256


class PairFunctions:
    """The functions that pairs of a model's edits need, each compiled once.

    Parameters
    ----------
    incremental
        The model.
    arrays
        Windows in TensorFlow.
    """

    def __init__(self, incremental: TensorFlowIncremental, arrays: TensorFlowWindows) -> None:
        self._incremental, self._arrays = incremental, arrays
        self.program: PairProgram = incremental.pair_program
        self._of_singles: dict[Any, Any] = {}
        self._of_pairs: dict[Any, Any] = {}

    def singles(
        self, own: list[tf.Tensor], first: NDArray, new: NDArray
    ) -> tuple[list[Any], dict[Ref, NDArray]]:
        """What pairs look up of single edits of one sequence, and where the windows of these start."""
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
        singles = []
        starts: dict[Ref, NDArray] = {}
        for k, table in enumerate(self.program.singles):
            changes = tf.concat([part[k][0] for part in parts], 0)
            at_each = tf.concat([part[k][1] for part in parts], 0)
            if table.how == "rows":
                rows = tf.reshape(changes, (-1, *changes.shape[2:]))
                changes = tf.concat([tf.zeros_like(rows[:1]), rows], 0)
            if table.how == "starts":
                starts[table.ref] = at_each.numpy()
            singles.append([changes, at_each])
        return singles, starts

    def predict(
        self, tables: list[Any], singles: list[Any], first: NDArray, second: NDArray, apart: Apart
    ) -> NDArray:
        """Predictions of pairs."""
        places = [tf.constant(array, tf.int32) for array in (first, second)]
        key = (apart, self.program.size)
        if key not in self._of_pairs:
            signature = specs_of([tables, singles, *places], any_number=True)
            self._of_pairs[key] = tf.function(
                lambda tables, singles, first, second: self._pairs(tables, singles, first, second, apart),
                input_signature=signature,
                autograph=False,
            )
        return self._of_pairs[key](tables, singles, *places).numpy()

    def _single_edits(
        self, own: list[tf.Tensor], sequence: tf.Tensor, first: tf.Tensor, codes: tf.Tensor
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        walk = self._incremental.walk(self.program.own, own, sequence, first, codes)
        return [
            (change, first * 0 if starts is None else starts)
            for change, starts in single_changes(walk, self.program.singles)
        ]

    def _pairs(
        self,
        tables: list[tf.Tensor],
        singles: list[list[tf.Tensor]],
        first: tf.Tensor,
        second: tf.Tensor,
        apart: Apart,
    ) -> tf.Tensor:
        program = self.program
        table = dict(zip(program.tables, tables, strict=True))
        single = {t: Single(*values) for t, values in zip(program.singles, singles, strict=True)}
        windows = PairWindows(
            self._arrays,
            program.program,
            table.__getitem__,
            single.__getitem__,
            first=first,
            second=second,
            template=program.template,
            ends=program.ends,
        )
        return PairWalk(windows, lambda ref: dict(apart).get(ref, 0)).outputs()


class TensorFlowPairs(Pairs):
    """Pairs of one sequence's edits.

    Parameters
    ----------
    functions
        Of the model.
    look_up
        Gives what is looked up of the sequence.
    first, new
        Position and new base of each edit.
    """

    def __init__(
        self,
        functions: PairFunctions,
        look_up: Callable[[list[Table]], list[tf.Tensor]],
        first: NDArray,
        new: NDArray,
    ) -> None:
        self._functions, self._look_up, self._edits = functions, look_up, (first, new)
        super().__init__(functions.program)

    def prepare(self) -> dict[Ref, NDArray]:
        """See the base class."""
        self._tables = self._look_up(self.program.tables)
        own = self._look_up(self.program.own)
        self._singles, starts = self._functions.singles(own, *self._edits)
        return starts

    def predict_prepared(self, first: NDArray, second: NDArray, apart: Apart) -> NDArray:
        """See the base class."""
        return self._functions.predict(self._tables, self._singles, first, second, apart)


def specs_of(arguments: Sequence[Any], *, any_number: bool) -> Any:
    """Signature of a function that takes these tensors, or such with any length of the first axis."""
    return [
        specs_of(argument, any_number=any_number)
        if isinstance(argument, list)
        else tf.TensorSpec((None if any_number else argument.shape[0], *argument.shape[1:]), argument.dtype)
        for argument in arguments
    ]
