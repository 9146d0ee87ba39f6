"""``kipoi tfbind export``."""

import click

_FORMAT_OF = {
    ".npz": "modisco",
    ".bw": "bigwig",
    ".bigwig": "bigwig",
    ".bedgraph": "bedgraph",
    ".bg": "bedgraph",
}


@click.command(short_help="Write a result for tfmodisco-lite or a genome browser.")
@click.argument("result", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="File to write: .bw, .bedgraph, .bedgraph.gz; for modisco, how its two files begin.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["modisco", "bigwig", "bedgraph"]),
    help="What to write.  [default: by the suffix of the output]",
)
@click.option("--target", default="0", show_default=True, help="Index of the target, 0-based, or its name.")
@click.option("--fasta", type=click.Path(), help="The genome: names and lengths of the contigs, for bigWig.")
def command(result: str, output: str, form: str | None, target: str, fasta: str | None) -> None:
    """Write one target of RESULT, of ism, deepshap or gradients, for another program.

    bigWig and bedGraph have a value for each base of the genome: the contribution of the base that is
    there, of ism minus the mean effect of its substitutions; where they overlap, the mean. modisco has the
    hypothetical scores of all four bases, as tfmodisco-lite reads them.

    \b
    Examples:
      kipoi tfbind export deepshap.nc --target CTCF --fasta genome.fa -o ctcf.bw
      kipoi tfbind export deepshap.nc --format modisco -o ctcf
      modisco motifs -s ctcf.one_hot.npz -a ctcf.scores.npz -n 2000 -o modisco.h5
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.export import export_bedgraph, export_bigwig, export_modisco

    which = int(target) if target.isdecimal() else target
    name = output.lower().removesuffix(".gz")
    form = form or next((f for suffix, f in _FORMAT_OF.items() if name.endswith(suffix)), None)
    if form is None:
        raise InputError(f"{output}: which format? Give --format, or a name that ends in .bw or .bedgraph")
    if form == "modisco":
        for path in export_modisco(result, output.removesuffix(".npz"), target=which):
            click.echo(path)
        return
    if form == "bigwig":
        if fasta is None:
            raise InputError("--fasta: bigWig files have the lengths of the contigs; give the genome")
        export_bigwig(result, output, target=which, fasta=fasta)
    else:
        export_bedgraph(result, output, target=which, fasta=fasta)
    click.echo(output)
