"""``kipoi tfbind agreement``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._method_options import CONFIDENCE, seed_option
from kipoi_tfbind.cli._options import RESTART, RESULT_OUTPUT, with_options
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.cli._shards import SHARD


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
@with_options(RESULT_OUTPUT, RESTART, SHARD)
def command(results: tuple[str, ...], names: tuple[str, ...], output: str, **options: Any) -> None:
    """Compare the maps in several RESULT files of the same sequences, each with each.

    They may be of several methods, models, seeds or frameworks. What is printed are means over the sequences
    of the first target, with intervals.

    \b
    Example:
      kipoi tfbind agreement ism.nc deepshap.nc occlusion.nc -o agreement.nc
      kipoi tfbind plot agreement.nc -o agreement.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._interpret import named_results
    from kipoi_tfbind.interpret import stream_agreement
    from kipoi_tfbind.interpret.agreement import MEASURES
    from kipoi_tfbind.results.files import check_writable, open_result

    check_writable(output)
    n = stream_agreement(named_results(results, names, lazy=True), output, **options)
    say(f"{output}: agreement; sequences: {n}")
    if options["shard"] is not None:
        return
    view = open_result(output).isel(target=0)
    say(f"{view['target'].item()}: {', '.join(MEASURES)}")
    for i in range(view.sizes["comparison"]):
        one = view.isel(comparison=i)
        numbers = "  ".join(
            f"{float(one[f'mean_{m}']):+.2f} ({float(one[f'mean_{m}_low']):+.2f} to "
            f"{float(one[f'mean_{m}_high']):+.2f})"
            for m in MEASURES
        )
        say(f"  {one['map_a'].item()} and {one['map_b'].item()}  {numbers}")
