"""The one convention that every reverse-complement (RC) layer shares.

A feature map with C channels holds C / 2 features of the forward strand, then the same features of
the reverse strand in reversed order, so that reverse-complementing the input flips the map along
both axes::

    F(RC x)[l, c] = F(x)[L - 1 - l, C - 1 - c]

A one-hot sequence in the order A C G T follows the same law, which is why the first layer needs no
special case.
"""

from __future__ import annotations

import keras


def mirror(half):
    """Tie the two strands of a per-channel vector: ``(features,) -> (2 * features,)``."""
    return keras.ops.concatenate([half, keras.ops.flip(half, axis=-1)], axis=-1)


def n_features(channels: int | None, layer: str) -> int:
    """Return the number of features per strand, or raise where a map cannot hold two strands."""
    if channels is None or channels % 2:
        raise ValueError(
            f"{layer} needs an even number of channels, half for each strand. Received: channels={channels}"
        )
    return channels // 2
