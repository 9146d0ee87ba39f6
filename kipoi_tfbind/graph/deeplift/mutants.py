"""Contributions of a sequence's mutants through the first steps of a model, by affected regions.

The multipliers of a mutant differ from those of its sequence for two reasons. What comes to the end of the
steps differs; and so do the slopes of the rules, but these in the affected regions only. With c_v what comes
back to a value v in the sequence, c'_v in a mutant, and F_k, F'_k the slopes of function k in both,

    c'_v - c_v = sum over functions k that take v of F_k (c'_k - c_k) + (F'_k - F_k) c'_k,

and what a linear map passes on is linear in the difference. So the contributions change by the sum over the
functions of what (F'_k - F_k) c'_k gives to them by the sequence's own slopes, and of what the difference at
the end does. c'_k is needed in its affected region alone. What a unit gives to the contributions is a table:
the change that one base's difference from its reference makes, propagated forward by the same slopes. All of
it is linear in what comes from the mutants, which are summed before the table is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.linear_maps import LinearMap, Taps, Value, Whole
from kipoi_tfbind.graph.deeplift.prefix import Applied, Combined, Prefix, Stretch, mapped
from kipoi_tfbind.graph.deeplift.step_slopes import Slopes, StepSlopes
from kipoi_tfbind.graph.graph import Ref

Sites = NDArray[np.intp]
# Bases whose differences are propagated at once.
_BASES = 16


class MutantContributions:
    """Changes of contributions by single substitutions in one sequence, against its references.

    Parameters
    ----------
    prefix
        From `prefix_of`.
    activations
        `Prefix.values` (row, *shape) at the sequence and then at its references, by `Value.ref`.
    encoded
        The sequence and its references (row, position, channel) as the model takes them.
    """

    def __init__(self, prefix: Prefix, activations: Mapping[Ref, NDArray], encoded: NDArray) -> None:
        self._prefix, self._difference = prefix, encoded[0] - encoded[1:]
        values = {v.ref: np.ascontiguousarray(v.by_position(activations[v.ref])) for v in prefix.values()}
        applied = [step for step in prefix.steps if isinstance(step, Applied)]
        self._slopes = {step.after.ref: StepSlopes(step, prefix, values) for step in applied}
        self._of_source = prefix.of_source

    def tables(self, positions: Sites) -> dict[Ref, NDArray]:
        """What a unit gives to contributions (reference, base's position, position, channel), by value."""
        n, dtype = len(self._difference), self._difference.dtype
        found = {
            value.ref: np.zeros((n, len(positions), value.length, value.channels), dtype)
            for value in self._prefix.tabled
        }
        for at in range(0, len(positions), _BASES):
            some = positions[at : at + _BASES]
            own = self._difference[:, some].swapaxes(0, 1)[:, :, None]

            def pushed(step: StepSlopes, change: NDArray, sites: Sites = some) -> NDArray:
                return step.pushed(sites, change)

            changes = self._propagated(some, own, pushed)
            for value in self._prefix.tabled:
                region = self._prefix.region(value).at(some)
                for k, start in enumerate(region.starts.tolist()):
                    found[value.ref][:, at + k, start : start + region.width] = changes[value.ref][k]
        return found

    def mutants(self, sites: Sites, changes: NDArray) -> tuple[NDArray, dict[Ref, Slopes]]:
        """The change of the value at the end in its region (site, mutant, position, channel), and slopes.

        Parameters
        ----------
        sites
            Positions that are substituted.
        changes
            Of the input there (site, mutant, channel).
        """
        slopes: dict[Ref, Slopes] = {}

        def apply(step: StepSlopes, change: NDArray) -> NDArray:
            change, slopes[step.ref] = step.mutated(sites, change)
            return change

        return self._propagated(sites, changes[:, :, None], apply)[self._prefix.end.ref], slopes

    def _propagated(
        self, sites: Sites, first: NDArray, apply: Callable[[StepSlopes, NDArray], NDArray]
    ) -> dict[Ref, NDArray]:
        """Changes of all values (site, row, position, channel) in their regions."""
        changes = {self._prefix.source.ref: first}
        for step in self._prefix.steps:
            if isinstance(step, Applied):
                changes[step.after.ref] = apply(self._slopes[step.after.ref], changes[step.before.ref])
                continue
            target, parts = self._prefix.region(step.after).at(sites), []
            for source, linear in step.parts:
                region = self._prefix.region(source).at(sites)
                own = spread(linear, changes[source.ref], region)
                parts.append(mapped(region, linear).moved(own, target))
            changes[step.after.ref] = sum(parts[1:], start=parts[0])
        return changes

    def at_end(self, values: NDArray, sites: Sites, change: NDArray) -> NDArray:
        """The value at the end (1, position, channel), with changes of `mutants`: (site, mutant, ...)."""
        end = self._prefix.end
        whole = Stretch(np.zeros(len(sites), np.intp), end.length)
        return values[:, None] + self._prefix.region(end).at(sites).moved(change, whole)

    def contributions(
        self,
        sites: Sites,
        slopes: Mapping[Ref, Slopes],
        cotangents: NDArray,
        unmutated: NDArray | None,
        tables: Mapping[Ref, NDArray],
        positions: Sites,
    ) -> NDArray:
        """Changes of contributions (site, position, target), mean over mutants and references.

        Parameters
        ----------
        sites, slopes
            Of the mutants, as of `mutants`.
        cotangents
            Multipliers of the value at the end (site, mutant, reference, target, position, channel).
        unmutated
            The same of the sequence (reference, target, position, channel); None if it is the same.
        tables, positions
            From `tables`, and what it was given.
        """
        _, n_mutants, n_references, n_targets = cotangents.shape[:4]
        end, prefix = self._prefix.end, self._prefix
        whole = Stretch(np.zeros(len(sites), np.intp), end.length)
        found = np.zeros((len(sites), len(positions), n_targets))
        if unmutated is not None:
            at_end = cotangents.sum(axis=1) - n_mutants * unmutated
            found += self._through_table(end, at_end, whole, tables, positions)
        back = {end.ref: whole.moved(cotangents, prefix.region(end).at(sites))}
        for step in reversed(prefix.steps):
            if step.after.ref in self._of_source:
                continue
            own = back.pop(step.after.ref)
            if isinstance(step, Combined):
                parts = [
                    (v, self._pulled(step, v, linear, own, sites))
                    for v, linear in step.parts
                    if v != prefix.source
                ]
            else:
                applied, total = self._slopes[step.after.ref], step.before.ref in self._of_source
                pulled = applied.pulled(sites, own, slopes[step.after.ref], total=total)
                injected = pulled if total else pulled.sum(axis=1)
                injected = injected - applied.pulled_unmutated(sites, own.sum(axis=1))
                region = applied.aligned(sites)
                found += self._given(step.before, injected, region, tables, positions)
                at = prefix.region(step.before).at(sites)
                parts = [] if total else [(step.before, region.moved(pulled, at))]
            for value, pulled in parts:
                back[value.ref] = back[value.ref] + pulled if value.ref in back else pulled
        return found / (n_mutants * n_references)

    def _pulled(
        self, step: Combined, source: Value, linear: LinearMap, own: NDArray, sites: Sites
    ) -> NDArray:
        """Cotangent of a summand's region, by that of the sum."""
        region = self._prefix.region(source).at(sites)
        own = self._prefix.region(step.after).at(sites).moved(own, mapped(region, linear))
        return linear.gathered(own) if isinstance(linear, Taps) else gathered(linear, own, region)

    def _given(
        self,
        value: Value,
        injected: NDArray,
        region: Stretch,
        tables: Mapping[Ref, NDArray],
        positions: Sites,
    ) -> NDArray[np.float64]:
        """Contributions (site, position, target) of regions (site, reference, target, position, channel)."""
        if value.ref in self._of_source:
            maps = self._of_source[value.ref]
            return np.sum([self._at_source(linear, injected, region, positions) for linear in maps], axis=0)
        return self._through_table(value, injected, region, tables, positions)

    def _at_source(
        self, linear: LinearMap, injected: NDArray, region: Stretch, positions: Sites
    ) -> NDArray[np.float64]:
        """Contributions by way of a linear map of the sequence itself."""
        length = self._difference.shape[1]
        whole = Stretch(np.zeros_like(region.starts), length)
        if isinstance(linear, Taps):
            pulled, region = linear.transposed.spread(injected), mapped(region, linear.transposed)
        else:
            pulled, region = gathered(linear, injected, whole), whole
        found = np.zeros((len(pulled), pulled.shape[2], length))
        for site, start in enumerate(region.starts.tolist()):
            low, high = max(start, 0), min(start + region.width, length)
            some = pulled[site, :, :, low - start : high - start]
            found[site, :, low:high] = np.einsum("rtpc,rpc->tp", some, self._difference[:, low:high])
        return found[:, :, positions].swapaxes(1, 2)

    def _through_table(
        self,
        value: Value,
        injected: NDArray,
        region: Stretch,
        tables: Mapping[Ref, NDArray],
        positions: Sites,
    ) -> NDArray[np.float64]:
        """Contributions by way of a table."""
        low, high = int(region.starts.min()), int(region.starts.max()) + region.width
        together = Stretch(np.full(len(injected), low), high - low)
        # A base gives nothing to what it does not reach.
        reached = self._prefix.region(value).at(positions)
        some = np.flatnonzero((reached.starts < high) & (reached.starts + reached.width > low))
        n_sites, n_references, n_targets = injected.shape[:3]
        found = np.zeros((n_sites, len(positions), n_targets))
        if len(some):
            table = tables[value.ref][:, some[0] : some[-1] + 1, low:high]
            rows = region.moved(injected, together).transpose(1, 0, 2, 3, 4)
            rows = rows.reshape(n_references, n_sites * n_targets, -1)
            columns = table.reshape(*table.shape[:2], -1).swapaxes(1, 2)
            given = (rows @ columns).sum(axis=0).reshape(n_sites, n_targets, -1)
            found[:, some[0] : some[-1] + 1] = given.swapaxes(1, 2)
        return found


def spread(linear: LinearMap, change: NDArray, region: Stretch) -> NDArray:
    """What a linear map makes of a change (site, row, position, channel) of regions."""
    if isinstance(linear, Taps):
        return linear.spread(change)
    found = np.empty((*change.shape[:2], 1, linear.matrix.shape[-1]), change.dtype)
    for sites, matrix in _by_start(linear, region):
        rows = change[sites].reshape(-1, len(matrix))
        found[sites] = (rows @ matrix).reshape(-1, *found.shape[1:])
    return found


def gathered(linear: Whole, cotangent: NDArray, region: Stretch) -> NDArray:
    """Cotangent of regions (site, ..., position, channel) of a map from all positions to one."""
    lead, n_channels = cotangent.shape[:-2], linear.matrix.shape[1]
    found = np.empty((*lead, region.width, n_channels), cotangent.dtype)
    for sites, matrix in _by_start(linear, region):
        rows = cotangent[sites].reshape(-1, matrix.shape[1])
        found[sites] = (rows @ matrix.T).reshape(-1, *found.shape[1:])
    return found


def _by_start(linear: Whole, region: Stretch) -> Sequence[tuple[Any, NDArray]]:
    """Sites whose regions begin together, and the matrix of that region."""
    starts, width = region.starts, region.width
    return [
        (
            slice(None) if (starts == start).all() else np.flatnonzero(starts == start),
            linear.matrix[start : start + width].reshape(-1, linear.matrix.shape[-1]),
        )
        for start in np.unique(starts).tolist()
    ]
