"""Settings that the experiments of global importance analysis share."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, TypedDict

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._paths import Path
from kipoi_tfbind.interpret.global_importance.kept_effects import KeptEffects

OnConflict = Literal["refuse", "clip"]


class StatisticsOptions(TypedDict, total=False):
    """Options of experiments on real sequences; see `global_importance_analysis`."""

    confidence: float
    n_resamples: int
    seed: int
    path: Path
    verify: bool
    batch_size: int


class Options(StatisticsOptions, total=False):
    """Options of experiments on backgrounds; see `global_importance_analysis`.

    ``kept`` is for `stream_experiment`.
    """

    on_conflict: OnConflict
    kept: KeptEffects | None


@dataclass(frozen=True)
class Settings:
    """The same options with their defaults.

    Raises
    ------
    InputError
        An unknown way to deal with bases that have no place, or a number out of its range.
    """

    on_conflict: OnConflict = "refuse"
    confidence: float = 0.95
    n_resamples: int = 2000
    seed: int = 0
    path: Path = "auto"
    verify: bool = False
    batch_size: int = 256
    kept: KeptEffects | None = None

    def __post_init__(self) -> None:
        whole_number("seed", self.seed)
        whole_number("n_resamples", self.n_resamples, least=1)
        if not isinstance(self.confidence, Real) or not 0 < self.confidence < 1:
            raise InputError(
                f"confidence: expected a number between 0 and 1, such as 0.95, got {self.confidence!r}"
            )
        if self.on_conflict not in ("refuse", "clip"):
            raise InputError(f"on_conflict: expected 'refuse' or 'clip', got {self.on_conflict!r}")

    @property
    def statistics(self) -> dict[str, Any]:
        """Those of intervals and tests, which a result records."""
        return {"confidence": self.confidence, "n_resamples": self.n_resamples, "seed": self.seed}
