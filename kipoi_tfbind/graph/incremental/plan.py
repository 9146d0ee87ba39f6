"""What predictions of edited sequences cost, known before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

# Passing an element through memory takes about as long as this many multiply-accumulates.
MACS_PER_ELEMENT = 12
# A plan that saves less than this is not worth its overhead; nor is one for a model that runs in no time.
_WORTHWHILE = 2.0
_SMALL = 2_000_000


@dataclass(frozen=True)
class Plan:
    """What predictions of edited sequences cost, one sequence each.

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

    @property
    def full_work(self) -> int:
        """The cost of a forward pass, in multiply-accumulates."""
        return self.full_macs + MACS_PER_ELEMENT * self.full_traffic

    @property
    def work(self) -> int:
        """The cost of an incremental one."""
        return self.macs + MACS_PER_ELEMENT * self.traffic

    def worthwhile(self, per_sequence: float) -> bool:
        """Whether the incremental path is to be taken, for so many edits of each sequence.

        It does not depend on the number of sequences, so that a result is the same in pieces and whole.
        """
        incremental = self.work + 2 * self.full_work / max(per_sequence, 1)
        return self.saves(incremental, _WORTHWHILE)

    def saves(self, work: float, times: float) -> bool:
        """Whether a forward pass is so many times this work, of a model that does not run in no time."""
        return self.full_work >= max(times * work, _SMALL)
