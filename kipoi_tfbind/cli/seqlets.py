"""``kipoi tfbind seqlets``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import PLACES_SUFFIXES, TARGET, output_option
from kipoi_tfbind.cli._output import say


@new_command(short_help="Find stretches with more contribution than chance gives.")
@click.argument("result", type=click.Path())
@click.option(
    "--null",
    required=True,
    type=click.Path(),
    help="Contributions of shuffled sequences, or of controls: the same method and model.",
)
@output_option(
    "File to write: .bed, .bed.gz, .tsv or .nc; - for standard output (.bed).",
    PLACES_SUFFIXES,
    standard_output=True,
)
@TARGET
@click.option("--fdr", default=0.1, show_default=True, help="Largest q-value.")
@click.option(
    "--baseline",
    default=0.8,
    show_default=True,
    help="A base counts with what its contribution is above this quantile of the null's.",
)
@click.option("--min-length", default=3, show_default=True, help="Smallest number of bases.")
@click.option("--fasta", type=click.Path(), help="The genome, to compare the bases under each interval with.")
def command(
    result: str,
    null: str,
    output: str,
    target: str,
    fdr: float,
    baseline: float,
    min_length: int,
    fasta: str | None,
) -> None:
    """Find the stretches of RESULT's sequences that contribute more than those of the null.

    RESULT is a file of deepshap, gradients, ism, occlusion or sampled-shapley.

    \b
    Example:
      kipoi tfbind deepshap MODEL --fasta genome.fa --intervals peaks.narrowPeak -o deepshap.nc
      kipoi tfbind shuffle deepshap.nc -o null.fa
      kipoi tfbind deepshap MODEL --sequences null.fa -o null.nc
      kipoi tfbind seqlets deepshap.nc --null null.nc --targets CTCF -o seqlets.bed
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._places import check_places, write_places
    from kipoi_tfbind.interpret.find_seqlets import find_seqlets

    check_places(result, output)
    found = find_seqlets(
        result,
        null,
        target=int(target) if target.isdecimal() else target,
        fdr=fdr,
        baseline=baseline,
        min_length=min_length,
    )
    write_places(found, output, fasta)
    n = found.sizes["seqlet"]
    positive = int((found["seqlet_score"].values > 0).sum())
    say(f"{output}: {n} seqlets at q <= {fdr:g}; positive: {positive}, negative: {n - positive}")
