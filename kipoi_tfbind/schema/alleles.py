"""Variables of variant effects: alleles, and windows around them."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable


def _of_alleles() -> dict[str, Variable]:
    """The variables of variant effects."""
    by_target = {
        "ref_prediction": "output for the reference allele",
        "alt_prediction": "output for the alternative allele",
        "logit_difference": "difference of logits, alternative minus reference allele",
        "signal_difference": "difference of probabilities or signals, alternative minus reference allele",
        "log2_fold_change": "log2 of the ratio of probabilities or signals, alternative to reference allele",
        "window_spread": "largest difference of one window's effect from the mean over shifts and fills",
        "member_sd": "standard deviation of the difference of outputs over the models of the ensemble",
        "agreeing": "number of models of the ensemble whose difference has the sign of the mean",
        "effect_p_value": "two-sided p-value of the effect among null variants of the same class",
        "effect_q_value": "p-value, corrected for the number of alleles (Benjamini-Hochberg)",
        "effect_quantile": "share of the null variants' effects that are below the effect",
        "n_nulls": "number of null variants that the p-value is from",
    }
    of_allele = {
        "jensen_shannon": "Jensen-Shannon distance of the targets' shares for the two alleles, base 2",
        "largest": "difference of the target where its magnitude is largest",
        "largest_target": "target of the largest difference",
        "pos": "position of the first base of REF, 1-based",
        "ref": "reference allele, as in the VCF",
        "alt": "alternative allele, as in the VCF",
        "status": "ok, or what is to be known of the windows, or why the allele has no score",
        "window_start": "start of the reference window, 0-based; -1 where there is none",
        "variant_id": "ID in the VCF",
    }
    return {name: Variable(("allele", "target"), text) for name, text in by_target.items()} | {
        name: Variable(("allele",), text) for name, text in of_allele.items()
    }


ALLELES = _of_alleles()
