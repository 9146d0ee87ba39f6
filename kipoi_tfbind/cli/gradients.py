"""``kipoi tfbind gradients``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options
from kipoi_tfbind.results.shards import BLOCK


@new_command(short_help="Saliency, gradient times input, integrated gradients.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--method",
    type=click.Choice(["saliency", "gradient_x_input", "integrated_gradients"]),
    default="saliency",
    show_default=True,
    help="How contributions are made of gradients.",
)
@click.option(
    "--correction",
    is_flag=True,
    help="Subtract the mean over the bases from the gradient at each position (Majdandzic et al. 2023).",
)
@click.option(
    "--references",
    default="zeros",
    show_default=True,
    help="What integrated gradients start from: zeros, uniform, dinucleotide_shuffle and others.",
)
@click.option(
    "--n-references",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of references for each sequence.",
)
@click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Points on the path of integrated gradients.",
)
@seed_option("Of the references.")
def command(
    method: str,
    correction: bool,
    references: str,
    n_references: int,
    n_steps: int,
    seed: int,
    **options: Any,
) -> None:
    """Contributions of the bases from gradients of the prediction: the cheapest of the methods.

    \b
    Example:
      kipoi tfbind gradients model_zoo/TFBind/CTCF --source dir --method gradient_x_input --correction \\
          --fasta genome.fa --intervals peaks.narrowPeak -o gradients.nc
      kipoi tfbind export gradients.nc --format bigwig --fasta genome.fa -o gradients.bw
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import gradients

    settings: dict[str, Any] = {"method": method, "correction": correction}
    if method == "integrated_gradients":
        settings |= {
            "references": references,
            "n_references": n_references,
            "n_steps": n_steps,
            "seed": seed,
        }
    # So cheap are the other two that the calls themselves would be felt.
    block = BLOCK if method == "integrated_gradients" else 256
    interpret_to_file(gradients, options, settings, rows=lambda length: 2 * length, block=block)
