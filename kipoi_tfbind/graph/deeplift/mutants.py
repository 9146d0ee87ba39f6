"""Contributions of a sequence's mutants through the blocks that a model begins with, by affected regions.

The multipliers of a mutant differ from those of its sequence for two reasons. What comes to the end of the
blocks differs; and so do the factors of the rules, but these in the affected regions only. With J the
unmutated way back and J' that of a mutant, as products over the blocks,

    J'(c') - J(c) = J(c' - c) + sum over blocks k of J_<k (F'_k - F_k)(c'_k),

where c'_k is what comes to block k in the mutant, which is needed in its affected region alone, and F_k the
factors of its rules. J_<k is applied as a table: what each unit of a layer gives to the contributions, which
is the change that one base's difference from its reference makes, propagated forward by the same factors.
All of it is linear in what comes from the mutants, which are summed before the table is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.block_regions import BlockRegions, Region, Slopes
from kipoi_tfbind.graph.incremental.chain import Block


class MutantContributions:
    """Changes of contributions by single substitutions in one sequence, against its references.

    Parameters
    ----------
    blocks
        From `blocks_of`, at least one.
    activations
        Values (row, *shape) at the sequence and then at its references, by `Value.ref`; of all parts'
        inputs and outputs.
    encoded
        The sequence and its references (row, position, channel) as the model takes them.
    """

    def __init__(self, blocks: Sequence[Block], activations: Mapping[Any, NDArray], encoded: NDArray) -> None:
        self._difference = encoded[0] - encoded[1:]
        self._n_references = len(encoded) - 1
        # Regions of edits at either end lie within the margins.
        margin = 2 * sum(block.kernel.span + 2 * block.span for block in blocks) + 2
        self.blocks = [BlockRegions(block, activations, margin) for block in blocks]
        self._regions: dict[int, list[tuple[Region, Region]]] = {}

    def regions(self, position: int) -> list[tuple[Region, Region]]:
        """Of each block, the affected region of its convolution's output, and of its own."""
        if position not in self._regions:
            found: list[tuple[Region, Region]] = []
            at = Region(position, 1)
            for block in self.blocks:
                found.append(block.regions(at))
                at = found[-1][1]
            self._regions[position] = found
        return self._regions[position]

    def tables(self, positions: NDArray[np.intp]) -> list[NDArray]:
        """What a unit gives to contributions: (reference, base's position, position, channel).

        Of the input of each block but the first, as its convolution's output, and of the end of the last.
        """
        n = self._n_references
        wanted = [*(block.block.convolved for block in self.blocks[1:]), self.blocks[-1].block.output]
        dtype = self._difference.dtype
        found = [np.zeros((n, len(positions), v.length, v.channels), dtype) for v in wanted]
        for column, position in enumerate(positions):
            change, source = self._difference[:, [position]], Region(int(position), 1)
            for k, (target, output) in enumerate(self.regions(int(position))):
                block = self.blocks[k]
                change = block.convolved(change, source, target)
                if k:
                    there, part = target.within(block.block.convolved.length)
                    found[k - 1][:, column, there] = change[:, part]
                slopes = block.unmutated_in(target, output)
                change, source = block.pushed(slopes, change), output
                change = block.kept(change, block.block.output, output)
            there, part = source.within(wanted[-1].length)
            found[-1][:, column, there] = change[:, part]
        return found

    def mutants(self, position: int, changes: NDArray) -> tuple[NDArray, list[list[Slopes]]]:
        """The change of the last value in its region, and slopes.

        Parameters
        ----------
        position
            The substituted one.
        changes
            Of the input there (mutant, channel).
        """
        change, source, slopes = changes[:, None], Region(position, 1), []
        for k, (target, output) in enumerate(self.regions(position)):
            change = self.blocks[k].convolved(change, source, target)
            change, own = self.blocks[k].mutated(change, source, target, output)
            slopes.append(own)
            source = output
        return change, slopes

    def add_at_end(self, values: NDArray, position: int, change: NDArray) -> None:
        """Add a change from `mutants` to the last value (mutant, position, channel)."""
        region = self.regions(position)[-1][1]
        there, part = region.within(values.shape[1])
        values[:, there] += change[:, part]

    def contributions(
        self,
        sites: Sequence[int],
        slopes: Sequence[list[list[Slopes]]],
        cotangents: NDArray,
        unmutated: NDArray,
        tables: list[NDArray],
        positions: NDArray[np.intp],
    ) -> NDArray:
        """Changes of contributions (site, position, target), mean over mutants and references.

        Parameters
        ----------
        sites, slopes
            Of the mutants, as of `mutants`.
        cotangents
            Multipliers of the last value (site, mutant, reference, target, position, channel).
        unmutated
            The same of the sequence (reference, target, position, channel).
        tables, positions
            From `tables`, and what it was given.
        """
        n_mutants = cotangents.shape[1]
        inner: list[list[tuple[Region, NDArray]]] = [[] for _ in self.blocks]
        for k, (site, own) in enumerate(zip(sites, slopes, strict=True)):
            for block, pulled in enumerate(self._injected(int(site), own, cotangents[k])):
                inner[block].append(pulled)
        found = self._at_input(self.blocks[0], inner[0], positions)
        # What comes back to the end of the blocks, and to convolutions but the first, goes through a table.
        at_end = cotangents.sum(axis=1) - n_mutants * unmutated
        end = Region(0, at_end.shape[3])
        found += _through_table([(end, values) for values in at_end], tables[-1])
        for values, table in zip(inner[1:], tables[:-1], strict=True):
            found += _through_table(values, table)
        return found / (n_mutants * self._n_references)

    def _injected(
        self, site: int, slopes: list[list[Slopes]], cotangents: NDArray
    ) -> list[tuple[Region, NDArray]]:
        """What changed factors of each block give at its convolution's output, sum over mutants."""
        regions, found = self.regions(site), []
        last = regions[-1][1]
        there, part = last.within(cotangents.shape[3])
        cotangent = np.zeros((*cotangents.shape[:3], last.width, cotangents.shape[4]), cotangents.dtype)
        cotangent[..., part, :] = cotangents[..., there, :]
        for k in reversed(range(len(self.blocks))):
            block, (target, output) = self.blocks[k], regions[k]
            unmutated = block.unmutated_in(target, output)
            before = block.pulled(unmutated, cotangent.sum(axis=0), output)
            if k:
                pulled = block.pulled(slopes[k], cotangent, output)
                total = pulled.sum(axis=0)
                cotangent = block.transposed(pulled, target, regions[k - 1][1])
            else:
                total = block.pulled_total(slopes[k], cotangent, output)
            found.append((target, total - before))
        return found[::-1]

    def _at_input(
        self, block: BlockRegions, injected: Sequence[tuple[Region, NDArray]], positions: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Contributions (site, position, target) of regions (reference, target, position, channel)."""
        kernel, length = block.block.kernel, self._difference.shape[1]
        sources = [Region(at.start - kernel.before, at.width + kernel.span - 1) for at, _ in injected]
        # What a region gives does not depend on where it is, and all have the same width.
        together = np.stack([array for _, array in injected])
        pulled = block.transposed(together, injected[0][0], sources[0])
        whole = np.zeros((len(sources), length, pulled.shape[2]))
        for site, source in enumerate(sources):
            there, part = source.within(length)
            difference = self._difference[:, there]
            whole[site, there] = np.einsum("rtpc,rpc->pt", pulled[site, :, :, part], difference)
        return whole[:, positions]


def _through_table(values: Sequence[tuple[Region, NDArray]], table: NDArray) -> NDArray:
    """Contributions (site, base's position, target) of regions (reference, target, position, channel)."""
    places = [region.within(table.shape[2]) for region, _ in values]
    low, high = min(there.start for there, _ in places), max(there.stop for there, _ in places)
    n_references, n_targets, _, n_channels = values[0][1].shape
    joined = np.zeros((n_references, len(values), n_targets, high - low, n_channels), table.dtype)
    for site, ((there, part), (_, array)) in enumerate(zip(places, values, strict=True)):
        joined[:, site, :, there.start - low : there.stop - low] = array[:, :, part]
    rows = joined.reshape(n_references, len(values) * n_targets, -1)
    columns = table[:, :, low:high].reshape(*table.shape[:2], -1).swapaxes(1, 2)
    found: NDArray = (rows @ columns).sum(axis=0)
    return found.reshape(len(values), n_targets, -1).swapaxes(1, 2)
