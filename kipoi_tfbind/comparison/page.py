"""The table of a comparison as a page in Markdown."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kipoi_tfbind.comparison.plan import Comparison

_HEAD = (
    "seeds",
    "AUPRC (95%)",
    "sd over seeds",
    "gain in AUPRC (95%)",
    "AUROC (95%)",
    "weakest own motif, log-odds",
    "own motifs",
    "agreement of maps (95%)",
    "RC difference",
    "parameters",
    "training, CPU s",
)


def comparison_page(comparison: Comparison, table: pd.DataFrame) -> str:
    """Page with the table of the runs that are done.

    Parameters
    ----------
    table
        From `comparison_table`.
    """
    done = int(table["seeds"].sum()) if len(table) else 0
    wanted = len(comparison.settings) * len(comparison.seeds)
    lines = [f"# {comparison.title}", "", comparison.note.strip(), ""]
    if done < wanted:
        lines += [f"{done} of {wanted} runs are done; `kipoi tfbind compare` goes on with the others.", ""]
    head = [*comparison.factors, *_HEAD]
    lines += [_line(head), _line(["---"] * len(head))]
    lines += [_line(_cells(comparison, row)) for _, row in table.iterrows()]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(comparison: Comparison, row: pd.Series) -> list[str]:
    return [
        *(str(row[factor]) for factor in comparison.factors),
        str(row["seeds"]),
        _interval(row, "auprc"),
        _number(row.get("auprc_sd"), ".3f"),
        _interval(row, "auprc_gain", "+.3f"),
        _interval(row, "auroc"),
        _number(row["own_motif"], "+.2f"),
        _number(row["own_motifs"], ".1f"),
        _interval(row, "agreement", ".2f"),
        _number(row["rc_difference"], ".1g"),
        f"{row['parameters']:,}",
        _number(row["cpu_seconds"], ".0f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None or not np.isfinite(value) else format(value, form)


def _interval(row: pd.Series, name: str, form: str = ".3f") -> str:
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:{form}} ({low:{form}} to {high:{form}})"
