"""A model some of whose units are dropped, as they are in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Capability
from kipoi_tfbind.backends.dropout import DropoutBackend
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.models.adapted import Adapted
from kipoi_tfbind.models.ensemble import ensemble
from kipoi_tfbind.models.evaluator import Auxiliary, Evaluator, Multipliers
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.models.strand_average import StrandAverage


def with_dropout(model: SequenceModel, *, seed: int, draw: int) -> SequenceModel:
    """Return a model that drops units as in training: one draw of Monte Carlo dropout.

    The units are drawn from (seed, number of the draw, layer, the sequence itself). All else, such as batch
    normalisation, is as in prediction. It only predicts.

    Parameters
    ----------
    model
        One model, or an ensemble, of Keras or PyTorch.
    seed, draw
        Whole numbers from 0 on.

    Raises
    ------
    UnsupportedModelError
        The model has no layer of dropout with a rate above 0; or a recurrent layer, or an attention of
        PyTorch, drops units by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from kipoi_tfbind import as_sequence_model
    >>> from kipoi_tfbind.architectures import motif_cnn
    >>> model = as_sequence_model(motif_cnn(length=60, dropout=0.5))
    >>> x = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(4, size=(3, 60))]
    >>> one, other = (with_dropout(model, seed=0, draw=draw).predict(x) for draw in (0, 1))
    >>> one.shape, bool((one != other).any())
    ((3, 1), True)
    """
    if model.members:
        return ensemble([with_dropout(member, seed=seed, draw=draw) for member in model.members])
    return replace(model, evaluator=_dropping(model.evaluator, model.name, seed, draw))


def _dropping(evaluator: Evaluator, name: str, seed: int, draw: int) -> Evaluator:
    if isinstance(evaluator, StrandAverage):
        return StrandAverage(_dropping(evaluator.inner, name, seed, draw))
    if not isinstance(evaluator, Adapted) or evaluator.make_dropout is None:
        raise UnsupportedModelError(f"model {name}: no layers of dropout are known of it")
    return Dropping(evaluator, evaluator.make_dropout(), seed, draw)


@dataclass(frozen=True)
class Dropping:
    """A model behind its layout that drops units.

    Attributes
    ----------
    adapted
        The model as it predicts.
    dropout
        The model with masks.
    seed, draw
        Of the masks.
    """

    adapted: Adapted
    dropout: DropoutBackend
    seed: int
    draw: int
    capabilities: frozenset[Capability] = frozenset({"predictions"})

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """All outputs (sequence, column)."""
        seeds = content_seeds(codes_of(one_hot), self.seed, "dropout")
        return self.dropout.predict(self.adapted.inputs(one_hot, auxiliary), seeds, self.draw)

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """Refuse."""
        raise UnsupportedModelError("model with dropout: only predicts")

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """Refuse."""
        raise UnsupportedModelError("model with dropout: only predicts")

    def edits(self, one_hot: NDArray, auxiliary: Auxiliary) -> None:
        """There is no engine: other units are dropped of every edit."""

    def in_double_precision(self) -> None:
        """There is none."""
