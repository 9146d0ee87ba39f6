"""Shared by `kipoi tfbind gia spacing` and `cooperativity`: motifs that are proposed by their hits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kipoi_tfbind.cli._command import OUTPUT, option
from kipoi_tfbind.cli._gia import analysis_options, check_output, model_and_backgrounds, motif_option
from kipoi_tfbind.cli._options import with_options
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


PAIRS = with_options(
    motif_option(required=False),
    option(
        "--motifs-from",
        "hits",
        type=click.Path(),
        metavar="HITS.nc",
        help="Instead of --motif: the pairs of motifs whose hits are in the same sequences more often than "
        "by chance.",
    ),
    option(
        "--top",
        type=click.IntRange(min=1),
        default=5,
        show_default=True,
        help="Largest number of such pairs.",
    ),
    option(
        "--table",
        type=click.Path(),
        section=OUTPUT,
        help="Write the table of such pairs as tab-separated text, too.",
    ),
)


def check_source(motifs: tuple[str, ...], hits: str | None, table: str | None) -> None:
    """Check that motifs are given, or hits that propose them.

    Raises
    ------
    InputError
        Neither or both are, or a table of pairs is asked for without hits.
    """
    if bool(motifs) == bool(hits):
        raise InputError("--motif, --motifs-from: expected one of the two")
    if table and not hits:
        raise InputError("--table: is of pairs that hits propose; give --motifs-from HITS.nc")


def run_proposed(
    experiment: str, options: dict[str, Any], hits: str, top: int, table: str | None, **settings: Any
) -> None:
    """Test the pairs that hits propose, write the result, and print the table."""
    from kipoi_tfbind.interpret.global_importance.proposed_pairs import interaction_of_proposed_pairs
    from kipoi_tfbind.results.files import check_writable, save_result
    from kipoi_tfbind.results.tables import write_table

    if options["shard"] is not None:
        raise InputError("--shard: pairs that hits propose are tested together; give two motifs, as --motif")
    check_output(options)
    if table:
        check_writable(table)
    model, backgrounds = model_and_backgrounds(options)
    found = interaction_of_proposed_pairs(
        model,
        backgrounds,
        hits,
        experiment=experiment,  # type: ignore[arg-type]
        top=top,
        **settings,
        **analysis_options(options),
    )
    save_result(found, options["output"])
    if table:
        write_table(_pairs(found), table)
    say(
        f"{options['output']}: {experiment}; pairs: {found.attrs['n_proposed']} of "
        f"{found.attrs['n_pairs_in_hits']} in {hits}, backgrounds: {found.sizes['background']}, targets: "
        f"{found.sizes['target']}"
    )
    for line in summary_of_pairs(found):
        say(line)


def summary_of_pairs(result: xr.Dataset) -> list[str]:
    """A line for each pair and target: how often they are together, and their strongest interaction."""
    lines = ["pair\ttogether (expected)\tq\ttarget\tinteraction\tinterval\tq\twhere\tq < 0.05"]
    for target in result["target"].values:
        for pair in result["pair"].values:
            one = result.sel(pair=pair, target=target)
            low, high = float(one["pair_interaction_low"]), float(one["pair_interaction_high"])
            lines.append(
                f"{pair}\t{int(one['n_with_both'])} ({float(one['expected_with_both']):.1f})\t"
                f"{float(one['pair_q_value']):.1e}\t{target}\t{float(one['pair_interaction']):+.3f}\t"
                f"{low:+.3f} to {high:+.3f}\t{float(one['pair_interaction_q_value']):.1e}\t"
                f"{one['pair_interaction_pattern'].item()}\t{int(one['pair_n_interacting'])} of "
                f"{int(one['pair_n_arrangements'])}"
            )
    return lines


def _pairs(result: xr.Dataset) -> xr.Dataset:
    """What is by pair and target, as one table."""
    names = [name for name, values in result.data_vars.items() if "pair" in values.dims]
    table = result[names]
    like = table["pair_interaction"]
    return table.map(lambda values: values.broadcast_like(like).transpose("pair", "target")).assign_attrs(
        result.attrs
    )
