"""The one face that every method sees of a model: one-hot sequences in, named targets out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Capability, OutputKind
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, TFBindError, UnsupportedModelError
from kipoi_tfbind.models.evaluator import EditEngine, Evaluator, Multipliers
from kipoi_tfbind.models.layout import Layout
from kipoi_tfbind.models.not_learned import tell_not_learned
from kipoi_tfbind.models.strand_average import StrandAverage

# What each capability is needed for; the names are those of the public functions.
_METHODS: dict[Capability, tuple[str, ...]] = {
    "predictions": (
        "predict_sequences",
        "in_silico_mutagenesis",
        "second_order_mutagenesis",
        "occlusion",
        "global_importance_analysis",
        "sampled_shapley",
        "shapley_interactions",
        "surrogate",
        "maximum_entropy_samples",
        "design",
    ),
    "gradients": ("gradients", "integrated_hessians"),
    "multipliers": (
        "deep_shap",
        "deep_feature_interaction",
        "layer_contributions",
        "grad_cam",
        "attention_maps",
    ),
}


@dataclass(frozen=True)
class SequenceModel:
    """A model as the methods see it; made by `load_model` and `as_sequence_model`.

    Attributes
    ----------
    name
        Its name in results.
    target_names
        Name of each output.
    length
        Length of the sequences that it takes; None for any.
    output
        Kind of the outputs: "logit", "probability", or "raw" where that is not known.
    evaluator
        The model behind its layout.
    columns
        Which of the evaluator's outputs the targets are.
    n_outputs
        Number of the evaluator's outputs.
    auxiliary
        Names of its inputs beside the sequence that have no fixed value.
    layout
        How the sequence goes in; None for an ensemble.
    sequence_input
        Where the sequence is in the model's inputs: a key, an index, or None where it is the only one.
    fingerprint
        First 16 hexadecimal digits of a SHA-256 of its weights, or of its files; "unknown" for a function.
    source
        Kipoi's model source that it comes from, if any.
    members
        The models of an ensemble.
    not_learned
        Target -> verdict of the model's card, where that is not "learned".

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> def count_g(one_hot):
    ...     return one_hot[:, :, 2].sum(axis=1, keepdims=True)
    >>> model = as_sequence_model(count_g, targets=["G"])
    >>> model.predict(np.eye(4)[np.array([[2, 2, 3]])])
    array([[2.]])
    """

    name: str
    target_names: tuple[str, ...]
    length: int | None
    output: OutputKind
    evaluator: Evaluator = field(repr=False)
    columns: tuple[int, ...] = field(repr=False)
    n_outputs: int = field(repr=False)
    auxiliary: tuple[str, ...] = field(default=(), repr=False)
    layout: Layout | None = field(default=None, repr=False)
    sequence_input: str | int | None = field(default=None, repr=False)
    fingerprint: str = field(default="unknown", repr=False)
    source: str = field(default="", repr=False)
    members: tuple[SequenceModel, ...] = field(default=(), repr=False)
    not_learned: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Capabilities of the model: predictions, gradients, multipliers."""
        return self.evaluator.capabilities

    @property
    def is_asked(self) -> bool:
        """Whether its outputs are known; a model of unknown length is asked for them at its first batch."""
        return True

    def predict(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Predict every target for every sequence, in one batch.

        Parameters
        ----------
        one_hot
            (sequence, position, base), bases in the order A, C, G, T; N is a row of zeros.
        auxiliary
            Values (sequence, ...) of the inputs beside the sequence, by name.

        Returns
        -------
        prediction
            Floating point (sequence, target).

        Raises
        ------
        InputError
            The sequences do not have the shape that the model takes, an auxiliary input is missing, or a
            prediction is not finite.
        UnsupportedModelError
            The model's output is not (sequence, target).
        """
        one_hot = self._checked(one_hot)
        with self._explained(one_hot):
            prediction = np.asarray(self.evaluator.predict(one_hot, auxiliary or {}))
        expected = len(one_hot), self.n_outputs
        if prediction.shape != expected:
            raise UnsupportedModelError(
                f"model {self.name}: expected an output of shape {expected} for {len(one_hot)} sequences and "
                f"the targets {listed(self.target_names)}, got {prediction.shape}"
            )
        prediction = prediction[:, list(self.columns)]
        self.check_finite(prediction, "prediction")
        return prediction

    def gradient(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Gradient of every target by the numbers that the model has for each base of a sequence.

        Returns
        -------
        gradient
            (sequence, position, base, target).

        Raises
        ------
        InputError
            As `predict`.
        UnsupportedModelError
            The model has no gradients.
        """
        one_hot = self._checked(one_hot)
        self.require("gradients")
        tell_not_learned(self.name, self.target_names, self.not_learned)
        with self._explained(one_hot):
            gradient = self.evaluator.gradient(one_hot, auxiliary or {}, self.columns)
        self.check_finite(gradient, "gradient")
        return gradient

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Mapping[str, NDArray] | None = None
    ) -> Multipliers:
        """DeepLIFT multipliers of every target.

        Parameters
        ----------
        one_hot
            (sequence, position, base).
        references
            (sequence, reference, position, base).
        auxiliary
            As in `predict`; the same for a sequence and its references.

        Returns
        -------
        multipliers
            (sequence, reference, position, base, target).
        prediction
            (sequence, target).
        reference_prediction
            (sequence, reference, target).

        Raises
        ------
        InputError
            As `predict`.
        UnsupportedModelError
            The model has no multipliers, or an operation without a rule.
        """
        one_hot = self._checked(one_hot)
        self.require("multipliers")
        tell_not_learned(self.name, self.target_names, self.not_learned)
        with self._explained(one_hot):
            found = self.evaluator.multipliers(one_hot, references, auxiliary or {}, self.columns)
        self.check_finite(found[0], "multiplier")
        return found

    def edits(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> EditEngine | None:
        """Engine that predicts edits from the affected region alone; None where the model cannot be traced.

        It gives all outputs of the evaluator; `columns` are the targets.

        Parameters
        ----------
        one_hot, auxiliary
            Sequences like those that are edited, as in `predict`.
        """
        one_hot = self._checked(one_hot)
        tell_not_learned(self.name, self.target_names, self.not_learned)
        with self._explained(one_hot):
            return self.evaluator.edits(one_hot, auxiliary or {})

    def in_double_precision(self) -> SequenceModel | None:
        """Return the same model computed in float64; None where that cannot be had, or is so already."""
        precise = self.evaluator.in_double_precision()
        return None if precise is None else replace(self, evaluator=precise)

    def require(self, capability: Capability) -> None:
        """Check that the model has a capability.

        Raises
        ------
        UnsupportedModelError
            It has not; the message says which methods do work.
        """
        if capability in self.capabilities:
            return
        working = [name for have in _METHODS if have in self.capabilities for name in _METHODS[have]]
        raise UnsupportedModelError(
            f"model {self.name}: has no {capability}, which {' and '.join(_METHODS[capability])} need; "
            f"{', '.join(working)} work with it"
        )

    def select_targets(self, names: Iterable[str]) -> SequenceModel:
        """Return the same model with only some of its targets, in the order of `names`.

        Raises
        ------
        InputError
            The model has no target of that name.

        Examples
        --------
        >>> from kipoi_tfbind import as_sequence_model
        >>> model = as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=list("ACGT"))
        >>> model.select_targets(["G"]).predict(np.eye(4)[np.array([[2, 2, 3]])])
        array([[2.]])
        """
        if not isinstance(names, Iterable) or isinstance(names, bytes):
            raise InputError(f"targets: expected names of targets, got {names!r}")
        names = (names,) if isinstance(names, str) else tuple(names)
        if not names:
            raise InputError(f"targets: expected at least one of {listed(self.target_names)}, got none")
        for name in names:
            if name not in self.target_names:
                raise InputError(
                    f"model {self.name}: no target {name!r}; its targets are {listed(self.target_names)}"
                )
        columns = tuple(self.columns[self.target_names.index(name)] for name in names)
        members = tuple(member.select_targets(names) for member in self.members)
        return replace(self, target_names=names, columns=columns, members=members)

    def for_length(self, length: int) -> SequenceModel:
        """Return the model for sequences of this length: itself, where its outputs are known already."""
        return self

    def average_strands(self) -> SequenceModel:
        """Return the mean of the model over a sequence and its reverse complement."""
        if self.layout is not None and self.layout.tracks:
            raise UnsupportedModelError(
                f"model {self.name}: has tracks beside the sequence, which have no reverse complement; leave "
                "average_strands out"
            )
        members = tuple(member.average_strands() for member in self.members)
        return replace(self, evaluator=StrandAverage(self.evaluator), members=members)

    def _checked(self, one_hot: NDArray) -> NDArray:
        one_hot = np.asarray(one_hot)
        fits = one_hot.ndim == 3 and one_hot.shape[2] == len(BASES)
        if not fits or self.length not in (None, one_hot.shape[1]):
            length = "any length" if self.length is None else self.length
            raise InputError(
                f"model {self.name}: expected one-hot sequences (sequence, position: {length}, base: 4), "
                f"got an array of shape {one_hot.shape}"
            )
        return one_hot

    @contextmanager
    def _explained(self, one_hot: NDArray) -> Iterator[None]:
        """Turn the error of a model on sequences that it does not take into one that says so."""
        try:
            yield
        except TFBindError:
            raise
        except Exception as error:
            # What NumPy, PyTorch and TensorFlow say of shapes; anything else is of the model's own making.
            is_tensorflows = type(error).__module__.startswith("tensorflow.")
            if not (is_tensorflows or isinstance(error, ValueError | IndexError | RuntimeError)):
                raise
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"model {self.name}: fails on {len(one_hot)} sequences of {one_hot.shape[1]} bases "
                f"({type(error).__name__}: {reason}); does it take sequences of this length?"
            ) from error

    def check_finite(self, values: NDArray, what: str) -> None:
        """Check an array (sequence, ..., target).

        Raises
        ------
        InputError
            A number is not finite.
        """
        if np.isfinite(values).all():
            return
        *place, target = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"model {self.name}: the {what} of {self.target_names[target]} for sequence {place[0]} of a "
            f"batch is {values[(*place, target)]}; are the model's weights sound?"
        )


def listed(names: Iterable[str]) -> str:
    """Names in a message: the first twenty.

    Examples
    --------
    >>> listed(["CTCF", "MAX"])
    'CTCF, MAX'
    """
    names = list(names)
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
