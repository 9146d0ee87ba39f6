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
        "effect_tail_fit": "p-value of the fit of the null effects' tail, where the p-value is from it",
        "n_nulls": "number of null variants that the p-value is from",
        "ref_quantile": "share of peaks with a lower output than the reference allele",
        "alt_quantile": "share of peaks with a lower output than the alternative allele",
        "haplotype_1_effect": "output with haplotype 1's alleles, minus the same without this one",
        "haplotype_2_effect": "output with haplotype 2's alleles, minus the same without this one",
        "haplotype_1_joint_minus_sum": "effect of haplotype 1's alleles minus the sum of each alone",
        "haplotype_2_joint_minus_sum": "effect of haplotype 2's alleles minus the sum of each alone",
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
        "effect": "difference of logits, or of outputs, of the target that is explained",
        "explained_target": "target that is explained",
        "change_size": "columns of the change, from the first after the left flank on",
        "motif": "name of the JASPAR motif whose best score over the change differs most",
        "motif_id": "its matrix id",
        "motif_change": "whether the alternative allele gains or loses it",
        "motif_ref_score": "its best score with the reference allele, from 0, the worst, to 1, the best",
        "motif_alt_score": "its best score with the alternative allele",
    }
    return {name: Variable(("allele", "target"), text) for name, text in by_target.items()} | {
        name: Variable(("allele",), text) for name, text in of_allele.items()
    }


ALLELES = _of_alleles()
