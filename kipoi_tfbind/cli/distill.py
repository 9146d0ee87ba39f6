"""The command ``kipoi tfbind distill``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS, output_option


@new_command()
@click.argument("ensemble", type=click.Path(file_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option(
    "--peaks", required=True, type=click.Path(), help="Folder of the peak files that the ensemble names."
)
@output_option("Folder of the new run; an interrupted run goes on.")
@click.option(
    "--members",
    type=int,
    default=1,
    show_default=True,
    help="Members whose layers the student begins with: those that together come closest to the ensemble.",
)
@click.option(
    "--keep", type=int, multiple=True, help="Number of a member, from 1, to keep instead; may be repeated."
)
@click.option("--windows", type=int, default=90_000, show_default=True, help="Windows to learn from.")
@click.option(
    "--mutated", type=float, default=0.2, show_default=True, help="Share of them with random mutations."
)
@click.option(
    "--mutation-rate", type=float, default=0.2, show_default=True, help="Most bases of one that are redrawn."
)
@click.option(
    "--recombined",
    type=float,
    default=0.15,
    show_default=True,
    help="Share of them that are half one, half another window.",
)
@click.option(
    "--hard",
    type=float,
    default=0.45,
    show_default=True,
    help="Share of them that are bins without a peak which the student, untrained, ranks first.",
)
@click.option("--random", type=float, default=0.02, show_default=True, help="Share of random sequences.")
@click.option("--epochs", type=int, default=3, show_default=True)
@click.option("--batch-size", type=int, default=64, show_default=True)
@click.option("--learning-rate", type=float, default=3e-4, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@THREADS
def command(
    ensemble: str, fasta: str, peaks: str, output: str, keep: tuple[int, ...], **options: Any
) -> None:
    """A small model that says what a whole ensemble says.

    ENSEMBLE is the folder that `kipoi tfbind ensemble` wrote. The student has the layers of a few of its
    members, and a head for each: it knows how far they are apart. It learns from their log-odds of real,
    shuffled, mutated, recombined and random windows, and of bins without a peak that look bound. Evaluate
    and package it as any run.

    \b
    Example:
      kipoi tfbind ensemble seed-1 seed-2 seed-3 --fasta hg19.fa.gz --peaks peaks -o ensemble
      kipoi tfbind distill ensemble --members 1 --fasta hg19.fa.gz --peaks peaks -o student
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.backends.quiet_start import start_tensorflow

    start_tensorflow()
    from kipoi_tfbind.training.distill import distill
    from kipoi_tfbind.training.distillation_windows import Distillation

    distill(ensemble, fasta, peaks, output, Distillation(keep=keep, **options), verbose=2)
