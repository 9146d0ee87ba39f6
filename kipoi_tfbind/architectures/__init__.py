"""Architectures: one function per file, each returning an uncompiled `keras.Model`.

All are written with Keras' own operations and run on TensorFlow, JAX and PyTorch. `ARCHITECTURES` has them by
name, as a training configuration names them.

`strands` says what is done about the two strands of DNA, which carry the same information in two directions
(Shrikumar et al. 2017, doi:10.1101/103663; Zhou et al. 2022, Proceedings of Machine Learning Research
165:1-33):

- "tied": every layer shares its weights with its reverse complement, both strands are pooled before the end,
  and the prediction is the same for either. `filters` are features per strand. The default;
- "siamese": a network for one strand reads both, and the mean of their log-odds is the prediction, the same
  for either strand. Twice the work of one strand;
- "augmentation": a network for one strand; in training, half the windows are reverse-complemented, drawn anew
  in each epoch. It learns the symmetry roughly; `average_strands` makes a symmetric model of it;
- "none": a network for one strand.

What would break the symmetry of tied strands (a pool that does not divide the length, a filter of even width
with padding) is refused. The
name of a model says the choice where it is not "tied" (`motif_cnn_siamese`).
"""

from collections.abc import Callable

import keras

from kipoi_tfbind.architectures.binding_energies import binding_energies
from kipoi_tfbind.architectures.biophysical import biophysical
from kipoi_tfbind.architectures.circular_cnn import circular_cnn
from kipoi_tfbind.architectures.cnn_attention import cnn_attention
from kipoi_tfbind.architectures.cnn_lstm import cnn_lstm
from kipoi_tfbind.architectures.cnn_lstm_accessibility import cnn_lstm_accessibility
from kipoi_tfbind.architectures.dilated_dense_cnn import dilated_dense_cnn
from kipoi_tfbind.architectures.dilated_residual_cnn import dilated_residual_cnn
from kipoi_tfbind.architectures.motif_cnn import motif_cnn
from kipoi_tfbind.architectures.motif_scan import motif_scan
from kipoi_tfbind.architectures.profile_cnn import profile_cnn

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    function.__name__: function
    for function in (
        motif_cnn,
        dilated_residual_cnn,
        dilated_dense_cnn,
        cnn_lstm,
        cnn_lstm_accessibility,
        cnn_attention,
        circular_cnn,
        biophysical,
        motif_scan,
        profile_cnn,
    )
}

__all__ = [
    "ARCHITECTURES",
    "binding_energies",
    "biophysical",
    "circular_cnn",
    "cnn_attention",
    "cnn_lstm",
    "cnn_lstm_accessibility",
    "dilated_dense_cnn",
    "dilated_residual_cnn",
    "motif_cnn",
    "motif_scan",
    "profile_cnn",
]
