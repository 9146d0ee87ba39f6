"""Occlusion: windows of a sequence occluded, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import N_CODE, codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._method import Variables, check_range, run_method
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references

Fill = Literal["N", "shuffle"]


def occlusion(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    width: int = 10,
    stride: int = 5,
    fill: Fill = "N",
    n_shuffles: int = 10,
    start: int = 0,
    end: int | None = None,
    seed: int = 0,
    path: Path = "auto",
    verify: bool = False,
    batch_size: int = 256,
) -> xr.Dataset:
    """Effect of occluding each window of a sequence (Zeiler and Fergus 2014, arXiv:1311.2901).

    The effect of a window is f(x with the window occluded) - f(x): negative where the window raises the
    prediction.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    width
        Width of the windows, in bp.
    stride
        Distance between the starts of windows. A last window ends where the range ends.
    fill
        Bases of an occluded window: "N", or "shuffle": those of the same positions of dinucleotide shuffles
        of the whole sequence, the mean over `n_shuffles` of them.
    n_shuffles
        Number of shuffles.
    start, end
        Positions to occlude, 0-based, `end` not included; None is the end of the sequence.
    seed
        Of the shuffles; they also depend on the sequence, and on nothing else.
    path
        "incremental": compute only what an occluded window changes, which is exact; "full": predict every
        sequence as a whole; "auto": what is expected to be faster. The result says which it was.
    verify
        Hold a random part of the incremental predictions against full ones.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``prediction`` (sequence, target), ``occlusion_effect`` (sequence, window, target) with the
        coordinates ``window_start`` and ``window_end`` (in the sequence, 0-based, half-open), ``one_hot``.

    Raises
    ------
    VerificationError
        The incremental predictions are not those of whole sequences.
    InputError
        A window wider than the range, or another option that is none.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = occlusion(model, encode_sequences(["AAGGGA"]), width=2, stride=2)
    >>> result["occlusion_effect"].sel(target="number of G").values
    array([[ 0., -2., -1.]], dtype=float32)
    """
    sequences = as_sequences(sequences)
    start, end = check_range(start, end, sequences.sizes["position"])
    whole_number("seed", seed)
    _check_options(width, stride, fill, n_shuffles, end - start)
    starts = np.arange(start, end - width + 1, stride)
    if starts[-1] + width < end:
        starts = np.append(starts, end - width)
    windows = _Windows(starts, width, n_shuffles if fill == "shuffle" else 0, seed)

    paths = Paths(path)

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        occluded = _occluded_predictions(paths.of(member, batch), batch, windows, verify, batch_size)
        return {"occlusion_effect": (("sequence", "window", "target"), occluded - prediction[:, np.newaxis])}

    settings: dict[str, int | str | float] = {
        "width": width,
        "stride": stride,
        "fill": fill,
        "start": start,
        "end": end,
    }
    if fill == "shuffle":
        settings |= {"n_shuffles": n_shuffles, "seed": seed}
    return run_method(
        "occlusion",
        model,
        sequences,
        compute,
        settings=lambda: {**settings, **paths.settings()},
        batch_size=batch_size,
        coordinates={"window_start": ("window", starts), "window_end": ("window", starts + width)},
    )


def _check_options(width: int, stride: int, fill: str, n_shuffles: int, available: int) -> None:
    whole_number("width", width)
    if not 1 <= width <= available:
        raise InputError(f"width: expected 1 to {available}, the number of positions, got {width}")
    for name, value in (("stride", stride), ("n_shuffles", n_shuffles)):
        whole_number(name, value, least=1)
    if fill not in ("N", "shuffle"):
        raise InputError(f"fill: expected 'N' or 'shuffle', got {fill!r}")


@dataclass(frozen=True)
class _Windows:
    """Windows that are occluded by N, or by the bases of shuffles.

    Attributes
    ----------
    starts
        0-based.
    width
        In bp.
    n_shuffles
        Number of shuffles of each sequence; 0 for N.
    seed
        Of the shuffles.
    """

    starts: NDArray[np.intp]
    width: int
    n_shuffles: int
    seed: int

    @property
    def n_fills(self) -> int:
        """Number of predictions of each window."""
        return max(1, self.n_shuffles)

    def places(self, batch: Batch, numbers: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
        """Sequence, window and fill of each occluded sequence."""
        return np.unravel_index(numbers, (len(batch), len(self.starts), self.n_fills))

    def edits_of(self, batch: Batch, numbers: NDArray[np.intp]) -> Edits:
        """Occluded sequences as edits."""
        sequence, window, draw = self.places(batch, numbers)
        positions = self.starts[window][:, np.newaxis] + np.arange(self.width)
        if not self.n_shuffles:
            return Edits(sequence, positions, np.full(positions.shape, N_CODE))
        own, place = np.unique(sequence, return_inverse=True)
        shuffles = make_references(
            batch.one_hot[own], "dinucleotide_shuffle", self.n_shuffles, seed=self.seed
        )
        codes = codes_of(shuffles.reshape(-1, *shuffles.shape[2:])).reshape(shuffles.shape[:3])
        return Edits(sequence, positions, codes[place[:, np.newaxis], draw[:, np.newaxis], positions])


def _occluded_predictions(
    path: EditPath, batch: Batch, windows: _Windows, verify: bool, batch_size: int
) -> NDArray:
    """Mean predictions (sequence, window, target) over the fills of an occluded window."""
    shape = (len(batch), len(windows.starts))
    total: NDArray | None = None
    for numbers, prediction in predict_edits(
        path,
        batch,
        shape[0] * shape[1] * windows.n_fills,
        lambda numbers: windows.edits_of(batch, numbers),
        per_sequence=shape[1] * windows.n_fills,
        verify=verify,
        batch_size=batch_size,
        description="windows",
    ):
        if total is None:
            total = np.zeros((*shape, prediction.shape[1]), dtype=prediction.dtype)
        sequence, window, _ = windows.places(batch, numbers)
        np.add.at(total, (sequence, window), prediction)
    if total is None:
        return np.zeros((*shape, len(path.model.target_names)), dtype=np.float32)
    return total / total.dtype.type(windows.n_fills)
