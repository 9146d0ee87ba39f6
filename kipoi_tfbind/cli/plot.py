"""``kipoi tfbind plot``."""

import click


@click.command(short_help="Draw a result as a picture.")
@click.argument("result", type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Picture to write: .png, .svg or .pdf."
)
@click.option("--sequence", default="0", show_default=True, help="Index of the sequence, 0-based, or its id.")
@click.option("--target", default="0", show_default=True, help="Index of the target, 0-based, or its name.")
@click.option(
    "--kind",
    type=click.Choice(["logo", "map", "epistasis", "occlusion"]),
    help="Another picture than the one that suits the method.",
)
@click.option("--start", type=int, help="First position to show, 0-based in the sequence.")
@click.option("--end", type=int, help="Position to stop before.")
@click.option(
    "--whole",
    is_flag=True,
    help="Show all of a long sequence.  [default: the 100 bp of most effect]",
)
def command(
    result: str,
    output: str,
    sequence: str,
    target: str,
    kind: str | None,
    start: int | None,
    end: int | None,
    whole: bool,
) -> None:
    """Draw one sequence and target of RESULT, as suits the method that made it.

    ISM becomes a mutation map under a logo, second-order ISM an epistasis map, DeepSHAP and gradients a logo
    of contributions, occlusion a profile.

    \b
    Examples:
      kipoi tfbind plot ism.nc --target CTCF -o ism.png
      kipoi tfbind plot deepshap.nc --sequence peak_7 --kind map --start 170 --end 230 -o map.pdf
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.io import check_writable, open_result
    from kipoi_tfbind.plot import check_format, plot_result, save_plot

    check_format(output)
    check_writable(output)
    axes = plot_result(
        open_result(result, lazy=True),
        kind=kind,
        sequence=_index_or_name(sequence),
        target=_index_or_name(target),
        start=start,
        end=end,
        whole=whole,
    )
    save_plot(axes, output)
    click.echo(output)


def _index_or_name(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
