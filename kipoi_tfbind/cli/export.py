"""``kipoi tfbind export``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import TARGET, output_option
from kipoi_tfbind.cli._output import STANDARD_OUTPUT, file_or_standard_output, say

_FORMAT_OF = {
    ".npz": "modisco",
    ".bw": "bigwig",
    ".bigwig": "bigwig",
    ".bedgraph": "bedgraph",
    ".bedgraph.gz": "bedgraph",
    ".bg": "bedgraph",
    ".bg.gz": "bedgraph",
    ".tsv": "table",
    ".tsv.gz": "table",
}


@new_command(short_help="Write a result as a table, for tfmodisco-lite or for a genome browser.")
@click.argument("result", type=click.Path())
@output_option(
    "File to write: .bw, .bedgraph or .bedgraph.gz, .tsv or .tsv.gz; - for standard output "
    "(bedgraph, table); for modisco, how its two files begin."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["modisco", "bigwig", "bedgraph", "table"]),
    help="What to write.  [default: by the suffix of the output]",
)
@TARGET
@click.option(
    "--fasta",
    type=click.Path(),
    help="The genome: names and lengths of the contigs; the sequences are compared with it.",
)
@click.option(
    "--chrom-sizes",
    type=click.Path(),
    help="For bigWig, instead of the genome: a table of contigs and lengths, such as hg19.chrom.sizes.",
)
def command(
    result: str, output: str, form: str | None, target: str, fasta: str | None, chrom_sizes: str | None
) -> None:
    """Write RESULT, a file of one of the methods, for another program: one target, or a table of all.

    \b
    Each format suits the results of some methods:
      bigwig    track for a genome browser    ism, deepshap, gradients, sampled-shapley
      bedgraph  the same as text, or .gz      ism, deepshap, gradients, sampled-shapley
      modisco   arrays for tfmodisco-lite     ism, deepshap, gradients
      table     a line for each sequence      predict, and others' predictions

    A track has the score of each base at its place in the genome: the contribution of the base that is
    there, of ism minus the mean effect of its three substitutions. Where sequences overlap, it is the mean;
    N has none. The sequences were read with --fasta and --intervals, so that they have a place.

    modisco has the hypothetical scores of all four bases, of ism the effects minus their mean at each
    position.

    A table has the sequence's name and place, and a column VARIABLE/TARGET for each number of it.

    \b
    Examples:
      kipoi tfbind export deepshap.nc --targets CTCF --fasta genome.fa -o ctcf.bw
      kipoi tfbind export deepshap.nc --format modisco -o ctcf
      modisco motifs -s ctcf.one_hot.npz -a ctcf.scores.npz -n 2000 -o modisco.h5
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.export import export_bedgraph, export_bigwig, export_modisco, export_table

    which = int(target) if target.isdecimal() else target
    form = form or next((f for suffix, f in _FORMAT_OF.items() if output.lower().endswith(suffix)), None)
    if output == STANDARD_OUTPUT and form in (None, "bedgraph"):
        form = "bedgraph"
    elif output == STANDARD_OUTPUT and form != "table":
        raise InputError(
            f"-o -: standard output takes bedgraph or table, got {form}; give the name of a file"
        )
    if form is None:
        raise InputError(
            f"{output}: which format? Give --format, or a name that ends in .bw, .bedgraph, .tsv or .npz"
        )
    if form == "modisco":
        for path in export_modisco(result, output.removesuffix(".npz"), target=which):
            say(str(path))
        return
    if form == "table":
        with file_or_standard_output(output, ".tsv") as name:
            export_table(result, name)
    elif form == "bigwig":
        export_bigwig(result, output, target=which, fasta=fasta, chrom_sizes=chrom_sizes)
    else:
        with file_or_standard_output(output, ".bedgraph") as name:
            export_bedgraph(result, name, target=which, fasta=fasta)
    say(output)
