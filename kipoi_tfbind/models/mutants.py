"""Contributions of mutants against references, through a model's first operations by affected regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.layer_head import LayerHead, head_of, values_between
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.graph.deeplift.along_line import AlongLine
from kipoi_tfbind.graph.deeplift.linear_maps import Value
from kipoi_tfbind.graph.deeplift.mutants import MutantContributions
from kipoi_tfbind.graph.deeplift.prefix import Prefix
from kipoi_tfbind.graph.deeplift.prefix_search import prefix_of
from kipoi_tfbind.graph.deeplift.step_slopes import FUNCTIONS
from kipoi_tfbind.graph.graph import Graph
from kipoi_tfbind.memory import memory_budget
from kipoi_tfbind.models.adapted import Adapted, base_encodings
from kipoi_tfbind.models.layer import example_inputs, program_of, traced
from kipoi_tfbind.models.sequence_model import SequenceModel

Auxiliary = Mapping[str, NDArray]
# Numbers of the largest value for all mutants that are propagated at once: more would be out of the cache.
_AT_ONCE = 2**21
# Of what units give to contributions.
_TABLE_BYTES = 1 << 30
# Sites whose affected regions lie near each other.
_TOGETHER = 32


@dataclass(frozen=True)
class MutantEngine:
    """Changes of DeepSHAP's contributions by substitutions in a sequence.

    Attributes
    ----------
    prefix
        The first steps of the model, which mutants are followed through.
    """

    prefix: Prefix
    _model: SequenceModel = field(repr=False)
    _adapted: Adapted = field(repr=False)
    _graph: Graph = field(repr=False)

    def changes(
        self,
        one_hot: NDArray,
        references: NDArray,
        auxiliary: Auxiliary,
        sites: NDArray[np.intp],
        positions: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """Contributions of mutants less the sequence's own (site, position, target).

        They are means over the three substitutions at a site, and over the references; at the site itself
        they are without meaning.

        Parameters
        ----------
        one_hot
            (1, position, base).
        references
            (reference, position, base).
        auxiliary
            Of the sequence, as in `SequenceModel.predict`.
        sites
            Positions that are substituted, none of them N.
        positions
            Whose contributions are asked for.
        """
        prefix, n = self.prefix, len(references)
        rows = np.concatenate([one_hot, references.astype(one_hot.dtype)])
        found = prefix.activations(self._values([], self._inputs(rows, auxiliary)))
        dtype = found[prefix.end.ref].dtype
        encoded = rows.astype(dtype) @ self._encodings[:4].astype(dtype)
        bytes_each = dtype.itemsize * len(positions) * sum(v.length * v.channels for v in prefix.tabled)
        n_parts = -(-n * bytes_each // min(memory_budget(), _TABLE_BYTES))
        total: NDArray[np.float64] = np.zeros((len(sites), len(positions), len(self._model.columns)))
        for part in np.array_split(np.arange(1, n + 1), min(max(n_parts, 1), n)):
            some = np.concatenate([[0], part])
            of_part = MutantContributions(prefix, {ref: a[some] for ref, a in found.items()}, encoded[some])
            last = found[prefix.end.ref][some]
            change = self._changes(of_part, codes_of(one_hot)[0], last, auxiliary, sites, positions)
            total += change * (len(part) / n)
        return total

    def along_line(self, start: NDArray, direction: NDArray, auxiliary: Auxiliary) -> AlongLine:
        """The model on the way from a point on (position, base); it is followed to its output."""
        activations = self.prefix.activations(self._values([], self._inputs(start[np.newaxis], auxiliary)))
        encoded = direction @ self._encodings[:4]
        return AlongLine(self.prefix, activations, encoded, self._model.columns)

    def _changes(
        self,
        engine: MutantContributions,
        codes: NDArray[np.uint8],
        last: NDArray,
        auxiliary: Auxiliary,
        sites: NDArray[np.intp],
        positions: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """As `changes`, for as many references as memory holds the tables of."""
        prefix, n_references, n_targets = self.prefix, len(last) - 1, len(self._model.columns)
        end, encodings = prefix.end, self._encodings.astype(last.dtype)
        tables = engine.tables(positions)
        own = None if prefix.is_whole else self._multipliers(last[:1], last[1:], auxiliary)[0]
        changes = np.empty((len(sites), len(positions), n_targets))
        step = int(np.clip(_AT_ONCE // (3 * n_references * n_targets * self._widest), 1, _TOGETHER))
        for at in range(0, len(sites), step):
            some = sites[at : at + step]
            new = (codes[some][:, None] + 1 + np.arange(3)) % 4
            change, slopes = engine.mutants(some, encodings[new] - encodings[codes[some]][:, None])
            if prefix.is_whole:
                cotangents = self._chosen(last.dtype, (len(some), 3, n_references))
            else:
                mutated = engine.at_end(end.by_position(last[:1]), some, change)
                mutated = end.in_layout(mutated.reshape(-1, *mutated.shape[2:]))
                cotangents = self._multipliers(mutated, last[1:], auxiliary)
                cotangents = cotangents.reshape(len(some), 3, *cotangents.shape[1:])
            changes[at : at + step] = engine.contributions(some, slopes, cotangents, own, tables, positions)
        return changes

    @cached_property
    def _values(self) -> Any:
        """The values of the prefix, compiled once for a model."""
        any_backend: Any = self._adapted.backend
        key = "values", id(self.prefix)
        if key not in any_backend.heads:
            any_backend.heads[key] = values_between(any_backend, self._graph, [], self.prefix.wanted)
        return any_backend.heads[key]

    @cached_property
    def _widest(self) -> int:
        """Numbers of the largest affected region, or of the value at the end where it is taken whole."""
        regions = [self.prefix.region(step.after).width * step.after.channels for step in self.prefix.steps]
        return max([*regions, self.prefix.end.length * self.prefix.end.channels])

    def _chosen(self, dtype: np.dtype, lead: tuple[int, ...]) -> NDArray:
        """Multipliers (*lead, target, position, channel) of the model's output: 1 of the target itself."""
        end, columns = self.prefix.end, list(self._model.columns)
        chosen = np.zeros((len(columns), end.length * end.channels), dtype)
        chosen[np.arange(len(columns)), columns] = 1
        by_position = end.by_position(chosen.reshape(-1, *end.shape))
        return np.broadcast_to(by_position, (*lead, *by_position.shape))

    def _inputs(self, rows: NDArray, auxiliary: Auxiliary) -> list[NDArray]:
        same = np.zeros(len(rows), np.intp)
        return self._adapted.inputs(rows, {name: values[same] for name, values in auxiliary.items()})

    def _multipliers(self, values: NDArray, references: NDArray, auxiliary: Auxiliary) -> NDArray:
        """Multipliers (row, reference, target, position, channel) of the last value."""
        n, end = len(values), self.prefix.end
        rows = np.zeros((n, self._length, 4), np.float32)
        rows[..., 0] = 1  # nothing of the sequence passes the last value by
        at_references = np.repeat(references[np.newaxis], n, axis=0)
        found, _ = self._head.multipliers(
            values, at_references, self._inputs(rows, auxiliary), self._model.columns
        )
        found = np.moveaxis(found, -1, 2)
        return end.by_position(found.reshape(-1, *end.shape)).reshape(
            *found.shape[:3], end.length, end.channels
        )

    @cached_property
    def _head(self) -> LayerHead:
        end = self.prefix.end
        return head_of(self._adapted.backend, self._graph, end.ref, end.shape)

    @cached_property
    def _encodings(self) -> NDArray:
        return base_encodings(self._adapted.layout).reshape(5, -1)

    @property
    def _length(self) -> int:
        return self.prefix.source.length


def mutant_engine(model: SequenceModel, one_hot: NDArray, auxiliary: Auxiliary) -> MutantEngine | None:
    """The engine of a model whose first layers are known; None of another, or of an average of strands.

    Parameters
    ----------
    model
        One model that can be traced.
    one_hot, auxiliary
        Sequences like those that will come, as in `SequenceModel.predict`.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model
    >>> parts = torch.nn.Conv1d(4, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 1)
    >>> model = as_sequence_model(torch.nn.Sequential(*parts), length=8)
    >>> engine = mutant_engine(model, np.eye(4)[np.newaxis, [0, 1, 2, 3, 0, 1, 2, 3]], {})
    >>> len(engine.prefix.steps), engine.prefix.is_whole
    (3, True)
    """
    adapted = model.evaluator
    if not isinstance(adapted, Adapted) or not adapted.layout.has_bases or adapted.layout.flattened:
        return None
    if adapted.backend.framework not in ("tensorflow", "torch") or base_encodings(adapted.layout)[4].any():
        return None
    probes = example_inputs(model, one_hot, auxiliary)
    graph = traced(model, probes)
    any_backend: Any = adapted.backend
    key = "prefix", id(graph), *(array.shape[1:] for array in probes)
    if key not in any_backend.heads:
        any_backend.heads[key] = _prefix(model, adapted, graph, probes)
    prefix = any_backend.heads[key]
    return None if prefix is None else MutantEngine(prefix, model, adapted, graph)


def _prefix(model: SequenceModel, adapted: Adapted, graph: Graph, probes: Sequence[NDArray]) -> Prefix | None:
    """The first steps of a model, with its linear maps measured."""

    def part(sources: Sequence[Value], after: Value) -> Any:
        given = [(value.ref, value.shape) for value in sources]
        run = values_between(adapted.backend, graph, given, [after.ref])

        def by_position(rows: Sequence[NDArray]) -> NDArray:
            values = [value.in_layout(own) for value, own in zip(sources, rows, strict=True)]
            same = np.zeros(len(rows[0]), np.intp)
            (found,) = run(values, [array[same] for array in probes])
            return after.by_position(found)

        return by_position

    return prefix_of(program_of(model, graph, probes), frozenset(FUNCTIONS), part)
