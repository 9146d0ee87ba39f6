"""Summary of a result of global importance analysis, in a few lines on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kipoi_tfbind.cli._output import say

if TYPE_CHECKING:
    import xarray as xr

_LISTED = 10  # patterns


def report(result: xr.Dataset, options: Mapping[str, Any]) -> None:
    """Print the file of a result and its summary."""
    sizes = result.sizes
    say(
        f"{options['output']}: {result.attrs['experiment']}; patterns: {sizes['pattern']}, backgrounds: "
        f"{sizes['background']}, targets: {sizes['target']}"
    )
    for line in summarise(result, options["half_width"]):
        say(line)


def summarise(result: xr.Dataset, half_width: float | None = None) -> list[str]:
    """Summary of a result: the strongest patterns of its strongest target, with intervals."""
    import numpy as np

    from kipoi_tfbind.results.view import probability, select_target

    view = select_target(result, None)
    compared = bool(np.isfinite(view["difference"].values).any())
    name = "difference" if compared else "importance"
    strength = np.nan_to_num(np.abs(view[name].values), nan=-1)
    chosen = [row for row in np.argsort(-strength, kind="stable")[:_LISTED] if strength[row] >= 0]
    q = "difference_q_value" if compared else "q_value"
    width = max((len(str(view["pattern"].values[row])) for row in chosen), default=0)
    confidence = f"{100 * float(result.attrs['confidence']):g}% interval"
    lines = [f"{view['target'].item()}: {name}, {confidence}, q-value"]
    for row in chosen:
        values = view.isel(pattern=row)
        low, high = float(values[f"{name}_low"]), float(values[f"{name}_high"])
        lines.append(
            f"  {values['pattern'].item():<{width}}  {float(values[name]):+8.3f}  ({low:+.3f} to "
            f"{high:+.3f})  {probability(float(values[q]))}"
        )
    lines.append(_precision(result, half_width))
    return lines


def _precision(result: xr.Dataset, half_width: float | None) -> str:
    """Width of the intervals of the importance, and the number of backgrounds for a width that is wanted."""
    import numpy as np

    from kipoi_tfbind.interpret import needed_backgrounds

    widths = (result["importance_high"] - result["importance_low"]).values / 2
    n = int(result["n_backgrounds"].values.max())
    text = (
        f"{n:,} backgrounds give a half-width of {np.nanmedian(widths):.3g} (largest {np.nanmax(widths):.3g})"
    )
    if half_width is not None:
        known = result.isel(pattern=np.isfinite(widths).all(axis=1))
        needed = needed_backgrounds(known, half_width).values
        text += f"; {needed.max():,} would give at most {half_width:g}"
    return text
