"""For tests of methods and models: models whose answers are known, and what every method promises.

The models are functions of one-hot arrays, computed in float64, for `kipoi_tfbind.as_sequence_model`::

    model = linear_model(20, n_targets=2)
    as_sequence_model(model, targets=model.target_names)

They are multilinear: no term has two factors from one position. So the effect of a substitution is a
difference of first derivatives, and the epistasis of two a difference of mixed second derivatives, which
`expected_mutation_effect` and `expected_epistasis` give in closed form. Random weights are multiples of
1/64, so that sums of them are exact whatever their order, and equal results can be asked for bit by bit.

`mutation_effect_by_loop` and `epistasis_by_loop` are the definitions, one mutant at a time, for any model.
"""

from kipoi_tfbind.testing.by_loop import epistasis_by_loop, mutation_effect_by_loop
from kipoi_tfbind.testing.contracts import (
    assert_batch_invariant,
    assert_leaves_sequences,
    assert_order_invariant,
)
from kipoi_tfbind.testing.models import (
    BilinearModel,
    LinearModel,
    MotifCounter,
    MultilinearModel,
    bilinear_model,
    linear_model,
    motif_counter,
    rc_symmetric_model,
)
from kipoi_tfbind.testing.planted import planted_pairs
from kipoi_tfbind.testing.sequences import random_sequences

__all__ = [
    "BilinearModel",
    "LinearModel",
    "MotifCounter",
    "MultilinearModel",
    "assert_batch_invariant",
    "assert_leaves_sequences",
    "assert_order_invariant",
    "bilinear_model",
    "epistasis_by_loop",
    "linear_model",
    "motif_counter",
    "mutation_effect_by_loop",
    "planted_pairs",
    "random_sequences",
    "rc_symmetric_model",
]
