"""Pictures to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from kipoi_tfbind import __version__
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import whole_file

_FORMATS = (".png", ".svg", ".pdf")
# Text stays text: a journal, or the author, can still edit it.
_EDITABLE_TEXT: Any = {"pdf.fonttype": 42, "svg.fonttype": "none"}


def check_format(path: str | os.PathLike[str]) -> None:
    """Check that a file name has the suffix of a picture format.

    Raises
    ------
    InputError
        It has another suffix, or none.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in _FORMATS:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(_FORMATS)}; got {suffix or 'no suffix'!r}"
        )


def save_plot(axes: Axes, path: str | os.PathLike[str], *, dpi: int = 200) -> None:
    """Write the figure of a plot to a PNG, SVG or PDF file, whole or not at all.

    Parameters
    ----------
    axes
        Axes that a plot function returned.
    path
        Name of the file; its suffix says the format.
    dpi
        Resolution of a PNG, in dots per inch.

    Raises
    ------
    InputError
        The suffix is of no format that can be written, or the file cannot be written there.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis, plot_logo
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> path = getfixture("tmp_path") / "logo.png"
    >>> save_plot(plot_logo(in_silico_mutagenesis(model, encode_sequences(["AGGA"]))), path, dpi=50)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    check_format(path)
    figure = axes.get_figure(root=True)
    if figure is None:
        raise InputError("axes: belong to no figure any more; draw the plot again")
    with whole_file(path) as partial, mpl.rc_context(_EDITABLE_TEXT):
        # By this name it is known that a later run may replace the file.
        key = "Software" if Path(path).suffix.lower() == ".png" else "Creator"
        name = {key: f"kipoi_tfbind {__version__}"}
        figure.savefig(partial, dpi=dpi, bbox_inches="tight", facecolor="white", metadata=name)
