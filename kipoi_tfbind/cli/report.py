"""``kipoi tfbind report``."""

import click


@click.command(short_help="Write an HTML page about results.")
@click.argument("results", nargs=-1, required=True, type=click.Path(), metavar="RESULT...")
@click.option("-o", "--output", required=True, type=click.Path(), help="Page to write, .html.")
@click.option(
    "--targets",
    multiple=True,
    metavar="NAME",
    help="Target to show; may be repeated.  [default: that of the largest prediction of each sequence]",
)
@click.option(
    "--max-sequences",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many sequences to show: those with the largest predictions.",
)
@click.option("--model", type=click.Path(), help="Folder of the Kipoi model, for its card.")
@click.option("--title", help="Title of the page.")
def command(
    results: tuple[str, ...],
    output: str,
    targets: tuple[str, ...],
    max_sequences: int,
    model: str | None,
    title: str | None,
) -> None:
    """Write one self-contained HTML page about one or several RESULTs.

    It has the model's card, the settings, checks of completeness and of both strands, and for each sequence
    the pictures and the strongest positions. Results about the same sequences are shown together.

    \b
    Example:
      kipoi tfbind report ism.nc deepshap.nc --max-sequences 5 -o report.html
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.io import check_writable, open_result
    from kipoi_tfbind.report import write_report

    check_writable(output)
    opened = [open_result(path, lazy=True) for path in results]
    write_report(
        opened, output, model=model, targets=targets or None, max_sequences=max_sequences, title=title
    )
    click.echo(output)
