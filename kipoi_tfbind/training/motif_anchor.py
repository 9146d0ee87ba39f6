"""First filters that start as motifs, and how far training may move them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.layers import RevCompConv1D
from kipoi_tfbind.training.motif_filters import set_motif_filters


def start_from_motifs(model: keras.Model, matrix_ids: Sequence[str], anchor: float = 0.0) -> None:
    """Set the first filters of the layer `motifs` to JASPAR motifs, on both strands unless it ties them.

    Parameters
    ----------
    matrix_ids
        JASPAR ids with their versions; nothing is done where there are none.
    anchor
        Weight of a penalty on the squared distance of these filters from the motifs, in nats^2: 0 lets
        training move them freely, infinity not at all. It is of training alone, no part of a saved model.

    Raises
    ------
    InputError
        There are more motifs than filters, JASPAR has no such matrix, or there is an anchor in a layer that
        is not trained.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((50, 4)), RevCompConv1D(8, 19, name="motifs")])
    >>> start_from_motifs(model, ["MA0139.1"], anchor=0.1)  # CTCF
    >>> float(model.losses[0])
    0.0
    """
    if not matrix_ids:
        return
    layer = model.get_layer("motifs")
    both = not isinstance(layer, RevCompConv1D)
    kernel = layer.kernel
    kernel.assign(set_motif_filters(ops.convert_to_numpy(kernel), matrix_ids, both))
    if not anchor:
        return
    if not layer.trainable:
        raise InputError("motif_anchor: the filters of this architecture are not trained; leave it out")
    motifs = ops.convert_to_numpy(kernel)[..., : len(matrix_ids) * (2 if both else 1)]
    if np.isinf(anchor):
        kernel.constraint = FixedFilters(motifs)
    else:
        kernel.regularizer = AnchoredFilters(motifs, anchor, kernel.regularizer)


class AnchoredFilters(keras.regularizers.Regularizer):
    """L2 penalty on the distance of the first filters of a kernel from given ones.

    Parameters
    ----------
    motifs
        (width, base, filter).
    weight
        Of the sum of squared differences.
    other
        Penalty on the kernel that this one is added to, if any.

    Examples
    --------
    >>> float(AnchoredFilters(np.zeros((1, 4, 1), np.float32), 0.5)(np.ones((1, 4, 3), np.float32)))
    2.0
    """

    def __init__(self, motifs: NDArray, weight: float, other: Callable[[Any], Any] | None = None) -> None:
        self.motifs, self.weight, self.other = motifs, weight, other

    def __call__(self, kernel: Any) -> Any:
        """Penalty of a kernel (width, base, filter), a scalar."""
        away = ops.subtract(kernel[..., : self.motifs.shape[-1]], self.motifs)
        penalty = self.weight * ops.sum(ops.square(away))
        return penalty if self.other is None else penalty + self.other(kernel)


class FixedFilters(keras.constraints.Constraint):
    """Sets the first filters of a kernel back to given ones (width, base, filter), after every step.

    Examples
    --------
    >>> FixedFilters(np.zeros((1, 4, 1)))(np.ones((1, 4, 2)))[0, 0].numpy().tolist()
    [0.0, 1.0]
    """

    def __init__(self, motifs: NDArray) -> None:
        self.motifs = motifs

    def __call__(self, kernel: Any) -> Any:
        """Kernel with the given filters first."""
        return ops.concatenate([self.motifs, kernel[..., self.motifs.shape[-1] :]], axis=-1)
