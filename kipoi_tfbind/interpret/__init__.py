"""Interpretation: one method, one file, one function from Dataset to Dataset."""

from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.interpret.gradients import gradients
from kipoi_tfbind.interpret.in_silico_mutagenesis import in_silico_mutagenesis
from kipoi_tfbind.interpret.occlusion import occlusion
from kipoi_tfbind.interpret.sampled_shapley import sampled_shapley
from kipoi_tfbind.interpret.second_order_mutagenesis import second_order_mutagenesis

__all__ = [
    "deep_shap",
    "gradients",
    "in_silico_mutagenesis",
    "occlusion",
    "sampled_shapley",
    "second_order_mutagenesis",
]
