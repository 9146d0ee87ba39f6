"""What a card says of a model's strands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kipoi_tfbind.cli import distill
from kipoi_tfbind.training.card import _architecture, _commands, _strands


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


def test_the_card_of_a_student_says_what_it_is_and_how_it_was_made() -> None:
    configs: Any = [SimpleNamespace(architecture=name) for name in ("a", "a", "b")]
    made = {"members": 1, "keep": [2, 3], "windows": 60000, "mutation_rate": 0.2, "ensemble": "seeds"}
    made["kept"] = [2, 3]
    assert _architecture(configs, made) == (
        "features of 1 × `a` and 1 × `b`, and from them log-odds of 2 × `a` and 1 × `b`, distilled and "
        "weighed for each target"
    )
    lines = _commands("X", 3, made).splitlines()
    assert lines[-2].endswith("--peaks peaks/ -o ensemble")
    assert lines[-1] == (
        "kipoi tfbind distill ensemble --fasta genome.fa --peaks peaks/ -o run --keep 2 --keep 3 "
        "--windows 60000 --mutation-rate 0.2"
    )
    chosen = _commands("X", 3, made | {"members": 2, "keep": []}).splitlines()[-1]
    assert chosen.endswith("-o run --members 2 --windows 60000 --mutation-rate 0.2")
    options = {option for parameter in distill.command.params for option in parameter.opts}
    assert {word for word in lines[-1].split() if word.startswith("--")} <= options
    assert "distill" not in _commands("X", 3, None)
