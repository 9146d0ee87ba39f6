"""One layer of Keras 2 as a layer of today's Keras that computes the same prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.repairs.legacy_keras.architecture import valid_name
from kipoi_tfbind.repairs.legacy_keras.concise_layers import LAYERS, ConvSequence
from kipoi_tfbind.repairs.legacy_keras.keras1 import Config

_CONVOLUTION = ("filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias")
_DEPTHWISE = (
    "kernel_size",
    "strides",
    "padding",
    "dilation_rate",
    "depth_multiplier",
    "activation",
    "use_bias",
)
_POOLING = ("pool_size", "strides", "padding")
_RECURRENT = ("units", "activation", "use_bias", "return_sequences", "return_state", "go_backwards", "unroll")

# The arguments that a prediction depends on, of every layer that is converted.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "ActivityRegularization": (),
    "Add": (),
    "AlphaDropout": ("rate",),
    "Average": (),
    "AveragePooling1D": (*_POOLING, "data_format"),
    "AveragePooling2D": (*_POOLING, "data_format"),
    "AveragePooling3D": (*_POOLING, "data_format"),
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Bidirectional": ("merge_mode", "layer", "backward_layer"),
    "Concatenate": ("axis",),
    "Conv1D": (*_CONVOLUTION, "data_format", "groups"),
    "Conv1DTranspose": (*_CONVOLUTION, "data_format", "output_padding"),
    "Conv2D": (*_CONVOLUTION, "data_format", "groups"),
    "Conv2DTranspose": (*_CONVOLUTION, "data_format", "output_padding"),
    "Conv3D": (*_CONVOLUTION, "data_format", "groups"),
    "Cropping1D": ("cropping",),
    "Cropping2D": ("cropping", "data_format"),
    "Cropping3D": ("cropping", "data_format"),
    "CuDNNGRU": _RECURRENT,
    "CuDNNLSTM": _RECURRENT,
    "Dense": ("units", "activation", "use_bias"),
    "DepthwiseConv1D": (*_DEPTHWISE, "data_format"),
    "DepthwiseConv2D": (*_DEPTHWISE, "data_format"),
    "Dot": ("axes", "normalize"),
    "Dropout": ("rate",),
    "ELU": ("alpha",),
    "Embedding": ("input_dim", "output_dim", "mask_zero"),
    "Flatten": ("data_format",),
    "GRU": (*_RECURRENT, "recurrent_activation", "reset_after"),
    "GaussianDropout": ("rate",),
    "GaussianNoise": ("stddev",),
    "GlobalAveragePooling1D": ("data_format", "keepdims"),
    "GlobalAveragePooling2D": ("data_format", "keepdims"),
    "GlobalAveragePooling3D": ("data_format", "keepdims"),
    "GlobalMaxPooling1D": ("data_format", "keepdims"),
    "GlobalMaxPooling2D": ("data_format", "keepdims"),
    "GlobalMaxPooling3D": ("data_format", "keepdims"),
    "LSTM": (*_RECURRENT, "recurrent_activation"),
    "LayerNormalization": ("axis", "epsilon", "center", "scale"),
    "LeakyReLU": ("alpha",),
    "Masking": ("mask_value",),
    "MaxPooling1D": (*_POOLING, "data_format"),
    "MaxPooling2D": (*_POOLING, "data_format"),
    "MaxPooling3D": (*_POOLING, "data_format"),
    "Maximum": (),
    "Minimum": (),
    "Multiply": (),
    "PReLU": ("shared_axes",),
    "Permute": ("dims",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "RepeatVector": ("n",),
    "Reshape": ("target_shape",),
    "SeparableConv1D": (*_CONVOLUTION, "data_format", "depth_multiplier"),
    "SeparableConv2D": (*_CONVOLUTION, "data_format", "depth_multiplier"),
    "SimpleRNN": _RECURRENT,
    "Softmax": ("axis",),
    "SpatialDropout1D": ("rate",),
    "SpatialDropout2D": ("rate", "data_format"),
    "SpatialDropout3D": ("rate", "data_format"),
    "Subtract": (),
    "ThresholdedReLU": ("theta",),
    "UpSampling1D": ("size",),
    "UpSampling2D": ("size", "data_format", "interpolation"),
    "UpSampling3D": ("size", "data_format"),
    "ZeroPadding1D": ("padding",),
    "ZeroPadding2D": ("padding", "data_format"),
    "ZeroPadding3D": ("padding", "data_format"),
}
# What only training needs, what says of the input what is known already, how it is computed.
_WITHOUT_EFFECT = {
    "batch_input_shape", "batch_shape", "build_config", "dropout", "dtype", "implementation",
    "input_dim", "input_dtype", "input_length", "input_shape", "l1", "l2", "module", "momentum", "name",
    "noise_shape", "ragged", "recurrent_dropout", "registered_name", "renorm", "renorm_clipping",
    "renorm_momentum", "reset_after", "seed", "sparse", "supports_masking", "trainable",
    "unit_forget_bias", "virtual_batch_size", "zero_output_for_mask",
}  # fmt: skip
_TRAINING_SUFFIXES = ("_initializer", "_regularizer", "_constraint")
_CUDNN = {"CuDNNGRU": "GRU", "CuDNNLSTM": "LSTM"}
# Layers that hold Python code: to load them is to run it.
_PYTHON_CODE = {"Lambda"}


@keras.saving.register_keras_serializable(package="kipoi_tfbind", name="keras_2_hard_sigmoid")
def keras_2_hard_sigmoid(x: Any) -> Any:
    """Return 0.2 x + 0.5, cut at 0 and 1: the hard sigmoid of Keras 1 and 2; that of Keras 3 has slope 1/6.

    Examples
    --------
    >>> import numpy as np
    >>> np.asarray(keras_2_hard_sigmoid(np.array([-3.0, 1.0, 3.0])))
    array([0. , 0.7, 1. ])
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


class LayerMaker:
    """Makes layers of today's Keras from descriptions in the words of Keras 2.

    Parameters
    ----------
    custom_objects
        Layer classes and activation functions by the names that the descriptions have for them.
    data_format
        "channels_last" or "channels_first", for layers that do not say.
    theano
        Whether Theano computed the predictions: it aligns some windows otherwise, and they are refused.
    """

    def __init__(
        self, custom_objects: Mapping[str, Any], data_format: str = "channels_last", theano: bool = False
    ) -> None:
        self.custom_objects = custom_objects
        self.data_format = data_format
        self.theano = theano

    def __call__(self, entry: Config) -> Any:
        """Make the layer of a description with `class_name`, `name` and `config`.

        Raises
        ------
        UnsupportedModelError
            Today's Keras has no layer that computes the same.
        """
        class_name, config = entry["class_name"], entry["config"]
        custom = self._custom(class_name)
        if custom is ConvSequence:
            class_name, config = "Conv1D", {key: config[key] for key in config if key != "seq_length"}
        elif custom is not None:
            return self._make_custom(custom, entry)
        if class_name in _PYTHON_CODE:
            raise UnsupportedModelError(
                "it holds compiled Python code of an earlier Python, which cannot be read"
            )
        if class_name not in _ARGUMENTS:
            raise UnsupportedModelError("no layer of this name is known; is it missing in custom_objects?")
        self._refuse_unknown_arguments(class_name, config)
        arguments = {key: config[key] for key in _ARGUMENTS[class_name] if config.get(key) is not None}
        if class_name == "Bidirectional":
            arguments["merge_mode"] = config.get("merge_mode")
            for key in {"layer", "backward_layer"} & arguments.keys():
                arguments[key] = self(arguments[key])
        for key in {"activation", "recurrent_activation"} & arguments.keys():
            arguments[key] = self._activation(arguments[key])
        if "data_format" in _ARGUMENTS[class_name] and class_name != "Flatten":
            arguments.setdefault("data_format", self.data_format)
        if self.theano:
            _refuse_windows_of_theano(class_name, arguments)
        class_name, arguments = _adapt(class_name, arguments, config)
        # Numbers in a list come as JSON wrote them; the layers' own defaults are tuples.
        arguments = {
            key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()
        }
        name = valid_name(entry["name"]) if entry["name"] else None
        try:
            layer = getattr(keras.layers, class_name)(**arguments, name=name)
        except (TypeError, ValueError) as error:
            raise UnsupportedModelError(" ".join(str(error).split())) from error
        # It decides on the order in which the weights of nested models are stored.
        layer.trainable = bool(config.get("trainable", True))
        return layer

    def _custom(self, class_name: str) -> Any:
        # A class registered under a package is written as package>name.
        for name in (class_name, class_name.rsplit(">", 1)[-1]):
            if name in self.custom_objects:
                return self.custom_objects[name]
        return keras.saving.get_registered_object(class_name) or LAYERS.get(class_name)

    def _make_custom(self, layer_class: Any, entry: Config) -> Any:
        config = {
            key: value
            for key, value in entry["config"].items()
            if key not in {"batch_input_shape", "input_dtype"}
        }
        try:
            with keras.saving.custom_object_scope(dict(self.custom_objects)):
                return layer_class.from_config(config)
        except Exception as error:  # the code is somebody else's, and so is the choice of exception
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UnsupportedModelError(
                f"the custom layer does not run on Keras {keras.__version__} ({reason})"
            ) from error

    def _activation(self, activation: Any) -> Any:
        if isinstance(activation, dict):
            activation = (
                activation.get("config")
                if isinstance(activation.get("config"), str)
                else activation["class_name"]
            )
        if activation in self.custom_objects:
            return self.custom_objects[activation]
        if activation == "hard_sigmoid":
            return keras_2_hard_sigmoid
        try:
            return keras.activations.get(activation)
        except ValueError:
            raise UnsupportedModelError(
                f"no activation named {activation!r} is known; is it missing in custom_objects?"
            ) from None

    @staticmethod
    def _refuse_unknown_arguments(class_name: str, config: Config) -> None:
        for key, value in config.items():
            known = (
                key in _ARGUMENTS[class_name] or key in _WITHOUT_EFFECT or key.endswith(_TRAINING_SUFFIXES)
            )
            # An argument that is off or not given changes nothing.
            if not known and value not in (None, False, [], {}) and not _is_default(class_name, key, value):
                raise UnsupportedModelError(
                    f"the argument {key}={value!r} has no counterpart in Keras {keras.__version__}"
                )


def _is_default(class_name: str, key: str, value: Any) -> bool:
    """Arguments that every file has, with the value that means nothing special."""
    return (key, value) in {("data_format", "channels_last"), ("groups", 1), ("interpolation", "nearest")}


def _adapt(class_name: str, arguments: Config, config: Config) -> tuple[str, Config]:
    """Change what today's Keras names or means otherwise."""
    if class_name in _CUDNN:
        arguments["recurrent_activation"] = "sigmoid"
        class_name = _CUDNN[class_name]
        if class_name == "GRU":
            arguments["reset_after"] = True
    elif class_name == "GRU":
        # Keras 2 came to know the other order, and Keras 3 made it the default.
        arguments["reset_after"] = bool(config.get("reset_after", False))
    elif class_name == "LeakyReLU":
        arguments["negative_slope"] = arguments.pop("alpha", 0.3)
    elif class_name == "ThresholdedReLU":
        return "ReLU", {"threshold": arguments.get("theta", 1.0)}
    elif class_name == "BatchNormalization" and isinstance(arguments.get("axis"), list):
        if len(arguments["axis"]) != 1:
            raise UnsupportedModelError(f"expected one axis to normalise, got {arguments['axis']}")
        arguments["axis"] = arguments["axis"][0]
    if class_name in ("GRU", "LSTM"):
        arguments.setdefault("recurrent_activation", keras_2_hard_sigmoid)
    return class_name, arguments


def _refuse_windows_of_theano(class_name: str, arguments: Config) -> None:
    """Refuse a padding that Theano puts elsewhere than TensorFlow does, and kernels of unknown direction."""
    if "Separable" in class_name or "Depthwise" in class_name or "Transpose" in class_name:
        raise UnsupportedModelError("the direction of its kernels under Theano is not known")
    if arguments.get("padding") != "same":
        return
    sizes = arguments.get("kernel_size", ())
    sizes = [sizes] if isinstance(sizes, int) else list(sizes)
    strides = arguments.get("strides", 1)
    strided = any(step != 1 for step in ([strides] if isinstance(strides, int) else strides))
    if "pool_size" in arguments or strided or any(size % 2 == 0 for size in sizes):
        raise UnsupportedModelError(
            "Theano aligns a padded ('same') pooling, stride or even window otherwise than TensorFlow does"
        )
