"""``kipoi tfbind deep-feature-interaction``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file, parse_positions
from kipoi_tfbind.cli._method_options import path_option, range_options, references_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="DFIM: how a substitution changes what other positions contribute.")
@with_options(INTERPRETATION_OPTIONS)
@references_options(10)
@range_options("pair")
@click.option("--positions", metavar="LIST", help="Positions to pair instead, such as 185,190,204.")
@seed_option("Of the references.")
@path_option("Compute only what a mutation changes of the multipliers (exact), or DeepSHAP of every mutant.")
def command(positions: str | None, **options: Any) -> None:
    """Deep feature interactions: how a substitution changes what the other positions contribute (DFIM).

    It is defined by DeepSHAP of three mutants of each position; of models that begin with convolutions only
    what a mutation changes is computed. Give a range.

    \b
    Example:
      kipoi tfbind deep-feature-interaction model_zoo/TFBind/CTCF-single --source dir --start 180 --end 220 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o dfim.nc
      kipoi tfbind plot dfim.nc -o dfim.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import deep_feature_interaction

    settings = {
        name: options.pop(name) for name in ("references", "n_references", "start", "end", "seed", "path")
    }
    settings["positions"] = parse_positions(positions)
    interpret_to_file(deep_feature_interaction, options, settings, rows=lambda length: length * length // 2)
