"""Layers of an architecture by its choice of strands, and the ends that all architectures share.

Every layer is made once, by its name: a siamese network calls its body on both strands, which thereby share
their weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kipoi_tfbind.layers import (
    BothStrands,
    BoundedExponential,
    Composition,
    RevCompBatchNormalization,
    RevCompConcatenate,
    RevCompConv1D,
    RevCompDense,
    RevCompResidualBlock,
    ReverseComplement,
    StrandPool,
)

STRANDS = ("none", "augmentation", "siamese", "tied")


class Network:
    """Maker of the layers of one network.

    Parameters
    ----------
    strands
        "tied": feature maps are RC-equivariant (the convention is in :mod:`kipoi_tfbind.layers`). Otherwise
        the layers are those of Keras, for one strand: read alone ("none", and "augmentation", which differs
        in training only), or on both strands ("siamese").

    Raises
    ------
    ValueError
        If `strands` is none of these.

    Examples
    --------
    >>> Network("siamese").tied
    False
    """

    def __init__(self, strands: str):
        if strands not in STRANDS:
            raise ValueError(f"strands must be one of {', '.join(STRANDS)}. Received: strands={strands!r}")
        self.strands = strands
        self._layers: dict[str, Any] = {}

    @property
    def tied(self) -> bool:
        """Whether the layers are tied to their reverse complements."""
        return self.strands == "tied"

    def make(self, kind: Callable[..., Any], name: str, *args: Any, **options: Any) -> Any:
        """Return the layer of this name, made at the first call."""
        if name not in self._layers:
            self._layers[name] = kind(*args, name=name, **options)
        return self._layers[name]

    def conv(self, x: Any, name: str, filters: int, width: int, **options: Any) -> Any:
        """Convolution; `filters` per strand."""
        kind = RevCompConv1D if self.tied else keras.layers.Conv1D
        return self.make(kind, name, filters, width, **({"padding": "same"} | options))(x)

    def norm(self, x: Any, name: str) -> Any:
        """Batch normalisation of a map."""
        return self.make(RevCompBatchNormalization if self.tied else keras.layers.BatchNormalization, name)(x)

    def activation(self, x: Any, name: str, kind: str, bound: float | None = None) -> Any:
        """Activation by its name; an exponential may have a bound."""
        if bound is None:
            return self.make(keras.layers.Activation, name, kind)(x)
        if kind != "exponential":
            raise ValueError(
                f"exponential_bound belongs to activation='exponential'. Received: activation={kind!r}"
            )
        return self.make(BoundedExponential, name, bound)(x)

    def residual_block(self, x: Any, name: str, width: int, rate: int, dropout: float) -> Any:
        """Dilated residual block; see :class:`kipoi_tfbind.layers.RevCompResidualBlock`."""
        if self.tied:
            return self.make(RevCompResidualBlock, name, width, dilation_rate=rate, dropout=dropout)(x)
        filters, branch = x.shape[-1], x
        convolutions: list[tuple[int, dict[str, Any]]] = [
            (width, {"dilation_rate": rate, "use_bias": False, "kernel_initializer": "he_normal"}),
            (1, {"kernel_initializer": "zeros"}),
        ]
        for number, (kernel, options) in enumerate(convolutions, 1):
            branch = self.norm(branch, f"{name}_norm_{number}")
            branch = self.activation(branch, f"{name}_relu_{number}", "relu")
            branch = self.conv(branch, f"{name}_conv_{number}", filters, kernel, **options)
        branch = self.dropout(branch, f"{name}_dropout", dropout)
        return self.make(keras.layers.Add, f"{name}_sum")([x, branch])

    def dropout(self, x: Any, name: str, rate: float) -> Any:
        """Dropout of single units."""
        return self.make(keras.layers.Dropout, name, rate)(x)

    def both(self, x: Any, name: str, kind: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Any layer from positions to positions; tied by running it on both strands."""
        if not self.tied:
            return self.make(kind, name, *args, **options)(x)
        return self.make(lambda name: BothStrands(kind(*args, **options), name=name), name)(x)

    def concatenate(self, maps: list[Any], name: str) -> Any:
        """Maps side by side."""
        return self.make(RevCompConcatenate if self.tied else keras.layers.Concatenate, name)(maps)

    def pool_strands(self, x: Any, name: str, mode: str) -> Any:
        """One value per feature, of both strands; nothing is to be done where there is one strand."""
        return self.make(StrandPool, name, mode)(x) if self.tied else x

    def pool_positions(self, x: Any, name: str, modes: tuple[str, ...] = ("max", "mean")) -> Any:
        """Maximum and mean over the positions, and over the strands, side by side."""
        pools = {"max": keras.layers.GlobalMaxPooling1D, "mean": keras.layers.GlobalAveragePooling1D}
        pooled = [
            self.pool_strands(self.make(pools[mode], f"{name}_{mode}")(x), f"strand_{mode}", mode)
            for mode in modes
        ]
        return pooled[0] if len(pooled) == 1 else self.make(keras.layers.Concatenate, f"{name}_pool")(pooled)

    def dense(self, x: Any, name: str, units: int, **options: Any) -> Any:
        """Dense layer on all positions of a map; the same for both strands where it is tied."""
        if self.tied:
            return self.make(RevCompDense, name, units, **options)(x)
        return self.make(keras.layers.Dense, name, units, **options)(
            self.make(keras.layers.Flatten, f"{name}_flat")(x)
        )

    def beside_composition(self, features: Any, sequence: Any) -> Any:
        """Features with the window's GC and CpG content, normalised, beside them."""
        content = self.make(Composition, "composition")(sequence)
        content = self.make(keras.layers.BatchNormalization, "composition_norm")(content)
        return self.make(keras.layers.Concatenate, "with_composition")([features, content])

    def over_strands(self, body: Callable[..., Any], sequence: Any, *tracks: Any) -> Any:
        """Features of the body; of a siamese network, their mean over both strands.

        The mean of the features before a linear layer is the mean of the log-odds after it.
        """
        if self.strands != "siamese":
            return body(sequence, *tracks)
        turned = [ReverseComplement(name="reverse_complement")(sequence)]
        turned += [ReverseComplement(channels=False, name=f"reverse_{track.name}")(track) for track in tracks]
        return keras.layers.Average(name="strand_average")([body(sequence, *tracks), body(*turned)])

    def check_pooling(self, length: int, pool_size: int, what: str = "length") -> None:
        """Refuse a pool that would see the two strands differently.

        Raises
        ------
        ValueError
            The network is tied and the pool does not divide the length: what is left over lies at one end.
        """
        if self.tied and length % pool_size:
            raise ValueError(
                f"{what} must be a multiple of pool_size={pool_size} with strands='tied', or pooling sees "
                f"the two strands differently. Received: {what}={length}"
            )

    def model(self, inputs: Any, outputs: Any, name: str) -> keras.Model:
        """Return the model; its name says the strands, where they are not tied."""
        return keras.Model(inputs, outputs, name=name if self.tied else f"{name}_{self.strands}")

    def probability(self, logit: Any) -> Any:
        """Sigmoid of the log-odds."""
        return keras.layers.Activation("sigmoid", name="probability")(logit)
