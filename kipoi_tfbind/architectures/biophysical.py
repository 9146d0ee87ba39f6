"""A thermodynamic model of binding: energy matrices, chemical potentials, occupancy."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network
from kipoi_tfbind.layers import Occupancy, ReverseComplement


def biophysical(
    *,
    length: int = 200,
    n_targets: int = 1,
    kernel_size: int = 15,
    l2: float = 1e-5,
    strands: str = "tied",
) -> keras.Model:
    """Probability that a factor is bound anywhere in a window, from the energies of all its sites.

    Each target is one factor with an energy matrix (position, base), whose entries add up to the binding
    energy of a site, and a chemical potential; all are in kT. A site is occupied with the probability of
    Fermi and Dirac, the sites are independent of one another, and the window is bound unless all of them
    are free (:class:`kipoi_tfbind.layers.Occupancy`; Djordjevic et al. 2003, doi:10.1101/gr.1271603; Zhao
    et al. 2009, doi:10.1371/journal.pcbi.1000590; Granek and Clarke 2005, doi:10.1186/gb-2005-6-10-r87).
    Nothing else is learned: no cofactors, no composition. `binding_energies` reads what was learned.

    Parameters
    ----------
    length
        Window length in bp.
    n_targets
        Number of factors, each with a probability of being bound.
    kernel_size
        Width of the energy matrices in bp.
    l2
        L2 penalty on the energies.
    strands
        What is done about the two strands: see :mod:`kipoi_tfbind.architectures`. "tied" adds the sites of
        both strands up by one convolution with the energy matrix and its reverse complement, "siamese" by
        two passes: one and the same model. The others have the sites of one strand.

    Returns
    -------
    keras.Model
        One-hot `sequence` (batch, length, 4) -> `probability` (batch, n_targets). The layer `logit`
        holds the values before the sigmoid.

    Raises
    ------
    ValueError
        If the window is shorter than a site.

    Examples
    --------
    >>> biophysical(length=60, n_targets=2, kernel_size=8).count_params()
    66
    """
    if length < kernel_size:
        raise ValueError(
            f"length must be at least kernel_size={kernel_size}, that of a site. Received: length={length}"
        )
    net = Network(strands)
    penalty = keras.regularizers.L2(l2)

    def minus_energies(x: Any) -> Any:
        options: dict[str, Any] = {"padding": "valid", "use_bias": False, "kernel_regularizer": penalty}
        return net.conv(x, "motifs", n_targets, kernel_size, **options)

    sequence = keras.Input((length, 4), name="sequence")
    sites = minus_energies(sequence)
    if strands == "siamese":
        reverse = minus_energies(ReverseComplement(name="reverse_complement")(sequence))
        sites = keras.layers.Concatenate(axis=1, name="sites_of_both_strands")([sites, reverse])
    logit = Occupancy(2 if net.tied else 1, name="logit")(sites)
    return net.model(sequence, net.probability(logit), "biophysical")
