"""The variables of a sequence Dataset and of the results: dimensions, unit and meaning of each.

One table feeds the attributes in the files, the checks of what a function is given, and the axis
labels of the plots.
"""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from kipoi_tfbind.errors import InputError


@dataclass(frozen=True)
class Variable:
    """What a variable of a Dataset holds.

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


VARIABLES = {
    "one_hot": Variable(("sequence", "position", "base"), "DNA sequence; a row of zeros is N"),
    "reference_prediction": Variable(
        ("sequence", "target"), "prediction for the sequence as it is", "output"
    ),
    "mutation_effect": Variable(
        ("sequence", "position", "base", "target"),
        "prediction with this base at this position minus the reference prediction; "
        "0 for the base that is there, missing where the sequence has N",
        "output",
    ),
    "position": Variable(("position",), "position in the sequence, 0-based"),
    "base": Variable(("base",), "base"),
    "target": Variable(("target",), "output of the model"),
    "id": Variable(("sequence",), "name of the sequence"),
    "chrom": Variable(("sequence",), "contig"),
    "start": Variable(("sequence",), "start of the sequence on the contig, 0-based"),
    "end": Variable(("sequence",), "end of the sequence on the contig, 0-based, not included"),
    "strand": Variable(
        ("sequence",), "strand that the sequence reads: + or -; on - it is the reverse complement"
    ),
}


def annotate(dataset: xr.Dataset) -> xr.Dataset:
    """Write the meaning and unit of every known variable into its attributes; return a new Dataset.

    Examples
    --------
    >>> dataset = annotate(xr.Dataset({"reference_prediction": (("sequence", "target"), [[0.5]])}))
    >>> dataset["reference_prediction"].attrs["long_name"]
    'prediction for the sequence as it is'
    """
    dataset = dataset.copy()
    output = dataset.attrs.get("output")
    for name, variable in VARIABLES.items():
        if name not in dataset.variables:
            continue
        unit = output if variable.unit == "output" else variable.unit
        attributes = {"long_name": variable.meaning} | ({"units": unit} if unit else {})
        dataset[name] = dataset[name].assign_attrs(attributes)
    return dataset


def require(dataset: xr.Dataset, *names: str) -> None:
    """Check that a Dataset has these variables, with the dimensions that they should have.

    Raises
    ------
    InputError
        A variable is missing or has other dimensions.

    Examples
    --------
    >>> require(xr.Dataset(), "one_hot")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    kipoi_tfbind.errors.InputError: dataset: expected the variable one_hot ...
    """
    for name in names:
        expected = ", ".join(VARIABLES[name].dims)
        if name not in dataset.variables:
            found = ", ".join(map(str, dataset.data_vars)) or "no variable"
            raise InputError(
                f"dataset: expected the variable {name} ({expected}), found {found}; "
                "is it the result of another method?"
            )
        if dataset[name].dims != VARIABLES[name].dims:
            found = ", ".join(map(str, dataset[name].dims))
            raise InputError(f"dataset: expected the dimensions ({expected}) of {name}, found ({found})")
