"""``kipoi tfbind interactions``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import output_option
from kipoi_tfbind.cli._output import STANDARD_OUTPUT, file_or_standard_output, say


@new_command(short_help="A table of the strongest pairs, by several methods side by side.")
@click.argument("results", nargs=-1, required=True, type=click.Path(), metavar="RESULT...")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="What to call a result; once for each of them.  [default: their file names]",
)
@click.option(
    "--n",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Pairs of each sequence and target: those with the best rank in any of the methods.",
)
@output_option("Table to write (.tsv); - for standard output.", (".tsv", ".tsv.gz"), standard_output=True)
def command(results: tuple[str, ...], names: tuple[str, ...], n: int, output: str) -> None:
    """List the strongest interactions in RESULT files of the same sequences, with what each of them says.

    They may be of second-order-ism (the mean over substitutions counts), integrated-hessians,
    deep-feature-interaction, surrogate --pairwise, and shapley-interactions.

    \b
    Example:
      kipoi tfbind interactions second_order.nc hessians.nc dfim.nc -o pairs.tsv
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._interpret import named_results
    from kipoi_tfbind.interpret import compare_interactions
    from kipoi_tfbind.results.files import check_writable, whole_file

    if output != STANDARD_OUTPUT:
        check_writable(output)
    table = compare_interactions(named_results(results, names), n=n)
    with file_or_standard_output(output, ".tsv") as path, whole_file(path) as partial:
        table.to_csv(partial, sep="\t", index=False)
    say(f"{output}: interactions; pairs: {len(table)}")
