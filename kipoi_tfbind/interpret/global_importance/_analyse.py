"""The frame of global importance analysis: designs of patterns in, labelled effects and statistics out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, batch_of
from kipoi_tfbind.interpret._method import Variables, predict_all, provenance, wrapped_for
from kipoi_tfbind.interpret._paths import Paths
from kipoi_tfbind.interpret.global_importance._comparisons import Comparison, factors_of, text_of
from kipoi_tfbind.interpret.global_importance._insertions import (
    Pattern,
    pattern_effects,
    place,
)
from kipoi_tfbind.interpret.global_importance._summary import FACTORS, MemberEffects, summary
from kipoi_tfbind.interpret.global_importance.settings import Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import notice

METHOD = "global_importance_analysis"
Effects = Callable[[SequenceModel, Batch, NDArray], NDArray]
# Known only when all is computed: the path that was taken is among them.
Attributes = Callable[[], Mapping[str, Any]]

_BACKGROUND_ATTRIBUTES = ("background", "background_seed", "background_filter")


@dataclass
class Design:
    """Patterns of an experiment, and the comparisons between them.

    Attributes
    ----------
    experiment
        Name of the experiment.
    patterns
        Name -> motifs and their offsets.
    comparisons
        Name -> the patterns that it is compared with.
    coordinates
        Name of a coordinate -> its value for each pattern; those of `add`.
    attributes
        Options of the experiment, for the result's attributes.
    n_in_all
        Number of patterns of the whole experiment, where these are only some of them.
    """

    experiment: str
    patterns: dict[str, Pattern] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    coordinates: dict[str, list[Any]] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    n_in_all: int | None = None

    def add(self, name: str, pattern: Pattern, compared: Comparison = (), **coordinates: Any) -> None:
        """Add a pattern, once."""
        if name in self.patterns:
            return
        self.patterns[name] = pattern
        if compared:
            self.comparisons[name] = compared
        for key, value in coordinates.items():
            self.coordinates.setdefault(key, []).append(value)


@dataclass(frozen=True)
class Labels:
    """Labels of the effects of an experiment.

    Attributes
    ----------
    names
        Of the patterns.
    comparisons
        Name -> the patterns that it is compared with.
    coordinates
        Name of a coordinate -> its value for each pattern.
    attributes
        Gives the attributes of the result; called when all is computed.
    """

    names: Sequence[str]
    comparisons: Mapping[str, Comparison]
    coordinates: Mapping[str, Sequence[Any]]
    attributes: Attributes


def centre(length: int, width: int) -> int:
    """Offset of what is to be in the middle of a background."""
    return (length - width) // 2


def length_of(backgrounds: xr.Dataset) -> int:
    """Length of the backgrounds, after a check that there are any."""
    schema.require(backgrounds, "one_hot")
    return int(backgrounds.sizes["position"])


def analyse(
    model: Any, backgrounds: xr.Dataset, design: Design, settings: Settings, *, corrected: bool = True
) -> xr.Dataset:
    """Embed the patterns of a design in backgrounds, and give their effects with statistics.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    design
        The patterns.
    settings
        Options of `global_importance_analysis`.
    corrected
        Correct for the number of patterns; not where these are only some of an experiment's.
    """
    if not design.patterns:
        raise InputError("patterns: expected at least one, got none")
    length = length_of(backgrounds)
    placed = {name: place(name, each, length, settings.on_conflict) for name, each in design.patterns.items()}
    for each in placed.values():
        if each.notes:
            notice(each.notes)
    paths = Paths(settings.path)

    def effects(member: SequenceModel, batch: Batch, prediction: NDArray) -> NDArray:
        share = len(placed) / (design.n_in_all or len(placed))
        path = paths.of(member, batch)
        codes = codes_of(batch.one_hot)
        return pattern_effects(path, batch, codes, placed, prediction, settings, share=share)

    labels = Labels(
        names=list(placed),
        comparisons=design.comparisons,
        coordinates={
            "insertions": [each.text for each in placed.values()],
            "note": [each.notes for each in placed.values()],
            **design.coordinates,
        },
        attributes=lambda: {
            "experiment": design.experiment,
            **design.attributes,
            "on_conflict": settings.on_conflict,
            **paths.settings(),
        },
    )
    return summarise(model, backgrounds, effects, labels, settings, corrected=corrected)


def summarise(
    model: Any,
    backgrounds: xr.Dataset,
    effects: Effects,
    labels: Labels,
    settings: Settings,
    *,
    corrected: bool = True,
) -> xr.Dataset:
    """Run a kernel of effects (pattern, background, target), on an ensemble too, and label the result."""
    model = wrapped_for(backgrounds, model)
    codes = codes_of(backgrounds["one_hot"].values)  # raises where a row is neither a base nor zeros
    factors = factors_of(labels.names, labels.comparisons)

    def computed(member: SequenceModel) -> MemberEffects:
        batch = batch_of(backgrounds, member)

        def of(rows: NDArray[np.intp]) -> MemberEffects:
            some = batch.rows(rows)
            prediction = predict_all(member, some, batch_size=settings.batch_size, description="backgrounds")
            return prediction, effects(member, some, prediction)

        if settings.kept is None:
            return of(np.arange(len(batch)))
        return settings.kept.of(len(batch), labels.names, member.target_names, of)

    members = (computed(member) for member in model.members or (model,))
    found: Variables = {}
    own: dict[str, Any] = {}
    if settings.kept is not None and settings.kept.shard is not None:
        # Statistics need all backgrounds: they are made when the shards are joined.
        own[FACTORS] = json.dumps([[row, list(terms.items())] for row, terms in factors.items()])
        for _ in members:
            pass
    else:
        found = summary(members, factors, settings.statistics, corrected=corrected)

    ids = backgrounds["id"].values if "id" in backgrounds.coords else np.arange(len(codes)).astype(str)
    compared_with = [text_of(labels.comparisons.get(name, ())) for name in labels.names]
    result = xr.Dataset(
        found,
        coords={
            "pattern": list(labels.names),
            "compared_with": ("pattern", compared_with),
            **{name: ("pattern", np.asarray(values)) for name, values in labels.coordinates.items()},
            "background": ids,
            "target": list(model.target_names),
        },
    )
    kept = {name: backgrounds.attrs[name] for name in _BACKGROUND_ATTRIBUTES if name in backgrounds.attrs}
    attributes = provenance(
        METHOD,
        model,
        **labels.attributes(),
        **{"background": "given"} | kept,
        background_hash=content_hash(backgrounds),
        background_length=codes.shape[1],
        **settings.statistics,
        batch_size=settings.batch_size,
    )
    return schema.annotate(result.assign_attrs(attributes | own))


def content_hash(backgrounds: xr.Dataset) -> str:
    """Hash of the bases of backgrounds: 16 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(codes_of(backgrounds["one_hot"].values).tobytes()).hexdigest()[:16]
