"""The table of all variables: it feeds the attributes in files, the checks of arguments, and axis labels."""

from __future__ import annotations

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.schema.alleles import ALLELES
from kipoi_tfbind.schema.checks import CHECKS
from kipoi_tfbind.schema.coordinates import COORDINATES
from kipoi_tfbind.schema.interactions import INTERACTIONS
from kipoi_tfbind.schema.layers import LAYERS
from kipoi_tfbind.schema.motifs import MOTIFS
from kipoi_tfbind.schema.patterns import PATTERNS
from kipoi_tfbind.schema.sequences import SEQUENCES

VARIABLES = SEQUENCES | CHECKS | INTERACTIONS | LAYERS | PATTERNS | MOTIFS | ALLELES | COORDINATES

# What an ensemble of models adds to a variable: the standard deviation over its members.
SPREAD = "_sd"
# Inputs of a model beside the sequence are variables of this name and the input's, (sequence, ...).
AUXILIARY = "auxiliary_"


def annotate(dataset: xr.Dataset) -> xr.Dataset:
    """Write the meaning and unit of every known variable into its attributes; return a new Dataset.

    Examples
    --------
    >>> dataset = annotate(xr.Dataset({"prediction": (("sequence", "target"), [[0.5]])}))
    >>> dataset["prediction"].attrs["long_name"]
    'prediction for the sequence as it is'
    """
    dataset = dataset.copy()
    output = dataset.attrs.get("output")
    for name in map(str, dataset.variables):
        variable = VARIABLES.get(name.removesuffix(SPREAD))
        if variable is None:
            continue
        spread = "standard deviation over the models of the ensemble: " if name not in VARIABLES else ""
        unit = output if variable.unit == "output" else variable.unit
        attributes = {"long_name": spread + variable.meaning} | ({"units": unit} if unit else {})
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
    if not isinstance(dataset, xr.Dataset):
        raise InputError(
            f"dataset: expected a Dataset, got {type(dataset).__name__}; make one of sequences with "
            "encode_sequences or read_sequences"
        )
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
