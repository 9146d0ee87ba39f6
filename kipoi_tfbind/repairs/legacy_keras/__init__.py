"""Models that Keras 1 and Keras 2 saved, as most of Kipoi's zoo is, on today's Keras.

Three steps, a module each: `architecture` reads JSON or HDF5 into one graph of Keras 2 layers
(`keras1` translates the words of Keras 1); `graph` and `layers` build that with today's Keras;
`weights` sets the stored arrays. `load` puts them together.
"""

from kipoi_tfbind.repairs.legacy_keras.architecture import is_legacy_architecture, is_legacy_model_file
from kipoi_tfbind.repairs.legacy_keras.load import (
    is_tf_keras_archive,
    load_legacy_model,
    load_tf_keras_archive,
)

__all__ = [
    "is_legacy_architecture",
    "is_legacy_model_file",
    "is_tf_keras_archive",
    "load_legacy_model",
    "load_tf_keras_archive",
]
