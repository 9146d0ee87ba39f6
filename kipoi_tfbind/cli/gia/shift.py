"""``kipoi tfbind gia shift``."""

from typing import Any

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    background_options,
    backgrounds_of,
    check_output,
    filtered,
    model_and_sequences,
)
from kipoi_tfbind.cli._output import say


@new_command(short_help="Predictions on backgrounds against those on real sequences.")
@background_options
def command(**options: Any) -> None:
    """Compare the predictions on backgrounds with those on the sequences that they are made from.

    A warning comes where most backgrounds are predicted unlike any of the real sequences.

    \b
    Example:
      kipoi tfbind gia shift model_zoo/TFBind/CTCF --source dir --backgrounds dinucleotide_shuffle \\
          --fasta genome.fa --intervals peaks.bed -o shift.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    import xarray as xr

    from kipoi_tfbind.interpret.global_importance.background_shift import distribution_shift
    from kipoi_tfbind.results.files import save_result

    check_output(options)
    model, sequences = model_and_sequences(options)
    backgrounds = filtered(model, backgrounds_of(sequences, options), options)
    result: xr.Dataset = distribution_shift(model, backgrounds, sequences, batch_size=options["batch_size"])
    save_result(result, options["output"])
    say(f"{options['output']}: distribution_shift; backgrounds outside the central 95% of the sequences:")
    for name, share in zip(result["target"].values, result["share_outside"].values, strict=True):
        say(f"  {name}  {share:.1%}")
