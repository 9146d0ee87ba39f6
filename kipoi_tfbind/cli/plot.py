"""``kipoi tfbind plot``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._command import option
from kipoi_tfbind.cli._options import output_option
from kipoi_tfbind.cli._output import say


@new_command(short_help="Draw a result as a picture.")
@click.argument("result", type=click.Path())
@output_option("Picture to write: .png, .svg or .pdf.")
@click.option(
    "--kind",
    type=click.Choice(
        [
            *("logo", "map", "epistasis", "occlusion", "interaction", "surrogate", "samples", "design"),
            *("attention", "units"),
            *("importance", "curve", "cooperativity", "shift", "agreement", "sanity", "variants"),
        ]
    ),
    help="Which picture.  [default: as suits the result's method]",
)
@click.option("--sequence", default="0", show_default=True, help="Index of the sequence, 0-based, or its id.")
@option(
    "--targets",
    "target",
    metavar="NAME",
    aliases=("--target",),
    help="The target: its name, or its index, 0-based.  [default: the strongest: of a sequence that of its "
    "largest prediction, of patterns the one of the largest effect]",
)
@click.option(
    "--start",
    type=int,
    help="First position to show, 0-based in the sequence.  [default: of a long sequence, the 100 positions "
    "around the strongest effects]",
)
@click.option("--end", type=int, help="Position to stop before.")
@click.option("--whole", is_flag=True, help="Show the whole sequence, however long.")
@click.option("--hits", type=click.Path(), help="Result of hits (.nc): draw those beneath the sequence.")
def command(
    result: str,
    output: str,
    kind: str | None,
    sequence: str,
    target: str | None,
    start: int | None,
    end: int | None,
    whole: bool,
    hits: str | None,
) -> None:
    """Draw RESULT, a file of one of the methods, as a picture.

    \b
    Each method has its own kind of picture:
      ism               map        effect of every substitution, under a logo
      deepshap          logo       contribution of every base
      gradients         logo       contribution of every base
      second-order-ism  epistasis  pairs of positions, over a logo
      occlusion         occlusion  effect of occluding each window
      integrated-hessians, deep-feature-interaction, shapley-interactions
                        interaction  of every two positions or segments
      surrogate         surrogate  effects in the additive model beside those of ISM
      maximum-entropy-samples      samples, their logo
      design            design     predictions after each substitution
      grad-cam          logo       where a layer sees what raises the prediction
      attention-maps    attention  queries and keys of one head
      layer-contributions          units, channels by positions
      agreement         agreement  of every two maps
      sanity-checks     sanity     what is left of a map while the model forgets
      variants          variants   contributions for both alleles (--sequence is the allele's number)
      gia               importance, curve or cooperativity, as the experiment is
      gia shift         shift      predictions on backgrounds and on real sequences
      filters, modisco  a page of the motifs, with known ones that they are like
    Of the others, all but occlusion and grad-cam can be drawn as a logo and as a map, these as a logo;
    results of gia as importance.

    \b
    Example:
      kipoi tfbind plot ism.nc -o ism.png
      kipoi tfbind plot ism.nc --kind logo --targets CTCF --start 170 --end 230 -o logo.pdf
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    from kipoi_tfbind.plot import check_format, plot_result, save_plot
    from kipoi_tfbind.results.files import check_writable, open_result

    check_format(output)
    check_writable(output)
    mpl.use("Agg")  # no window is to open
    chosen = None if target is None else _index_or_name(target)
    with open_result(result, lazy=True) as opened:
        if hits is not None or "motif_matrix" in opened:
            axes = _with_motifs(opened.load(), hits, sequence, chosen, start, end)
        else:
            axes = plot_result(
                opened,
                kind=kind,
                sequence=_index_or_name(sequence),
                target=chosen,
                start=start,
                end=end,
                whole=whole,
            )
    save_plot(axes, output)
    plt.close(axes.get_figure(root=True))
    say(output)


def _with_motifs(
    result: Any, hits: str | None, sequence: str, target: int | str | None, start: int | None, end: int | None
) -> Any:
    """A page of motifs; or hits under the contributions of a sequence."""
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.plot import plot_hits, plot_motifs
    from kipoi_tfbind.plot.filter_motifs import known_motifs
    from kipoi_tfbind.results.files import open_result

    if hits is None:
        return plot_motifs(result, target=target, known=known_motifs(result)).axes[0]
    if not sequence.isdecimal():
        raise InputError(f"--sequence: expected an index, 0-based, beside --hits, got {sequence!r}")
    return plot_hits(result, open_result(hits), sequence=int(sequence), target=target, start=start, end=end)


def _index_or_name(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
