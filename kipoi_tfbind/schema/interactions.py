"""Variables of interactions: of two positions, or of two segments."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable

_BY_PAIR = ("sequence", "pair", "target")

INTERACTIONS = {
    "interaction": Variable(
        _BY_PAIR,
        "what the two members of a pair do together beyond the sum of what each does alone",
        "output",
    ),
    "interaction_low": Variable(
        _BY_PAIR, "lower end of the 95% confidence interval of the interaction", "output"
    ),
    "interaction_high": Variable(
        _BY_PAIR, "upper end of the 95% confidence interval of the interaction", "output"
    ),
    "interaction_standard_error": Variable(
        _BY_PAIR, "standard error of the interaction; 0 where it is exact", "output"
    ),
    "self_interaction": Variable(
        ("sequence", "position", "target"), "what the base at this position does by itself", "output"
    ),
    "contribution_change": Variable(
        ("sequence", "pair", "direction", "target"),
        "contribution of a base of the pair minus that with the other substituted, mean over substitutions",
        "output",
    ),
    "segment_value": Variable(("sequence", "segment", "target"), "Shapley value of the segment", "output"),
    "direction": Variable(("direction",), "which position is substituted, and whose contribution changes"),
    "end_a": Variable(("pair",), "end of the first segment in the sequence, 0-based, not included"),
    "end_b": Variable(("pair",), "end of the second segment in the sequence, 0-based, not included"),
    "segment_start": Variable(("segment",), "start of the segment in the sequence, 0-based"),
    "segment_end": Variable(("segment",), "end of the segment in the sequence, 0-based, not included"),
}
