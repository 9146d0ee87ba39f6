"""``kipoi tfbind hits``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import PLACES_SUFFIXES, TARGET, output_option
from kipoi_tfbind.cli._output import say


@new_command(short_help="Find instances of motifs by bases and contributions.")
@click.argument("result", type=click.Path())
@click.option(
    "--motifs",
    required=True,
    multiple=True,
    help="A file in MEME format, a result of modisco or filters; or motifs as gia takes them, repeated.",
)
@click.option(
    "--null",
    required=True,
    type=click.Path(),
    help="Contributions of shuffled sequences (`kipoi tfbind shuffle`), or of controls: the same method and "
    "model.",
)
@output_option(
    "File to write: .bed, .bed.gz, .tsv or .nc; - for standard output (.bed).",
    PLACES_SUFFIXES,
    standard_output=True,
)
@TARGET
@click.option("--fdr", default=0.1, show_default=True, help="Largest q-value.")
@click.option(
    "--share",
    default=2e-3,
    show_default=True,
    help="Share of the null's positions that match a motif well enough to be candidates.",
)
@click.option(
    "--max-overlap", default=0.25, show_default=True, help="Largest share of a hit that another may have."
)
@click.option("--fasta", type=click.Path(), help="The genome, to compare the bases under each interval with.")
def command(
    result: str,
    motifs: tuple[str, ...],
    null: str,
    output: str,
    target: str,
    fdr: float,
    share: float,
    max_overlap: float,
    fasta: str | None,
) -> None:
    """Find the instances of motifs that the contributions in RESULT speak for.

    RESULT is a file of deepshap, gradients, ism, occlusion or sampled-shapley.

    \b
    Example:
      kipoi tfbind shuffle deepshap.nc -o null.fa
      kipoi tfbind deepshap MODEL --sequences null.fa -o null.nc
      kipoi tfbind hits deepshap.nc --null null.nc --motifs modisco.nc -o hits.bed
      kipoi tfbind hits deepshap.nc --null null.nc --motifs MA0139.2 --targets CTCF -o hits.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    import numpy as np

    from kipoi_tfbind.cli._places import check_places, write_places
    from kipoi_tfbind.interpret.find_hits import find_hits

    check_places(result, output)
    found = find_hits(
        result,
        null,
        motifs[0] if len(motifs) == 1 else list(motifs),
        target=int(target) if target.isdecimal() else target,
        fdr=fdr,
        share=share,
        max_overlap=max_overlap,
    )
    write_places(found, output, fasta)
    names, counts = np.unique(found["hit_motif"].values.astype(str), return_counts=True)
    say(f"{output}: {found.sizes['hit']} hits at q <= {fdr:g}")
    for i in np.argsort(-counts, kind="stable"):
        say(f"{names[i]}\t{counts[i]}")
