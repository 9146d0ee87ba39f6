from __future__ import annotations

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class Occupancy(keras.layers.Layer):
    """Log-odds that a sequence is bound somewhere, from the binding energies of all its sites.

    In equilibrium, a site of energy E (in kT) is occupied with probability 1 / (1 + exp(E - mu)), mu being
    the chemical potential of the factor. The sites are taken to be independent, so that the sequence is
    free with the product of their probabilities of being free: `log(expm1(sum of softplus(mu - E)))`
    are the log-odds of the opposite, computed without overflow.

    The chemical potential is learned as `bias + constant`, the constant being minus the logarithm of the
    number of sites: at energies of zero, where all sites are weak, the log-odds are about the bias.

    Example:

    >>> import numpy as np
    >>> energies = np.array([[[1.0], [3.0]]])  # of two sites, in kT
    >>> layer = Occupancy(dtype="float64")
    >>> log_odds = np.array(layer(-energies))
    >>> mu = float(layer.chemical_potential.numpy()[0])
    >>> free = np.prod(1 - 1 / (1 + np.exp(energies - mu)))
    >>> bool(np.allclose(log_odds, np.log((1 - free) / free)))
    True

    Args:
        n_strands: Integer, 1, or 2 for an RC feature map, whose twins are sites of the same factor on
            the two strands.

    Input shape:
        `(batch, sites, n_strands * factors)`: minus the energies, in kT.

    Output shape:
        `(batch, factors)`.

    Raises:
        ValueError: if `n_strands` is neither 1 nor 2, or the number of sites is not fixed.

    Reference:
        Djordjevic, Sengupta and Shraiman 2003, doi:10.1101/gr.1271603 (occupancy by energy and chemical
        potential); Granek and Clarke 2005, doi:10.1186/gb-2005-6-10-r87 (a sequence of several sites).
    """

    def __init__(self, n_strands: int = 1, **kwargs):
        super().__init__(**kwargs)
        if n_strands not in (1, 2):
            raise ValueError(f"`n_strands` must be 1 or 2. Received: n_strands={n_strands}")
        self.n_strands = n_strands

    def build(self, input_shape):
        if input_shape[1] is None or input_shape[-1] % self.n_strands:
            raise ValueError(
                f"Occupancy needs a fixed number of sites, and channels for {self.n_strands} strands. "
                f"Received: input_shape={input_shape}"
            )
        self._log_sites = math.log(input_shape[1] * self.n_strands)
        self.bias = self.add_weight(
            name="bias", shape=(input_shape[-1] // self.n_strands,), initializer="zeros"
        )

    @property
    def chemical_potential(self):
        """The chemical potential of each factor in kT, on the scale of the energies."""
        return ops.convert_to_tensor(self.bias) - self._log_sites

    def call(self, inputs):
        mu = ops.cast(self.chemical_potential, inputs.dtype)
        if self.n_strands == 2:
            mu = ops.concatenate([mu, ops.flip(mu, axis=-1)], axis=-1)
        # Of each site, minus the logarithm of its probability of being free.
        total = ops.sum(ops.softplus(inputs + mu), axis=1)
        if self.n_strands == 2:
            n = total.shape[-1] // 2
            total = total[:, :n] + ops.flip(total[:, n:], axis=-1)
        # Energies of a hundred kT round to nothing; their logarithm would be minus infinity.
        total = ops.maximum(total, 1e-30)
        return total + ops.log(-ops.expm1(-total))

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[-1] // self.n_strands

    def get_config(self):
        return super().get_config() | {"n_strands": self.n_strands}
