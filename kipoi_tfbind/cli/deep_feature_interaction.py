"""``kipoi tfbind deep-feature-interaction``."""

from typing import Any

import click

from kipoi_tfbind.cli._interpret import interpret_to_file, interpretation_options, parse_positions


@click.command(short_help="DFIM: how a substitution changes what other positions contribute.")
@interpretation_options
@click.option(
    "--references",
    default="dinucleotide_shuffle",
    show_default=True,
    help="What a sequence is compared with, as of deepshap.",
)
@click.option(
    "--n-references",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of references for each sequence.",
)
@click.option("--start", default=0, show_default=True, help="First position to pair, 0-based.")
@click.option("--end", type=int, help="Position to stop before.  [default: the sequence's end]")
@click.option("--positions", metavar="LIST", help="Positions to pair instead, such as 185,190,204.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the references.")
def command(positions: str | None, **options: Any) -> None:
    """Deep feature interactions: how a substitution changes what the other positions contribute (DFIM).

    The cost is that of DeepSHAP for three mutants of each position: give a range.

    \b
    Example:
      kipoi tfbind deep-feature-interaction model_zoo/TFBind/CTCF --source dir --start 180 --end 220 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o dfim.nc
      kipoi tfbind plot dfim.nc -o dfim.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import deep_feature_interaction

    settings = {name: options.pop(name) for name in ("references", "n_references", "start", "end", "seed")}
    settings["positions"] = parse_positions(positions)
    interpret_to_file(deep_feature_interaction, options, settings, rows=lambda length: length * length // 2)
