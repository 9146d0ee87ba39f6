"""DeepSHAP as shap computes it: `shap.DeepExplainer` behind the same face as the exact engine."""

from __future__ import annotations

from dataclasses import replace

from kipoi_tfbind.backends.shap import ShapBackend
from kipoi_tfbind.models.adapted import Adapted
from kipoi_tfbind.models.ensemble import ensemble
from kipoi_tfbind.models.evaluator import Evaluator
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.models.strand_average import StrandAverage

_FRAMEWORKS = ("tensorflow", "torch")


def with_shap(model: SequenceModel) -> SequenceModel:
    """Return the same model with shap's multipliers in place of the exact ones.

    A model that only predicts is returned as it is: it has no multipliers of either kind.
    """
    if model.members:
        rebuilt = ensemble([with_shap(member) for member in model.members])
        return replace(rebuilt, name=model.name, fingerprint=model.fingerprint)
    return replace(model, evaluator=_evaluator(model.evaluator, model.name))


def _evaluator(evaluator: Evaluator, name: str) -> Evaluator:
    if isinstance(evaluator, StrandAverage):
        return StrandAverage(_evaluator(evaluator.inner, name))
    if isinstance(evaluator, Adapted) and evaluator.backend.framework in _FRAMEWORKS:
        return replace(evaluator, backend=ShapBackend(evaluator.backend, name))
    return evaluator
