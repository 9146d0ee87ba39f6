"""The Kipoi model classes that the zoo's model.yaml files name in ``defined_as``."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from kipoi.model import BaseModel
from numpy.typing import NDArray
from scipy.special import expit

from kipoi_tfbind.errors import InputError, WeightsError
from kipoi_tfbind.repairs.weight_files import named_as, require_weights


class TFBindModel(BaseModel):
    """A trained model of TF binding: one-hot windows to the probability of binding of each factor.

    Parameters
    ----------
    weights
        A Keras 3 model file (architecture and weights); its name need not end in ``.keras``, because
        Kipoi keeps what it downloads under the checksum alone.
    targets
        Names of the model's outputs, in order.
    length
        Window length in bp.
    md5
        Checksum of the weights file. Kipoi does not verify what it downloads; this class does.
    not_learned
        Target -> verdict of its card ("context only", "too few peaks"), of targets whose own motif the
        model has not learned: interpreting those says little about the factor.
    spread
        Whether predictions have, under "spread", how far the members of an ensemble are apart.

    Attributes
    ----------
    model : keras.Model
        (sequence, position, base) -> probability (sequence, target).
    targets : list of str
    length : int

    Raises
    ------
    WeightsError
        The file is missing, has another checksum, is no Keras model, or has another shape.

    Examples
    --------
    >>> model = kipoi.get_model("model_zoo/TFBind/CTCF", source="dir")  # doctest: +SKIP
    >>> model.predict_on_batch(one_hot)["CTCF"].shape  # doctest: +SKIP
    (32,)
    """

    MODEL_PACKAGE = "keras"

    def __init__(
        self,
        weights: str,
        targets: Sequence[str],
        length: int,
        md5: str | None = None,
        not_learned: Mapping[str, str] | None = None,
        spread: bool = False,
    ) -> None:
        if md5 is not None:
            _check_md5(weights, md5)
        self.targets = list(targets)
        self.length = length
        self.not_learned = dict(not_learned or {})
        self.model = _load(weights)
        _check_shapes(self.model, weights, length, self.targets)
        self._logit_model = _up_to(self.model, "logit", weights)
        self._with_members: Any = None
        if spread:
            self._with_members = _up_to(self.model, "member_logits", weights, "logit")

    def predict_on_batch(self, x: Any) -> dict[str, Any]:
        """Predict the probability of binding.

        Parameters
        ----------
        x
            One-hot windows (sequence, position, base).

        Returns
        -------
        dict
            Target -> probability (sequence); "spread" -> target -> standard deviation of the members'
            log-odds (sequence), of an entry that has it.

        Raises
        ------
        InputError
            The windows have another length or layout.
        """
        one_hot = self._checked(x)
        if self._with_members is None:
            return self._by_target(_predict(self.model, one_hot))
        logits, members = self._predict_members(one_hot)
        return {**self._by_target(expit(logits)), "spread": self._by_target(self._spread(members))}

    def predict_logits(self, one_hot: NDArray) -> NDArray[np.float32]:
        """Predict natural log-odds of binding (sequence, target) from one-hot windows."""
        return _predict(self._logit_model, self._checked(one_hot))

    def _predict_members(self, one_hot: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-odds of the mixture (sequence, target) and of the members (member, sequence, target)."""
        from keras import ops

        members, logits = map(ops.convert_to_numpy, self._with_members.predict_on_batch(one_hot))
        return logits, members.reshape(len(logits), -1, len(self.targets)).swapaxes(0, 1)

    def _spread(self, members: NDArray) -> NDArray:
        """Standard deviation (sequence, target) over members, weighed and scaled as their mixture is."""
        return spread(members, mixture_of(self.model)[0])

    def _by_target(self, values: NDArray) -> dict[str, NDArray]:
        return dict(zip(self.targets, values.T, strict=True))

    def _checked(self, one_hot: NDArray) -> NDArray[np.float32]:
        one_hot = np.asarray(one_hot, dtype=np.float32)
        if one_hot.shape[1:] != (self.length, 4):
            raise InputError(
                f"input: expected one-hot windows (sequence, {self.length}, 4), got {one_hot.shape}; "
                f"set the dataloader's length to {self.length}"
            )
        return one_hot


class TFBindVariantModel(TFBindModel):
    """The same model, asked what a variant does: log-odds of binding for either allele, and their difference.

    Takes ``{"ref": ..., "alt": ...}``, one-hot windows (variant, position, base), and returns
    ``{"ref": ..., "alt": ..., "difference": ...}``, each target -> (variant): natural log-odds, the
    difference being alternative minus reference, so negative where the variant weakens binding. An entry
    that has a spread gives it as ``"spread"``: the standard deviation of the members' differences.
    """

    def predict_on_batch(self, x: Any) -> dict[str, Any]:
        """Return log-odds by allele and target, and their difference; see the class."""
        windows = np.concatenate([self._checked(x["ref"]), self._checked(x["alt"])])
        members = None
        if self._with_members is None:
            logits = self.predict_logits(windows)
        else:
            logits, members = self._predict_members(windows)
        ref, alt = np.split(logits, 2)
        found = {"ref": ref, "alt": alt, "difference": alt - ref}
        if members is not None:
            of_ref, of_alt = np.split(members, 2, axis=1)
            found["spread"] = self._spread(of_alt - of_ref)
        return {name: self._by_target(values) for name, values in found.items()}


def mixture_of(ensemble: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (member, target) and bias (target) with which an ensemble mixes its members."""
    kernel, bias = ensemble.get_layer("logit").get_weights()
    n_targets = len(bias)
    return kernel.reshape(-1, n_targets, n_targets).diagonal(axis1=1, axis2=2), bias


def spread(members: NDArray, weights: NDArray) -> NDArray:
    """Standard deviation (bin, target) over members (member, bin, target), in units of their mixture.

    Parameters
    ----------
    members
        Log-odds.
    weights
        (member, target), of the mixture; members count by them, and the unit is scaled by their sum.

    Examples
    --------
    >>> spread(np.array([[[1.0]], [[3.0]]]), np.array([[0.5], [0.5]])).tolist()
    [[1.0]]
    """
    by_bin = weights[:, None]
    total = weights.sum(axis=0)
    mean = (by_bin * members).sum(axis=0) / np.maximum(total, 1e-9)
    return np.sqrt(total * (by_bin * (members - mean) ** 2).sum(axis=0))


def _predict(model: Any, one_hot: NDArray[np.float32]) -> NDArray[np.float32]:
    from keras import ops

    return ops.convert_to_numpy(model.predict_on_batch(one_hot))


def _check_md5(path: str, expected: str) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights file: {error.strerror}") from None
    if found != expected:
        raise WeightsError(
            f"{path}: the weights file is corrupted or another one: expected md5 {expected}, got {found}; "
            "delete it and fetch it again"
        )


def _load(path: str) -> Any:
    import keras

    from kipoi_tfbind import layers  # noqa: F401 (registers the layers that the file names)

    found = require_weights(path)
    if not zipfile.is_zipfile(found):
        raise WeightsError(f"{path}: truncated, or no Keras 3 model file; fetch it again")
    # Keras goes by the suffix, which a file that Kipoi has downloaded does not have.
    with named_as(found, ".keras") as named:
        try:
            return keras.models.load_model(named, compile=False)
        except Exception as error:  # of Keras, zipfile, h5py or json, wherever the archive is broken
            reason = " ".join(str(error).replace(str(named), path).split())[:200]
            raise WeightsError(
                f"{path}: cannot be read as a Keras 3 model ({reason}); fetch it again"
            ) from error


_LAYERS = {
    "logit": "the values before the sigmoid; it was not trained with `kipoi tfbind train`",
    "member_logits": "the members' values; it is no ensemble and has no spread",
}


def _up_to(model: Any, name: str, path: str, *others: str) -> Any:
    """The same model up to a layer, or to several."""
    import keras

    if name not in (layer.name for layer in model.layers):
        raise WeightsError(f"{path}: the model has no layer {name!r}, {_LAYERS[name]}")
    found = [model.get_layer(each).output for each in (name, *others)]
    return keras.Model(model.input, found if others else found[0])


def _check_shapes(model: Any, path: str, length: int, targets: Sequence[str]) -> None:
    found = model.input_shape[1:], model.output_shape[1:]
    expected = (length, 4), (len(targets),)
    if found != expected:
        raise WeightsError(
            f"{path}: expected a model of input {expected[0]} and output {expected[1]}, "
            f"got {found[0]} and {found[1]}; the weights belong to another entry"
        )
