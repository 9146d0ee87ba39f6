"""What a card says of a model's strands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kipoi_tfbind.training.card import _strands


@pytest.mark.parametrize(
    ("members", "is_equivariant"),
    [
        ([{}], True),
        ([{"strands": "tied"}, {"strands": "siamese"}], True),
        ([{"strands": "augmentation"}], False),
        ([{"strands": "none"}], False),
        ([{}, {"strands": "none"}], False),
    ],
)
def test_equivariant_only_if_every_member_is(members: list[dict[str, Any]], is_equivariant: bool) -> None:
    configs: Any = [SimpleNamespace(hyperparameters=member) for member in members]
    assert ("equivariant" in _strands(configs)) == is_equivariant
