"""What a biophysical model has learned, in kT."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


def binding_energies(model: keras.Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy matrices and chemical potentials of a model made by `biophysical`.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    energy
        (target, position, base) in kT: that of the best base of a position is 0, so that the entries are
        those of substitutions in the consensus.
    chemical_potential
        (target,) in kT, relative to the consensus: at 0, a consensus site is occupied half the time.

    Examples
    --------
    >>> from kipoi_tfbind.architectures import biophysical
    >>> energy, chemical_potential = binding_energies(biophysical(length=60, n_targets=2, kernel_size=8))
    >>> energy.shape, float(energy.min()), chemical_potential.shape
    ((2, 8, 4), 0.0, (2,))
    """
    kernel = np.moveaxis(ops.convert_to_numpy(model.get_layer("motifs").kernel).astype(np.float64), -1, 0)
    best = kernel.max(axis=2)
    learned = ops.convert_to_numpy(model.get_layer("logit").chemical_potential).astype(np.float64)
    return best[..., np.newaxis] - kernel, learned + best.sum(axis=1)
