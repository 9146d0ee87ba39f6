"""Contributions of mutants against references, through a model's first blocks by affected regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.layer_head import LayerHead, head_of, linear_between
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.graph.deeplift.block_regions import FUNCTIONS
from kipoi_tfbind.graph.deeplift.mutants import MutantContributions
from kipoi_tfbind.graph.graph import Graph
from kipoi_tfbind.graph.incremental.chain import Block, blocks_of
from kipoi_tfbind.memory import memory_budget
from kipoi_tfbind.models.adapted import Adapted, base_encodings
from kipoi_tfbind.models.layer import example_inputs, program_of, traced
from kipoi_tfbind.models.sequence_model import SequenceModel

Auxiliary = Mapping[str, NDArray]
# Of the multipliers at the end of the blocks that are in memory at once.
_BYTES = 128 << 20
# Of what units give to contributions.
_TABLE_BYTES = 1 << 30
# Sites whose affected regions lie near each other.
_TOGETHER = 32


@dataclass(frozen=True)
class MutantEngine:
    """Changes of DeepSHAP's contributions by substitutions in a sequence.

    Attributes
    ----------
    blocks
        What the model begins with.
    """

    blocks: tuple[Block, ...]
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
        end = self.blocks[-1].output
        values = [*(block.convolved for block in self.blocks[1:]), end]
        bytes_each = 8 * len(positions) * sum(value.length * value.channels for value in values)
        n_at_once = int(np.clip(min(memory_budget(), _TABLE_BYTES) // bytes_each, 1, len(references)))
        total: NDArray[np.float64] = np.zeros((len(sites), len(positions), len(self._model.columns)))
        for at in range(0, len(references), n_at_once):
            some = references[at : at + n_at_once]
            found = self._changes(one_hot, some, auxiliary, sites, positions)
            total += found * (len(some) / len(references))
        return total

    def _changes(
        self,
        one_hot: NDArray,
        references: NDArray,
        auxiliary: Auxiliary,
        sites: NDArray[np.intp],
        positions: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """As `changes`, for as many references as memory holds the tables of."""
        rows = np.concatenate([one_hot, references.astype(one_hot.dtype)])
        inputs = self._inputs(rows, auxiliary)
        values = {v.ref: v for b in self.blocks for part in b.parts for v in (part.before, part.after)}
        found = {ref: self._adapted.backend.activations(inputs, ref) for ref in values}
        end, encodings = self.blocks[-1].output, self._encodings
        last, dtype = found[end.ref], found[end.ref].dtype
        engine = MutantContributions(self.blocks, found, rows.astype(dtype) @ encodings[:4].astype(dtype))
        tables = engine.tables(positions)
        own = self._multipliers(last[:1], last[1:], auxiliary)[0]
        codes = codes_of(one_hot)[0]
        bytes_each = 3 * len(references) * own[0].size * dtype.itemsize
        n_at_once = int(np.clip(_BYTES // bytes_each, 1, _TOGETHER))
        changes = np.empty((len(sites), len(positions), own.shape[1]))
        for at in range(0, len(sites), n_at_once):
            some = sites[at : at + n_at_once].tolist()
            mutated = end.by_position(np.repeat(last[:1], 3 * len(some), axis=0)).copy()
            slopes = []
            for k, site in enumerate(some):
                new = (codes[site] + 1 + np.arange(3)) % 4
                change, slope = engine.mutants(site, (encodings[new] - encodings[codes[site]]).astype(dtype))
                slopes.append(slope)
                engine.add_at_end(mutated[3 * k : 3 * k + 3], site, change)
            cotangents = self._multipliers(end.in_layout(mutated), last[1:], auxiliary)
            cotangents = cotangents.reshape(len(some), 3, *cotangents.shape[1:])
            changes[at : at + n_at_once] = engine.contributions(
                some, slopes, cotangents, own, tables, positions
            )
        return changes

    def _inputs(self, rows: NDArray, auxiliary: Auxiliary) -> list[NDArray]:
        same = np.zeros(len(rows), np.intp)
        return self._adapted.inputs(rows, {name: values[same] for name, values in auxiliary.items()})

    def _multipliers(self, values: NDArray, references: NDArray, auxiliary: Auxiliary) -> NDArray:
        """Multipliers (row, reference, target, position, channel) of the last value."""
        n, end = len(values), self.blocks[-1].output
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
        end = self.blocks[-1].output
        return head_of(self._adapted.backend, self._graph, end.ref, end.shape)

    @cached_property
    def _encodings(self) -> NDArray:
        return base_encodings(self._adapted.layout).reshape(5, -1)

    @property
    def _length(self) -> int:
        return self.blocks[0].source.length


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
    >>> len(mutant_engine(model, np.eye(4)[np.newaxis, [0, 1, 2, 3, 0, 1, 2, 3]], {}).blocks)
    1
    """
    adapted = model.evaluator
    if not isinstance(adapted, Adapted) or not adapted.layout.has_bases or adapted.layout.flattened:
        return None
    if adapted.backend.framework not in ("tensorflow", "torch") or base_encodings(adapted.layout)[4].any():
        return None
    probes = example_inputs(model, one_hot, auxiliary)
    graph = traced(model, probes)
    program = program_of(model, graph, probes)

    def measure(source: tuple[int, int], after: tuple[int, int]) -> NDArray:
        return linear_between(adapted.backend, graph, source, after, program.shapes[source], probes)

    blocks: Sequence[Block] = blocks_of(program, frozenset(FUNCTIONS), measure)
    return MutantEngine(tuple(blocks), model, adapted, graph) if blocks else None
