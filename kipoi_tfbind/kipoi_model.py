"""The Kipoi model classes that the zoo's model.yaml files name in ``defined_as``."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from kipoi.model import BaseModel
from numpy.typing import NDArray

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
    ) -> None:
        if md5 is not None:
            _check_md5(weights, md5)
        self.targets = list(targets)
        self.length = length
        self.not_learned = dict(not_learned or {})
        self.model = _load(weights)
        _check_shapes(self.model, weights, length, self.targets)
        self._logit_model = _logit_model(self.model, weights)
        self._members = _Members.of(self.model)

    def predict_on_batch(self, x: Any) -> dict[str, Any]:
        """Predict the probability of binding.

        Parameters
        ----------
        x
            One-hot windows (sequence, position, base).

        Returns
        -------
        dict
            Target -> probability (sequence).

        Raises
        ------
        InputError
            The windows have another length or layout.
        """
        return self._by_target(_predict(self.model, self._checked(x)))

    def predict_logits(self, one_hot: NDArray) -> NDArray[np.float32]:
        """Predict natural log-odds of binding (sequence, target) from one-hot windows."""
        return _predict(self._logit_model, self._checked(one_hot))

    def predict_with_spread(self, one_hot: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Predict log-odds of binding, and how far the members of an ensemble are apart.

        Returns
        -------
        log_odds
            (sequence, target).
        spread
            (sequence, target), in the units of the log-odds: the standard deviation of the members' log-odds,
            weighed as in their mean. None of a model that has no members.
        """
        if self._members is None:
            return self.predict_logits(one_hot), None
        log_odds, of_members = self._members.log_odds(self._checked(one_hot))
        return log_odds, self._members.spread(of_members)

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
    difference being alternative minus reference, so negative where the variant weakens binding. An ensemble
    gives ``"spread"`` besides: the standard deviation of its members' differences, each weighed as in their
    mean and in the same units; 0 for a target that one member alone decides.
    """

    def predict_on_batch(self, x: Any) -> dict[str, Any]:
        """Return log-odds by allele and target, and their difference; see the class."""
        windows = np.concatenate([self._checked(x["ref"]), self._checked(x["alt"])])
        spread = {}
        if self._members is None:
            both = self.predict_logits(windows)
        else:
            both, of_members = self._members.log_odds(windows)
            of_ref, of_alt = np.split(of_members, 2, axis=1)
            spread = {"spread": self._members.spread(of_alt - of_ref)}
        ref, alt = np.split(both, 2)
        found = {"ref": ref, "alt": alt, "difference": alt - ref, **spread}
        return {name: self._by_target(values) for name, values in found.items()}


class _Members:
    """The members of a model that `kipoi_tfbind.training.ensemble.mix_models` made."""

    def __init__(self, model: Any, weights: NDArray[np.float64]) -> None:
        self._model, self._weights = model, weights

    @classmethod
    def of(cls, model: Any) -> _Members | None:
        """Members of a model; None where it has none."""
        import keras
        from keras import ops

        if "member_logits" not in (layer.name for layer in model.layers):
            return None
        joined, mixture = model.get_layer("member_logits"), model.get_layer("logit")
        kernel = ops.convert_to_numpy(mixture.kernel).astype(np.float64)
        n_targets = kernel.shape[1]
        weights = np.diagonal(kernel.reshape(-1, n_targets, n_targets), axis1=1, axis2=2)
        return cls(keras.Model(model.input, [mixture.output, joined.output]), weights)

    def log_odds(self, one_hot: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Log-odds of the ensemble (sequence, target), and of each member (member, sequence, target)."""
        from keras import ops

        whole, joined = (ops.convert_to_numpy(each) for each in self._model.predict_on_batch(one_hot))
        of_members = joined.astype(np.float64).reshape(len(joined), *self._weights.shape)
        return whole, of_members.swapaxes(0, 1)

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Weighted standard deviation of values (member, sequence, target), times the sum of the weights.

        So it is in the units of the weighted sum, which is what the ensemble predicts.
        """
        total = self._weights.sum(axis=0)
        shares = (self._weights / np.where(total > 0, total, 1))[:, None]
        mean = (shares * values).sum(axis=0)
        variance = (shares * (values - mean) ** 2).sum(axis=0)
        return (total * np.sqrt(variance)).astype(np.float32)


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


def _logit_model(model: Any, path: str) -> Any:
    """The same model up to its layer of log-odds."""
    import keras

    if "logit" not in (layer.name for layer in model.layers):
        raise WeightsError(
            f"{path}: the model has no layer 'logit', the values before the sigmoid; it was not trained with "
            "`kipoi tfbind train`"
        )
    return keras.Model(model.input, model.get_layer("logit").output)


def _check_shapes(model: Any, path: str, length: int, targets: Sequence[str]) -> None:
    found = model.input_shape[1:], model.output_shape[1:]
    expected = (length, 4), (len(targets),)
    if found != expected:
        raise WeightsError(
            f"{path}: expected a model of input {expected[0]} and output {expected[1]}, "
            f"got {found[0]} and {found[1]}; the weights belong to another entry"
        )
