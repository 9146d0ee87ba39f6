"""Variables of results about sequences: effects and contributions of their positions, designs, samples."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable

SEQUENCES = {
    "one_hot": Variable(("sequence", "position", "base"), "DNA sequence; a row of zeros is N"),
    "prediction": Variable(("sequence", "target"), "prediction for the sequence as it is", "output"),
    "reverse_complement_difference": Variable(
        ("sequence", "target"),
        "prediction for the reverse complement minus that for the sequence as it is; "
        "0 where the model treats both strands alike",
        "output",
    ),
    "dropout_mean": Variable(
        ("sequence", "target"), "mean prediction over draws of dropout; missing without draws", "output"
    ),
    "dropout_standard_deviation": Variable(
        ("sequence", "target"),
        "standard deviation of the prediction over draws of dropout; missing without draws",
        "output",
    ),
    "mutation_effect": Variable(
        ("sequence", "position", "base", "target"),
        "prediction with this base at this position minus that for the sequence as it is; "
        "0 for the observed base, missing where the sequence has N",
        "output",
    ),
    "epistasis": Variable(
        ("sequence", "pair", "base_a", "base_b", "target"),
        "effect of both substitutions of a pair minus the sum of their single effects; "
        "0 where one of them is the observed base, missing where the sequence has N",
        "output",
    ),
    "surrogate_effect": Variable(
        ("sequence", "position", "base", "target"),
        "effect of this base at this position in an additive model fitted to random mutants; "
        "0 for the observed base, missing where the sequence has N",
        "output",
    ),
    **{
        f"surrogate_effect_{end}": Variable(
            ("sequence", "position", "base", "target"),
            f"{text} end of the 95% confidence interval of the effect in the additive model",
            "output",
        )
        for end, text in (("low", "lower"), ("high", "upper"))
    },
    "r_squared": Variable(
        ("sequence", "target"),
        "share of the variance of the predictions of mutants, which were not fitted, that the additive "
        "model explains",
    ),
    "step_prediction": Variable(
        ("sequence", "step", "target"),
        "prediction after this step of the design, of which the first is the sequence as it is; "
        "missing after the last",
        "output",
    ),
    "step_effect": Variable(
        ("sequence", "step", "target"), "prediction after this step minus that before", "output"
    ),
    "step_objective": Variable(
        ("sequence", "step"), "sum of the predictions after this step, times their weights", "output"
    ),
    "step_position": Variable(
        ("sequence", "step"), "position in the sequence that is substituted, 0-based; -1 for none"
    ),
    "step_base": Variable(("sequence", "step"), "base that goes there, as its index in ACGT; -1 for none"),
    "designed_one_hot": Variable(("sequence", "position", "base"), "the sequence that was designed"),
    "sampled_base": Variable(
        ("sequence", "sample", "position", "target"), "base of the sample, as its index in ACGT; 4 is N"
    ),
    "sampled_prediction": Variable(("sequence", "sample", "target"), "prediction for the sample", "output"),
    "base_probability": Variable(
        ("sequence", "position", "base", "target"), "share of the samples with this base at this position"
    ),
    "position_weight": Variable(
        ("sequence", "position", "target"),
        "information in the bases of the samples at this position, above that of uniform bases; "
        "missing where the sequence has N",
        "bit",
    ),
    "acceptance": Variable(("sequence", "target"), "share of the proposed substitutions that are made"),
    "autocorrelation_time": Variable(
        ("sequence", "target"), "proposals from one sample to one as good as independent of it"
    ),
    "effective_sample_size": Variable(
        ("sequence", "target"), "number of independent samples that the samples are worth"
    ),
    "chain": Variable(("sample",), "number of the chain that the sample is from"),
    "occlusion_effect": Variable(
        ("sequence", "window", "target"),
        "prediction with this window occluded minus that for the sequence as it is",
        "output",
    ),
    "hypothetical_contribution": Variable(
        ("sequence", "position", "base", "target"),
        "contribution that this base would have at this position",
        "output",
    ),
    "contribution": Variable(
        ("sequence", "position", "base", "target"),
        "contribution of the observed base to the prediction; 0 for the other bases",
        "output",
    ),
    "mean_reference_prediction": Variable(
        ("sequence", "target"), "mean prediction for the references", "output"
    ),
    "completeness_error": Variable(
        ("sequence", "target"),
        "sum of the contributions minus the difference between the prediction and the mean prediction "
        "for the references",
        "output",
    ),
    "precision": Variable(
        ("sequence",),
        "bits of the numbers that the contributions were computed in; mean over the models of an ensemble",
    ),
    "contribution_standard_error": Variable(
        ("sequence", "position", "target"),
        "standard error of the contribution as a mean over the references and the permutations of "
        "the positions",
        "output",
    ),
    "permutation_standard_error": Variable(
        ("sequence", "position", "target"),
        "standard error of the contribution as a mean over the permutations of the positions, against these "
        "references; missing where there is one permutation for each",
        "output",
    ),
    "n_evaluations": Variable(("sequence",), "number of predictions that the contributions are made from"),
}
