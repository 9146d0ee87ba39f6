"""``kipoi tfbind agreement``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._method_options import CONFIDENCE, seed_option
from kipoi_tfbind.cli._options import RESULT_OUTPUT
from kipoi_tfbind.cli._output import say


@new_command(short_help="How alike the maps of several results are.")
@click.argument("results", nargs=-1, required=True, type=click.Path(), metavar="RESULT...")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="What to call a result; once for each of them.  [default: their file names]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Positions of the largest magnitude whose overlap is counted.",
)
@CONFIDENCE
@seed_option("Of the bootstrap.")
@RESULT_OUTPUT
def command(
    results: tuple[str, ...], names: tuple[str, ...], top: int, confidence: float, seed: int, output: str
) -> None:
    """Compare the maps in several RESULT files of the same sequences, each with each.

    They may be of several methods, models, seeds or frameworks. What is printed are means over the sequences
    of the first target, with intervals.

    \b
    Example:
      kipoi tfbind agreement ism.nc deepshap.nc occlusion.nc -o agreement.nc
      kipoi tfbind plot agreement.nc -o agreement.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._interpret import named_results
    from kipoi_tfbind.interpret import agreement
    from kipoi_tfbind.interpret.agreement import MEASURES
    from kipoi_tfbind.results.files import check_writable, save_result

    check_writable(output)
    found = agreement(named_results(results, names, lazy=True), top=top, confidence=confidence, seed=seed)
    save_result(found, output)
    say(f"{output}: agreement; sequences: {found.sizes['sequence']}, targets: {found.sizes['target']}")
    view = found.isel(target=0)
    say(f"{view['target'].item()}: {', '.join(MEASURES)}")
    for i in range(view.sizes["comparison"]):
        one = view.isel(comparison=i)
        numbers = "  ".join(
            f"{float(one[f'mean_{m}']):+.2f} ({float(one[f'mean_{m}_low']):+.2f} to "
            f"{float(one[f'mean_{m}_high']):+.2f})"
            for m in MEASURES
        )
        say(f"  {one['map_a'].item()} and {one['map_b'].item()}  {numbers}")
