"""Say once which targets of a model should not be interpreted, as its card has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kipoi_tfbind.notices import notice

_told: set[tuple[str, tuple[str, ...]]] = set()


def tell_not_learned(model: str, targets: Sequence[str], verdicts: Mapping[str, str]) -> None:
    """Tell the user, once for a model and its targets, which of these have not learned their motif.

    Parameters
    ----------
    model
        Name of the model.
    targets
        Names of the targets that are interpreted.
    verdicts
        Target -> verdict of the model's card, where it is not "learned".

    Examples
    --------
    >>> tell_not_learned("TFBind/HepG2", ["CTCF"], {"ATF3": "too few peaks"})
    """
    concerned = {name: verdicts[name] for name in targets if name in verdicts}
    key = (model, tuple(concerned))
    if concerned and key not in _told:
        _told.add(key)
        listed = ", ".join(f"{name} ({verdict})" for name, verdict in concerned.items())
        notice(
            f"model {model} has not learned the motif of {listed}: maps of these show composition and other "
            "factors' motifs; see its card"
        )
