"""Layer descriptions of Keras 1 in the words of Keras 2: other names for the same layers and arguments."""

from __future__ import annotations

from typing import Any

from kipoi_tfbind.errors import UnsupportedModelError

Config = dict[str, Any]

_CLASS_NAMES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "SeparableConvolution2D": "SeparableConv2D",
    # Dense works on the last axis of any array since Keras 2.
    "TimeDistributedDense": "Dense",
}
_MERGE_CLASSES = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
_ARGUMENT_NAMES = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "input_dtype": "dtype",
    "length": "size",
    "nb_filter": "filters",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": None}
# What only training needs, and how Theano or TensorFlow was to compute it.
_DROPPED = {
    "U_regularizer", "W_constraint", "W_regularizer", "b_constraint", "b_regularizer", "beta_init",
    "beta_regularizer", "consume_less", "dropout_U", "dropout_W", "forget_bias_init", "gamma_init",
    "gamma_regularizer", "init", "inner_init", "input_length", "weights",
}  # fmt: skip
# Layers whose description is left for others to read: they hold no argument of the lists above.
_NOT_CONVERTIBLE = {
    "Deconvolution2D": "a transposed convolution with a fixed output shape",
    "Graph": "the Graph model of Keras 0",
    "Highway": "a layer that Keras 2 removed",
    "MaxoutDense": "a layer that Keras 2 removed",
    "ParametricSoftplus": "a layer that Keras 2 removed",
    "SReLU": "a layer that Keras 2 removed",
}


def translate(class_name: str, config: Config) -> tuple[str, Config]:
    """Give the Keras 2 name and arguments of a Keras 1 layer.

    Parameters
    ----------
    class_name, config
        As Keras 1 wrote them.

    Returns
    -------
    class_name, config
        As Keras 2 writes them. `config` is a copy, and what only training needs is left out. A layer
        that Keras 1 did not have (a custom one) comes back as it is.

    Raises
    ------
    UnsupportedModelError
        Keras 2 has no such layer, or not this mode of it.

    Examples
    --------
    >>> translate("Convolution1D", {"nb_filter": 8, "filter_length": 5, "border_mode": "same"})
    ('Conv1D', {'filters': 8, 'kernel_size': 5, 'padding': 'same'})
    """
    if class_name in _NOT_CONVERTIBLE:
        raise UnsupportedModelError(f"{_NOT_CONVERTIBLE[class_name]} has no counterpart in today's Keras")
    if class_name == "Merge":
        return _translate_merge(config)
    if class_name not in KERAS_1_LAYERS:
        return class_name, dict(config)
    config = {key: value for key, value in config.items() if key not in _DROPPED}
    if class_name == "BatchNormalization" and config.pop("mode", 0) == 1:
        raise UnsupportedModelError("mode 1 (each sample normalised by itself) has no counterpart")
    if "nb_row" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    if "kernel_dim1" in config:
        config["kernel_size"] = [config.pop(f"kernel_dim{axis}") for axis in (1, 2, 3)]
    if class_name != "Embedding":
        config.pop("input_dim", None)
        if "output_dim" in config:
            config["units"] = config.pop("output_dim")
    config = {_ARGUMENT_NAMES.get(key, key): value for key, value in config.items()}
    if config.get("data_format") in _DATA_FORMATS:
        config["data_format"] = _DATA_FORMATS[config["data_format"]]
    return _CLASS_NAMES.get(class_name, class_name), config


def _translate_merge(config: Config) -> tuple[str, Config]:
    mode = config.get("mode", "sum")
    if config.get("mode_type", "raw") != "raw" or mode not in _MERGE_CLASSES:
        what = repr(mode) if config.get("mode_type", "raw") == "raw" else "a Python function"
        raise UnsupportedModelError(
            f"expected a merge mode of {', '.join(sorted(_MERGE_CLASSES))}, got {what}"
        )
    translated: Config = {"name": config.get("name")}
    if mode == "concat":
        translated["axis"] = config.get("concat_axis", -1)
    return _MERGE_CLASSES[mode], translated


KERAS_1_LAYERS = {
    *_CLASS_NAMES, "Activation", "ActivityRegularization", "AveragePooling1D", "AveragePooling2D",
    "AveragePooling3D", "BatchNormalization", "Bidirectional", "Cropping1D", "Cropping2D", "Cropping3D",
    "Dense", "Dropout", "ELU", "Embedding", "Flatten", "GRU", "GaussianDropout", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "InputLayer", "LSTM", "LeakyReLU", "LocallyConnected1D",
    "LocallyConnected2D", "Masking", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "PReLU", "Permute",
    "RepeatVector", "Reshape", "SimpleRNN", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "ThresholdedReLU", "TimeDistributed", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D",
    "ZeroPadding2D", "ZeroPadding3D",
}  # fmt: skip
