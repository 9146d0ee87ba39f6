"""The cost of predictions of edited sequences, known before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

# Passing an element through memory takes about as long as this many multiply-accumulates.
MACS_PER_ELEMENT = 12
# A plan that saves less than this is not worth its overhead; nor is one for a model that runs in no time.
_WORTHWHILE = 2.0
_SMALL = 2_000_000
# So many sequences are taken to share the setup where their number is not to matter.
SHARING_SETUP = 8


@dataclass(frozen=True)
class PairCost:
    """Cost of the double mutants of one sequence.

    Attributes
    ----------
    work
        Of each, in multiply-accumulates.
    prepared_bytes
        Memory for what is looked up.
    bytes_each
        Memory for each double mutant, at most.
    """

    work: float
    prepared_bytes: int
    bytes_each: int

    def times(self, n: int) -> PairCost:
        """The same for `n` sequences or strands at once."""
        return PairCost(self.work * n, self.prepared_bytes * n, self.bytes_each * n)


@dataclass(frozen=True)
class Plan:
    """The cost of predictions of edited sequences, for one edit.

    Attributes
    ----------
    width
        Positions from the first edited one to the last.
    full_macs, macs
        Multiply-accumulates of a forward pass, and of an incremental one.
    full_traffic, traffic
        Elements that the two pass through memory.
    largest
        Elements of the largest region.
    cached_elements
        Elements of the cached activations of each unedited sequence.
    spans
        Whether it has arrays whose size depends on where the edits are.
    setup_work
        Cost of making and compiling it, in multiply-accumulates.
    itemsize
        Bytes of an element.
    whole_from
        The layer where the regions end, if they do so before the positions do; "" otherwise.
    """

    width: int
    full_macs: int
    macs: int
    full_traffic: int
    traffic: int
    largest: int
    cached_elements: int
    spans: bool = False
    whole_from: str = ""
    setup_work: int = 0
    itemsize: int = 4

    @property
    def cached_bytes(self) -> int:
        """Memory for the cached activations of each unedited sequence."""
        return self.cached_elements * self.itemsize

    @property
    def bytes_each(self) -> int:
        """Memory for one edited sequence, at most: all regions, of which a framework may free some early."""
        return self.traffic * self.itemsize

    def fits(self, budget: int) -> bool:
        """Whether one sequence with one edit fits into a number of bytes."""
        return self.cached_bytes + self.bytes_each <= budget

    @property
    def full_work(self) -> int:
        """The cost of a forward pass, in multiply-accumulates."""
        return self.full_macs + MACS_PER_ELEMENT * self.full_traffic

    @property
    def work(self) -> int:
        """The cost of an incremental one."""
        return self.macs + MACS_PER_ELEMENT * self.traffic

    def worthwhile(self, per_sequence: float, sharing: int = SHARING_SETUP) -> bool:
        """Whether the incremental path is to be taken, for so many edits of each sequence.

        By default it does not depend on the number of sequences, so that a result is the same in pieces and
        whole; `sharing` is the number of those that share the setup, where they always come together.
        """
        incremental = self.work + self.overhead(sharing) / max(per_sequence, 1)
        return self.saves(incremental, _WORTHWHILE)

    def overhead(self, sharing: int = SHARING_SETUP) -> int:
        """Cost before the first edit of a sequence: its own passes, and its share of the setup."""
        return 2 * self.full_work + self.setup_work // max(sharing, 1)

    def saves(self, work: float, times: float) -> bool:
        """Whether a forward pass is so many times this work, of a model that does not run in no time."""
        return self.full_work >= max(times * work, _SMALL)
