"""From the graph of Keras 2 layers to a model of today's Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.repairs.legacy_keras.architecture import describe_layer, inbound_tensors, valid_name
from kipoi_tfbind.repairs.legacy_keras.keras1 import Config
from kipoi_tfbind.repairs.legacy_keras.layers import LayerMaker


@dataclass(frozen=True)
class BuiltLayer:
    """A layer of a model that was built, with the description that it was built from.

    Attributes
    ----------
    entry
        Its description in the graph.
    layer
        The layer; of a nested model the model.
    children
        The layers of a nested model, in the order of the description; None for a plain layer.
    """

    entry: Config
    layer: Any
    children: list[BuiltLayer] | None = field(default=None, repr=False)


def build_model(config: Config, make_layer: LayerMaker) -> tuple[Any, list[BuiltLayer]]:
    """Build a model from its graph.

    Parameters
    ----------
    config
        As `SavedArchitecture.config`.
    make_layer
        Makes each layer.

    Returns
    -------
    model
        A functional `keras.Model` with fresh weights.
    layers
        Its layers in the order of the description: the order in which weights are stored.

    Raises
    ------
    UnsupportedModelError
        A layer has no counterpart in today's Keras; the message names it.
    """
    builder = _Builder(config, make_layer)
    for entry in config["layers"]:
        builder.add(entry)
    builder.connect()
    inputs = builder.tensors(config["input_layers"])
    outputs = builder.tensors(config["output_layers"])
    return keras.Model(inputs, outputs, name=valid_name(config["name"])), builder.built


class _Builder:
    """Makes the layers of one graph and calls them on each other's outputs."""

    def __init__(self, config: Config, make_layer: LayerMaker) -> None:
        self.make_layer = make_layer
        self.built: list[BuiltLayer] = []
        self._outputs: dict[tuple[str, int], list[Any]] = {}
        self._first_call = _first_calls(config)

    def add(self, entry: Config) -> None:
        """Make one layer; of an InputLayer also its output."""
        if entry["class_name"] == "InputLayer":
            self._outputs[entry["name"], self._first_call.get(entry["name"], 0)] = [_input(entry)]
            return
        self.built.append(self._build(entry))

    def _build(self, entry: Config) -> BuiltLayer:
        if entry["class_name"] == "Functional":
            model, children = build_model(entry["config"], self.make_layer)
            return BuiltLayer(entry, model, children)
        inner = entry["config"].get("layer")
        if isinstance(inner, dict) and entry["class_name"] == "TimeDistributed":
            built = self._build(inner)
            wrapper = keras.layers.TimeDistributed(built.layer, name=valid_name(entry["name"]))
            return BuiltLayer(entry, wrapper, [built])
        try:
            return BuiltLayer(entry, self.make_layer(entry))
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{describe_layer(entry)}: {error}") from None

    def connect(self) -> None:
        """Call every layer as often as the graph says, each call once its inputs are there."""
        waiting = [
            (built, self._first_call.get(built.entry["name"], 0) + number, call)
            for built in self.built
            for number, call in enumerate(built.entry["inbound_nodes"])
        ]
        while waiting:
            later = [item for item in waiting if not self._call(*item)]
            if len(later) == len(waiting):
                raise UnsupportedModelError(
                    f"{describe_layer(later[0][0].entry)}: its inputs are outputs of no layer in the model"
                )
            waiting = later

    def _call(self, built: BuiltLayer, number: int, call: Any) -> bool:
        """Call a layer if all its inputs are there; tell whether they were."""
        tensors = []
        try:
            for name, node, output, arguments in inbound_tensors(call):
                # Whether a call was made in training or not has no meaning for a prediction.
                unknown = {
                    key: value for key, value in arguments.items() if key != "training" and value is not None
                }
                if unknown:
                    raise UnsupportedModelError(
                        f"it is called with the arguments {', '.join(sorted(unknown))}"
                    )
                if (name, node) not in self._outputs:
                    return False
                tensors.append(self._outputs[name, node][output])
            outputs = built.layer(tensors[0] if len(tensors) == 1 else tensors)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{describe_layer(built.entry)}: {error}") from None
        except Exception as error:  # a custom layer may raise anything
            reason = " ".join(str(error).split())
            raise UnsupportedModelError(f"{describe_layer(built.entry)}: {reason}") from error
        self._outputs[built.entry["name"], number] = outputs if isinstance(outputs, list) else [outputs]
        return True

    def tensors(self, references: Any) -> Any:
        """The tensors that `input_layers` or `output_layers` name, alone, in a list or in a dict."""
        if isinstance(references, dict):
            return {key: self.tensors(value) for key, value in references.items()}
        if references and isinstance(references[0], str):
            name, node, output = references[:3]
            return self._outputs[name, node][output]
        tensors = [self.tensors(reference) for reference in references]
        return tensors[0] if len(tensors) == 1 else tensors


def _input(entry: Config) -> Any:
    config = entry["config"]
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    # A prediction takes any number of sequences, also with a model that was trained with a fixed one.
    return keras.Input(
        tuple(shape[1:]), name=valid_name(entry["name"]), dtype=config.get("dtype") or "float32"
    )


def _first_calls(config: Config) -> dict[str, int]:
    """Number that the first call of each layer has in the graph.

    It is 0; of a nested model it is 1, because its own construction counted as a call.
    """
    lowest: dict[str, int] = {}

    def note(reference: Any) -> None:
        if isinstance(reference, dict):
            for value in reference.values():
                note(value)
        elif isinstance(reference, list) and reference and isinstance(reference[0], str):
            lowest[reference[0]] = min(reference[1], lowest.get(reference[0], reference[1]))
        elif isinstance(reference, list):
            for value in reference:
                note(value)

    note([entry["inbound_nodes"] for entry in config["layers"]])
    note(config["output_layers"])
    return lowest
