"""``kipoi tfbind report``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._command import option
from kipoi_tfbind.cli._interpret import names_among
from kipoi_tfbind.cli._options import output_option
from kipoi_tfbind.cli._output import say


@new_command(short_help="Write an HTML report on results.")
@click.argument("results", nargs=-1, required=True, type=click.Path(), metavar="RESULT...")
@output_option("Page to write: .html.")
@click.option(
    "--model",
    type=click.Path(),
    help="Folder of the Kipoi model, for its card.  [default: the one that the results name]",
)
@option(
    "--targets",
    multiple=True,
    metavar="NAME,...",
    aliases=("--target",),
    help="Only these targets; may be repeated.  [default: each sequence's own one of the largest prediction]",
)
@click.option(
    "--max-sequences",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many sequences to draw, those with the largest prediction; all are in the table and tracks.",
)
@click.option("--title", help="Title of the page.  [default: the model's name]")
def command(
    results: tuple[str, ...],
    output: str,
    model: str | None,
    targets: tuple[str, ...],
    max_sequences: int,
    title: str | None,
) -> None:
    """Write one HTML page about RESULTs, files of the methods.

    It has pictures, tables of the strongest positions, motifs, hits, variants, checks, the settings and the
    model's card; and, in a browser, tracks of every sequence, an epistasis map and the locus, to be zoomed
    and read base by base. All is inside the one file: it opens without a network, and can be sent and
    printed. What several results say of one sequence is shown together.

    \b
    Example:
      kipoi tfbind report ism.nc deepshap.nc epistasis.nc -o report.html
      kipoi tfbind report ism.nc --targets CTCF --max-sequences 3 -o ctcf.html
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from contextlib import ExitStack

    from kipoi_tfbind.report import write_report
    from kipoi_tfbind.report.page import check_page
    from kipoi_tfbind.results.files import open_result

    check_page(output)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_result(path, lazy=True)) for path in results]
        known = [str(name) for each in opened if "target" in each.coords for name in each["target"].values]
        write_report(
            opened,
            output,
            model=model,
            targets=names_among(targets, known) or None,
            max_sequences=max_sequences,
            title=title,
        )
    say(output)
