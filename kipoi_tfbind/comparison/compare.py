"""All runs of a comparison, one after the other, and their table."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from kipoi_tfbind.comparison.page import comparison_page
from kipoi_tfbind.comparison.plan import Comparison, Setting, read_comparison
from kipoi_tfbind.comparison.run import RECORD, finish_run
from kipoi_tfbind.comparison.table import comparison_table
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.fit import build_model

TABLE, PAGE = "comparison.tsv", "comparison.md"


def compare(
    plan: str | Path,
    fasta: str | Path,
    peaks_dir: str | Path,
    output: str | Path,
    *,
    max_minutes: float | None = None,
) -> pd.DataFrame:
    """Train and measure what a plan lists, and tabulate it.

    Each run has its folder; a run that is done is not done again, and one that was interrupted, however,
    goes on from its last epoch. Table and page are of the runs that are done, and are written after each.

    Parameters
    ----------
    plan
        YAML file; see `read_comparison`.
    fasta, peaks_dir
        The genome and the folder of the peak files.
    output
        Folder: `runs/SETTING.seed-SEED`, `comparison.tsv` and `comparison.md`.
    max_minutes
        Begin no further run after so many minutes.

    Returns
    -------
    pandas.DataFrame
        A row for each setting with a run that is done; see `comparison_table`.

    Raises
    ------
    InputError
        The plan, a configuration or a file is unusable, or `output` has runs of another plan.

    Examples
    --------
    >>> table = compare("benchmarks/architectures.yaml", "hg19.fa.gz", "peaks", "out")  # doctest: +SKIP
    """
    started, comparison, output = time.monotonic(), read_comparison(plan), Path(output)
    runs = list(comparison.runs())
    for setting, seed in runs:
        _check_config(setting.config(seed), run_folder(output, setting, seed))
    for setting in comparison.settings:
        _check_model(setting, comparison.seeds[0])
    (output / "runs").mkdir(parents=True, exist_ok=True)
    (output / "bins").mkdir(exist_ok=True)
    with progress("runs", len(runs), unit="run") as bar:
        for setting, seed in runs:
            folder = run_folder(output, setting, seed)
            if not (folder / RECORD).exists():
                if max_minutes is not None and time.monotonic() - started > 60 * max_minutes:
                    break
                finish_run(setting.config(seed), fasta, peaks_dir, folder, output / "bins")
                _write(comparison, output)
            bar.update()
    return _write(comparison, output)


def run_folder(output: Path, setting: Setting, seed: int) -> Path:
    """Folder of one run."""
    return output / "runs" / f"{setting.name}.seed-{seed}"


def _write(comparison: Comparison, output: Path) -> pd.DataFrame:
    """Write table and page of the runs that are done."""
    found: dict[str, dict[int, Path]] = {}
    for setting, seed in comparison.runs():
        folder = run_folder(output, setting, seed)
        if (folder / RECORD).exists():
            found.setdefault(setting.name, {})[seed] = folder
    table = comparison_table(comparison, found)
    with whole_file(output / TABLE) as path:
        table.to_csv(path, sep="\t", index=False, float_format="%.6g")
    with whole_file(output / PAGE) as path:
        path.write_text(comparison_page(comparison, table))
    return table


def _check_model(setting: Setting, seed: int) -> None:
    """Refuse settings of which no model can be made, before any run begins."""
    try:
        build_model(setting.config(seed))
    except InputError as error:
        raise InputError(f"{setting.name}: {error}") from None


def _check_config(config: TrainingConfig, folder: Path) -> None:
    """Refuse a folder with a run of another plan, before any run begins."""
    path = folder / "config.yaml"
    if path.exists() and TrainingConfig.from_yaml(path).to_yaml() != config.to_yaml():
        raise InputError(f"{path}: this folder holds a run of another plan; give another folder")
