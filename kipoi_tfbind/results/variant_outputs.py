"""Names of the outputs of variant scores: what each is to be, and whether it can be written."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import check_writable

STDOUT = "-"
_KINDS = {
    ".vcf": "vcf",
    ".vcf.gz": "vcf",
    ".vcf.bgz": "vcf",
    ".tsv": "tsv",
    ".tsv.gz": "tsv",
    ".parquet": "parquet",
    ".nc": "nc",
    ".h5": "nc",
}


def kind_of_output(path: str | os.PathLike[str]) -> str:
    """Tell by its name what an output is: "vcf", "tsv", "parquet" or "nc".

    Raises
    ------
    InputError
        Its name says none of these.

    Examples
    --------
    >>> kind_of_output("a.vcf.gz"), kind_of_output("-")
    ('vcf', 'vcf')
    """
    name = os.fspath(path)
    if name == STDOUT:
        return "vcf"
    for suffix in sorted(_KINDS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return _KINDS[suffix]
    raise InputError(f"{name}: expected a name that ends in one of {', '.join(_KINDS)}, or - for a VCF")


def check_outputs(paths: Sequence[str | os.PathLike[str]]) -> None:
    """Check, before long work, that outputs can be written, each under a name of its own.

    Raises
    ------
    InputError
        Two have one name, one has an unknown suffix, or there is no such folder.
    """
    if not paths:
        raise InputError("outputs: expected at least one, got none (-o)")
    names = [os.fspath(path) for path in paths]
    real = [os.path.realpath(name) if name != STDOUT else name for name in names]
    for name, place in zip(names, real, strict=True):
        kind_of_output(name)
        if real.count(place) > 1:
            raise InputError(f"{name}: is given twice as an output; give each its own name")
        if name != STDOUT:
            check_writable(name)
