"""``kipoi tfbind match``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import TABLE_SUFFIXES, output_option
from kipoi_tfbind.cli._output import STANDARD_OUTPUT, file_or_standard_output, say


@new_command(short_help="Name motifs by the known ones that they are like.")
@click.argument("motifs", nargs=-1, required=True, metavar="MOTIFS...")
@output_option(
    "Table to write: .tsv, or .nc; - for standard output (.tsv).", TABLE_SUFFIXES, standard_output=True
)
@click.option(
    "--database", default="JASPAR", show_default=True, help="Known motifs: JASPAR, or a file in MEME format."
)
@click.option("--release", default="JASPAR2024", show_default=True, help="Of JASPAR.")
@click.option("--collection", default="CORE", show_default=True, help="Of JASPAR.")
@click.option("--tax-group", default="vertebrates", show_default=True, help="Of JASPAR; all for all of them.")
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Matches of each motif."
)
def command(
    motifs: tuple[str, ...],
    output: str,
    database: str,
    release: str,
    collection: str,
    tax_group: str,
    top: int,
) -> None:
    """Find the known motifs that each of MOTIFS is most like, by Tomtom.

    MOTIFS is a file in MEME format, a result of filters, modisco or hits; or motifs as gia takes them:
    consensus sequences, JASPAR ids, FILE.meme:ID.

    The first call on a machine compiles Tomtom, which takes about a minute.

    \b
    Example:
      kipoi tfbind match filters.nc -o filters.matches.tsv
      kipoi tfbind match mine.meme --database known.meme --top 1 -o matches.tsv
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.motifs.match import match_motifs
    from kipoi_tfbind.results.files import check_writable
    from kipoi_tfbind.results.tables import write_table

    if output != STANDARD_OUTPUT:
        check_writable(output)
    found = match_motifs(
        motifs[0] if len(motifs) == 1 else list(motifs),
        database,
        release=release,
        collection=collection,
        tax_group=None if tax_group == "all" else tax_group,
        top=top,
    )
    with file_or_standard_output(output, ".tsv") as path:
        write_table(found, path)
    best = found.isel(rank=0)
    for name, label, q in zip(
        best["motif"].values, best["match_name"].values, best["match_q_value"].values, strict=True
    ):
        say(f"{name}\t{label if q < 0.05 else '-'}\t{q:.3g}")
