"""Variables of what a model does inside: attention, maps and contributions of a layer."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable

_BY_HEAD = ("sequence", "head", "target")

LAYERS = {
    "grad_cam": Variable(
        ("sequence", "position", "target"),
        "mean over the layer's positions that see this one of what its channels do for the target, where it "
        "is positive",
        "output",
    ),
    "class_activation": Variable(
        ("sequence", "layer_position", "target"),
        "sum of the layer's channels at this position, each times its mean gradient over the positions",
        "output",
    ),
    "attention": Variable(
        ("sequence", "head", "query", "key"), "weight with which a position (query) takes from another (key)"
    ),
    "attention_received": Variable(
        ("sequence", "head", "position"),
        "attention that the layer's positions that see this base are given, mean over queries",
    ),
    "ism_correlation": Variable(
        _BY_HEAD, "rank correlation of the attention a base is given with the size of its effects by ISM"
    ),
    "epistasis_correlation": Variable(
        _BY_HEAD, "rank correlation of the attention between two bases with the size of their epistasis"
    ),
    "unit_contribution": Variable(
        ("sequence", "unit", "target"), "contribution of a unit of the layer to the prediction", "output"
    ),
    "unit_activation": Variable(("sequence", "unit"), "activation of the unit"),
    "head": Variable(("head",), "layer and number of the head"),
    "unit_position": Variable(("unit",), "position of the unit in its layer, 0-based; -1 where it has none"),
    "unit_channel": Variable(("unit",), "channel of the unit in its layer, 0-based"),
    **{
        f"{what}_field_{end}": Variable(
            (dim,),
            f"{text} of what the {name} sees of the sequence, 0-based{', not included' * (end == 'end')}",
        )
        for what, dim, name in (
            ("unit", "unit", "unit"),
            ("layer", "layer_position", "position of the layer"),
            ("query", "query", "query"),
            ("key", "key", "key"),
        )
        for end, text in (("start", "start"), ("end", "end"))
    },
}
