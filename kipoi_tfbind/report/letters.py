"""The four letters as outlines, for logos that the page draws itself and for logos in tables."""

from __future__ import annotations

from functools import cache

import numpy as np
from markupsafe import Markup
from matplotlib.path import Path
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.motifs.match import information
from kipoi_tfbind.plot.logo import letter_outline

_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
_COLUMN, _BIT = 12, 20.0  # pixels of a logo in a table: width of a column, height of a bit
_BITS = 2  # of a column, at most
_LEAST = 0.02  # bits; a lower letter is less than a line


@cache
def outlines() -> dict[str, str]:
    """Base -> its letter as an SVG path that fills the square from (0, 0) to (1, 1), y downwards.

    Examples
    --------
    >>> sorted(outlines())
    ['A', 'C', 'G', 'T']
    >>> outlines()["T"].startswith("M")
    True
    """
    return {base: _outline(base) for base in BASES}


def _outline(letter: str) -> str:
    words = []
    for points, code in letter_outline(letter).iter_segments(curves=True, simplify=False):
        # Of the end of an outline, the point says nothing.
        pairs = np.asarray(points).reshape(-1, 2) if code != Path.CLOSEPOLY else np.empty((0, 2))
        words.append(_COMMANDS[code] + " ".join(f"{x:.3f} {1 - y:.3f}" for x, y in pairs))
    return "".join(words)


def symbols() -> Markup:
    """An SVG, not shown, that defines each letter; the logos of the page use them."""
    defined = "".join(
        f'<symbol id="letter-{base}" viewBox="0 0 1 1" preserveAspectRatio="none"><path d="{path}"/></symbol>'
        for base, path in outlines().items()
    )
    return Markup(f'<svg width="0" height="0" class="symbols" aria-hidden="true">{defined}</svg>')


def motif_logo(
    matrix: NDArray[np.float64],
    known: NDArray[np.float64] | None = None,
    offset: int = 0,
    *,
    name: str,
    is_sure: bool = True,
) -> Markup:
    """Logo of a motif in bits, as SVG, with that of a known motif beneath it.

    Parameters
    ----------
    matrix
        (column, base); probabilities.
    known
        The same of a known motif, in the orientation in which it is alike.
    offset
        Column of the motif at which the known one begins.
    name
        Description for those who do not see it.
    is_sure
        A known motif is pale where its likeness may be by chance.
    """
    first = min(0, offset) if known is not None else 0
    columns = max(len(matrix), offset + len(known) if known is not None else 0) - first
    height = _BITS * _BIT
    parts = [_letters(matrix, -first, height)]
    if known is not None:
        style = "" if is_sure else ' opacity="0.4"'
        parts.append(f"<g{style}>{_letters(known, offset - first, 2 * height + 4)}</g>")
        height = 2 * height + 4
    width = columns * _COLUMN
    label = Markup.escape(name)
    return Markup(
        f'<svg class="logo" role="img" aria-label="{label}" viewBox="0 0 {width} {height:g}" width="{width}" '
        f'height="{height:g}">{"".join(parts)}</svg>'
    )


def _letters(matrix: NDArray[np.float64], first: int, floor: float) -> str:
    """Stacks of letters that stand on a line, the most probable on top."""
    words = [f'<path class="line" d="M{first * _COLUMN} {floor:g}h{len(matrix) * _COLUMN}"/>']
    for column, (row, bits) in enumerate(zip(matrix, information(matrix), strict=True)):
        y = floor
        for base in np.argsort(row, kind="stable"):
            height = float(row[base] * bits)
            if height > _LEAST:
                y -= height * _BIT
                x = (first + column) * _COLUMN
                words.append(
                    f'<use href="#letter-{BASES[base]}" class="{BASES[base]}" x="{x + 0.5:g}" y="{y:.1f}" '
                    f'width="{_COLUMN - 1}" height="{height * _BIT:.1f}"/>'
                )
    return "".join(words)
