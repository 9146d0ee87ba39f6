"""Training options: what is done to windows before a model sees them, and terms added to its loss."""

from __future__ import annotations

from dataclasses import dataclass

# Bounds of settings, in a training configuration, that may not be just any number from 0 on.
OPTION_BOUNDS = {
    **dict.fromkeys(
        (
            "reverse_complement",
            "mutation",
            "label_smoothing",
            "adversarial_weight",
            "adversarial_share",
        ),
        (0, 1),
    ),
    "prior_frequency": (0, 0.5),
    "adversarial_steps": (1, 100),
    "at_most": (1, 5),
}


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to training windows, anew in every epoch; their length and labels stay.

    The first five are those of EvoAug (Lee et al. 2023, doi:10.1186/s13059-023-02941-w), a window gets some
    of those that are not 0; its second stage is `plain_epochs`. Noise and mixup as training options for
    models of regulatory sequence: Koo et al. 2019, doi:10.1101/657437.

    Attributes
    ----------
    insertion, deletion, inversion, translocation
        Largest length in bp: random bases put in; bases taken out and random ones added at the ends; a
        stretch replaced by its reverse complement; the window rotated by some positions.
    mutation
        Share of positions that get another base.
    at_most
        Most of these augmentations in one window; how many, from 1, and which is drawn.
    reverse_complement
        Share of windows that are read from the other strand.
    noise
        Standard deviation of Gaussian noise added to the one-hot windows.
    mixup
        Parameter of the Beta distribution of the share at which each window of a batch is mixed with another
        one, their labels too (Zhang et al. 2018, doi:10.48550/arXiv.1710.09412).
    plain_epochs
        The last epochs, in which windows are left as they are, but for `reverse_complement`.
    """

    insertion: int = 0
    deletion: int = 0
    inversion: int = 0
    translocation: int = 0
    mutation: float = 0.0
    at_most: int = 2
    reverse_complement: float = 0.0
    noise: float = 0.0
    mixup: float = 0.0
    plain_epochs: int = 0


@dataclass(frozen=True)
class RegulariseConfig:
    """Terms of the loss beside the cross-entropy of the windows as they are.

    Attributes
    ----------
    label_smoothing
        Share s that labels are moved towards one half: y becomes (1 - s) y + s / 2 (Szegedy et al. 2016,
        doi:10.1109/CVPR.2016.308).
    adversarial_weight
        Weight w of the loss of windows made adversarial by projected gradient ascent (Madry et al. 2018,
        doi:10.48550/arXiv.1706.06083); the loss of the windows as they are has 1 - w.
    adversarial_share
        Largest share of a position's observed base that the ascent may give to other bases.
    adversarial_steps
        Steps of the ascent; each costs as much as a training step.
    prior_weight
        Weight of the Fourier attribution prior (Tseng et al. 2020, doi:10.1101/2020.06.11.147272).
    prior_frequency
        Frequency, in cycles per bp, above which the prior penalises.
    prior_smoothing
        Standard deviation, in bp, of the Gaussian that smooths attributions before their Fourier transform.
    motif_anchor
        Weight of the sum of squared differences, in nats^2, of the filters that start as `motif_filters` from
        these motifs; `.inf` keeps the filters as they start.
    """

    label_smoothing: float = 0.0
    adversarial_weight: float = 0.0
    adversarial_share: float = 0.2
    adversarial_steps: int = 3
    prior_weight: float = 0.0
    prior_frequency: float = 0.15
    prior_smoothing: float = 3.0
    motif_anchor: float = 0.0

    @property
    def needs_input_gradients(self) -> bool:
        """Whether a term needs the gradient of the loss or of the logits with respect to the windows."""
        return bool(self.adversarial_weight or self.prior_weight)
