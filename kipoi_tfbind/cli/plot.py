"""``kipoi tfbind plot``."""

import click


@click.command(short_help="Draw a result as a picture.")
@click.argument("result", type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Picture to write: .png, .svg or .pdf."
)
@click.option("--sequence", default="0", show_default=True, help="Index of the sequence, 0-based, or its id.")
@click.option("--target", default="0", show_default=True, help="Index of the target, 0-based, or its name.")
@click.option("--start", type=int, help="First position to show, 0-based in the sequence.  [default: all]")
@click.option("--end", type=int, help="Position to stop before.  [default: all]")
def command(result: str, output: str, sequence: str, target: str, start: int | None, end: int | None) -> None:
    """Draw RESULT, a file of `kipoi tfbind ism`, as a mutation map under a sequence logo.

    \b
    Example:
      kipoi tfbind plot ism.nc --target CTCF --start 170 --end 230 -o ism.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.io import check_writable, open_result
    from kipoi_tfbind.plot import check_format, plot_mutation_map, save_plot

    check_format(output)
    check_writable(output)
    axes = plot_mutation_map(
        open_result(result),
        sequence=_index_or_name(sequence),
        target=_index_or_name(target),
        start=start,
        end=end,
    )
    save_plot(axes, output)
    click.echo(output)


def _index_or_name(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
