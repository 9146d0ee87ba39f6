"""The command ``kipoi tfbind evaluate``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.errors import InputError


@new_command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option(
    "--peaks", required=True, type=click.Path(), help="Folder of the peak files that the run names."
)
@click.option("--split", type=click.Choice(["test", "validation"]), default="test", show_default=True)
@click.option(
    "--prevalence",
    type=float,
    metavar="SHARE",
    help="Share of bound bins, between 0 and 1, for which to state calibration and AUPRC as well.",
)
@click.option(
    "--other-cell",
    "other_cells",
    multiple=True,
    metavar="TARGET:CELL=FILE",
    help="Peaks of a target in another cell type, in the folder of the peaks, to test on too; repeatable.",
)
@click.option(
    "--seed-run",
    "seed_runs",
    multiple=True,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="A run of the same configuration with another seed: agreement of maps, too; repeatable. RUN itself "
    "counts only if it is given here.",
)
@THREADS
def command(
    run: str,
    fasta: str,
    peaks: str,
    split: str,
    prevalence: float | None,
    other_cells: tuple[str, ...],
    seed_runs: tuple[str, ...],
) -> None:
    """Held-out AUPRC, AUROC, recall and calibration of the model in folder RUN, beside baselines."""
    from kipoi_tfbind.backends.quiet_start import start_tensorflow
    from kipoi_tfbind.training.card_tables import (
        agreement_table,
        calibration_table,
        metrics_table,
        other_cells_table,
    )

    start_tensorflow()
    from kipoi_tfbind.training.evaluate import evaluate

    metrics = evaluate(
        run, fasta, peaks, split=split, prevalence=prevalence, other_cells=_by_target(other_cells)
    )
    if seed_runs:
        from kipoi_tfbind.comparison.seeds import add_seeds_agreement

        metrics = add_seeds_agreement(run, seed_runs, fasta, peaks)
    restated = prevalence is not None
    tables = (
        metrics_table(metrics),
        calibration_table(metrics, restated=restated),
        agreement_table(metrics),
        other_cells_table(metrics),
    )
    say("\n\n".join(filter(None, tables)))
    if restated:
        say(f"\nThe line and its calibration are for a prevalence of {prevalence:g}. AUPRC there:")
        for target, result in metrics["targets"].items():
            auprc = result["at_prevalence"]["auprc"]
            say(f"{target}: {auprc['value']:.3f} ({auprc['low']:.3f}–{auprc['high']:.3f})")


def _by_target(other_cells: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Target -> cell type -> file, from texts such as CTCF:K562=peaks.narrowPeak.gz."""
    found: dict[str, dict[str, str]] = {}
    for text in other_cells:
        name, _, file = text.partition("=")
        target, _, cell = name.partition(":")
        if not (target and cell and file):
            raise InputError(f"--other-cell: expected TARGET:CELL=FILE, got {text!r}")
        found.setdefault(target, {})[cell] = file
    return found
