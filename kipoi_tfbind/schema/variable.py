"""Description of a variable: dimensions, unit, meaning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """Description of a variable of a Dataset.

    Attributes
    ----------
    dims
        Names of its dimensions.
    meaning
        One sentence, written into the files as ``long_name``.
    unit
        Its unit; "output" stands for that of the model's output.
    """

    dims: tuple[str, ...]
    meaning: str
    unit: str | None = None
