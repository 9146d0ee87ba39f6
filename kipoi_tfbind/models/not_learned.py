"""Say once which targets of a model should not be interpreted, as its card has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kipoi_tfbind.notices import notice

_told: set[tuple[str, str]] = set()


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
    concerned = with_verdicts(targets, verdicts)
    if concerned and (model, concerned) not in _told:
        _told.add((model, concerned))
        notice(
            f"model {model} has not learned the motif of {concerned}: maps of these show composition and "
            "other factors' motifs; see its card"
        )


def with_verdicts(targets: Sequence[str], verdicts: Mapping[str, str]) -> str:
    """Those of the targets that have a verdict, with it, as text.

    Examples
    --------
    >>> with_verdicts(["CTCF", "ATF3", "SRF"], {"ATF3": "too few peaks", "SRF": "context only"})
    'ATF3 (too few peaks), SRF (context only)'
    """
    return ", ".join(f"{name} ({verdicts[name]})" for name in targets if name in verdicts)
