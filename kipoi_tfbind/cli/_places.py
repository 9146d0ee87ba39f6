"""Outputs of the commands that find places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kipoi_tfbind.cli._output import STANDARD_OUTPUT, file_or_standard_output

if TYPE_CHECKING:
    import xarray as xr

_BED_SUFFIXES = (".bed", ".bed.gz")


def is_bed(path: str) -> bool:
    """Whether a file of this name is written as BED; standard output is."""
    return path == STANDARD_OUTPUT or path.lower().endswith(_BED_SUFFIXES)


def check_places(result: str, path: str) -> None:
    """Refuse, before long work, to write BED about sequences that have no places.

    Raises
    ------
    InputError
        The result's sequences have no coordinates.
    """
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.results.files import check_writable, open_result

    if path != STANDARD_OUTPUT:
        check_writable(path)
    if not is_bed(path):
        return
    with open_result(result, lazy=True) as opened:
        if not {"chrom", "start", "end"} <= set(opened.coords):
            raise InputError(
                f"{result}: its sequences have no places in the genome, which BED needs; make it with "
                "--fasta and --intervals, or write .tsv or .nc"
            )


def write_places(found: xr.Dataset, path: str, fasta: str | None) -> None:
    """Write seqlets or hits as BED, as a table, or as a result, by the suffix."""
    from kipoi_tfbind.export import export_bed
    from kipoi_tfbind.results.tables import write_table

    if is_bed(path):
        with file_or_standard_output(path, ".bed") as bed:
            export_bed(found, bed, fasta=fasta)
    else:
        write_table(found, path)
