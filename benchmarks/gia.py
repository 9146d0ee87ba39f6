"""Speed and statistics of global importance analysis.

    python benchmarks/gia.py speed        k-mer and spacing scans against predicting every sequence
    python benchmarks/gia.py kmers        all 4,096 6-mers in 1,000 backgrounds of 200 bp
    python benchmarks/gia.py statistics   coverage, type-I error and false discoveries, by simulation

The model of `speed` and `kmers` is a small Basset (two convolutions with max pooling, and a hidden layer),
with random weights. The naive side makes the one-hot arrays of all patterns in all backgrounds, 8,192
sequences at a time, and calls model.predict. Both sides predict in batches of 1,024 and take turns; the
ratio is the median of those of the rounds. The effects of both are compared as well.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BATCH = 1024
MOTIFS, MAX_DISTANCE = ("GATAAG", "CACGTT"), 40
AT_ONCE = 8192  # sequences that the naive side makes and predicts in one call


def basset(length: int) -> Any:
    """A small Basset with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((length, 4))
    layers = keras.layers
    x = layers.Conv1D(64, 19, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling1D(3)(x)
    x = layers.Conv1D(64, 11, padding="same", activation="relu")(x)
    x = layers.MaxPooling1D(4)(x)
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(1)(x))


def naive(model: Any, one_hot: np.ndarray, words: list[list[tuple[str, int]]]) -> np.ndarray:
    """Effects (pattern, background) by predicting every pattern in every background."""
    plain = model.predict(one_hot, batch_size=BATCH, verbose=0)[:, 0]
    effects = []
    at_once = max(1, AT_ONCE // len(one_hot))
    for first in range(0, len(words), at_once):
        some = words[first : first + at_once]
        edited = np.repeat(one_hot[np.newaxis], len(some), axis=0)
        for row, pattern in enumerate(some):
            for word, offset in pattern:
                bases = np.eye(4)[["ACGT".index(base) for base in word]]
                edited[row, :, offset : offset + len(word)] = bases
        prediction = model.predict(edited.reshape(-1, *one_hot.shape[1:]), batch_size=BATCH, verbose=0)
        effects.append(prediction.reshape(len(some), -1) - plain)
    return np.concatenate(effects)


def spacing_scan(model: Any, backgrounds: Any) -> Any:
    import kipoi_tfbind as tfb

    return tfb.spacing_importance(
        model, backgrounds, *MOTIFS, max_distance=MAX_DISTANCE, n_resamples=1, batch_size=BATCH
    )


def spacing_words(length: int) -> list[list[tuple[str, int]]]:
    """The patterns of a spacing scan in four orientations, in the order of its result."""

    def turned(word: str, sign: str) -> str:
        return word if sign == "+" else word[::-1].translate(str.maketrans("ACGT", "TGCA"))

    first, second = MOTIFS
    at = (length - len(first)) // 2
    distances = [d for d in range(-MAX_DISTANCE, MAX_DISTANCE + 1) if abs(d) >= len(first)]
    words: dict[tuple[tuple[str, int], ...], None] = {}
    for a, b in ("++", "+-", "-+", "--"):
        alone = (turned(first, a), at)
        words[(alone,)] = None
        for distance in distances:
            other = (turned(second, b), at + distance)
            words[(other,)] = None
            words[(alone, other)] = None
    return [list(pattern) for pattern in words]


def in_turns(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def speed(rounds: int, n_backgrounds: int, lengths: list[int]) -> None:
    import kipoi_tfbind as tfb

    print("| scan | length | patterns x backgrounds | naive | ours | naive / ours | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for length in lengths:
        keras_model = basset(length)
        model = tfb.as_sequence_model(keras_model)
        backgrounds = tfb.make_backgrounds("uniform", n_backgrounds, length=length)
        one_hot = backgrounds["one_hot"].values
        middle = (length - 4) // 2
        kmers = tfb.kmer_importance(model, backgrounds, 4, n_resamples=1)
        words = [[(str(name), middle)] for name in kmers["pattern"].values]
        spaced = spacing_words(length)
        scans = {
            "4-mers": (
                lambda m=model, b=backgrounds: tfb.kmer_importance(m, b, 4, n_resamples=1, batch_size=BATCH),
                lambda k=keras_model, x=one_hot, w=words: naive(k, x, w),
                len(words),
            ),
            "spacing": (
                lambda m=model, b=backgrounds: spacing_scan(m, b),
                lambda k=keras_model, x=one_hot, w=spaced: naive(k, x, w),
                len(spaced),
            ),
        }
        for name, (ours, theirs, n) in scans.items():
            found, expected = ours(), theirs()  # compiles both
            effect = found["pattern_effect"].values[..., 0]
            off = np.abs(effect - expected).max() / np.abs(expected).max()
            seconds = in_turns({"naive": theirs, "ours": ours}, rounds)
            ratio = np.median(np.array(seconds["naive"]) / np.array(seconds["ours"]))
            medians = {side: np.median(values) for side, values in seconds.items()}
            times = f"{medians['naive']:.2f} s | {medians['ours']:.2f} s"
            cells = f"{name} | {length} | {n} x {n_backgrounds} | {times} | {ratio:.1f} | {off:.0e}"
            print(f"| {cells} |", flush=True)


def all_kmers(k: int, n_backgrounds: int) -> None:
    import kipoi_tfbind as tfb

    model = tfb.as_sequence_model(basset(200))
    backgrounds = tfb.make_backgrounds("uniform", n_backgrounds, length=200)
    tfb.kmer_importance(model, backgrounds, k, end=2, n_resamples=1, batch_size=BATCH)
    start = time.perf_counter()
    result = tfb.kmer_importance(model, backgrounds, k, batch_size=BATCH)
    seconds = time.perf_counter() - start
    n = result.sizes["pattern"] * n_backgrounds
    what = f"{4**k:,} {k}-mers x {n_backgrounds:,} backgrounds of 200 bp, with statistics"
    print(f"{what}: {seconds:.0f} s, {n / seconds:,.0f} sequences/s")


def statistics(n_experiments: int) -> None:
    """Simulations through the public function, new backgrounds for each experiment."""
    length, offset, codes = 12, 4, [2, 0, 3, 3, 0]  # GATTA
    rows = np.arange(offset, offset + 5)
    weights = np.random.default_rng(1).normal(size=(length, 4))
    balanced = weights.copy()
    balanced[rows, codes] = balanced[rows].sum(axis=1) - balanced[rows, codes]
    balanced[rows, codes] /= 3  # so that it is the mean of all four

    def linear(x: np.ndarray, w: np.ndarray = weights) -> np.ndarray:
        return np.einsum("nlb,lb->n", x, w)

    def exponential(x: np.ndarray, scale: float) -> np.ndarray:
        return np.exp(scale * linear(x))

    models: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
        "linear": (linear, float((weights[rows, codes] - weights[rows].mean(1)).sum())),
    }
    for scale in (0.25, 0.35, 0.5):
        factors = np.exp(scale * weights)
        means = factors.mean(axis=1)
        truth = (factors[rows, codes].prod() - means[rows].prod()) * np.delete(means, rows).prod()
        models[f"exp({scale} x linear)"] = (partial(exponential, scale=scale), float(truth))
    print(f"{n_experiments:,} experiments: 95% intervals with the truth in them.\n")
    print("| model | skewness of effects | backgrounds | t interval | bootstrap |\n|---|---|---|---|---|")
    for name, (function, truth) in models.items():
        for n in (50, 100, 300, 1000):
            skewness, found = simulate(function, length, offset, n_experiments, n, seed=n)
            inside = [
                f"{((low <= truth) & (truth <= high)).mean():.1%}"
                for low, high in ((found.low, found.high), (found.bootstrap_low, found.bootstrap_high))
            ]
            print(f"| {name} | {skewness:.1f} | {n} | {' | '.join(inside)} |", flush=True)
    repeats = 5
    print(f"\n{repeats * n_experiments:,} experiments without an effect: tests with p <= 0.05.\n")
    print("| backgrounds | t-test | sign flips |\n|---|---|---|")
    for n in (50, 100, 300, 1000):
        parts = [
            simulate(
                partial(linear, w=balanced), length, offset, n_experiments, n, seed=10_000 + 10 * n + part
            )[1]
            for part in range(repeats)
        ]
        shares = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("p_value", "permutation_p_value")
        ]
        print(f"| {n} | {' | '.join(f'{(p <= 0.05).mean():.1%}' for p in shares)} |", flush=True)


def simulate(
    function: Callable[[np.ndarray], np.ndarray],
    length: int,
    offset: int,
    n_experiments: int,
    n: int,
    seed: int,
) -> tuple[float, Any]:
    """Skewness of the effects, and the statistics of experiments with `n` backgrounds each."""
    from scipy.stats import skew

    import kipoi_tfbind as tfb
    from kipoi_tfbind.interpret.global_importance.statistics import paired_statistics

    backgrounds = tfb.make_backgrounds("uniform", n_experiments * n, length=length, seed=seed)
    model = tfb.as_sequence_model(function, length=length)
    result = tfb.global_importance_analysis(
        model, backgrounds, {"p": [("GATTA", offset)]}, n_resamples=1, batch_size=8192
    )
    effects = result["pattern_effect"].values.reshape(n_experiments, n)
    return float(skew(effects.ravel())), paired_statistics(effects, axis=1, n_resamples=1000, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "kmers", "statistics"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backgrounds", type=int, help="default: 128 for speed, 1,000 for kmers")
    parser.add_argument("--lengths", type=int, nargs="+", default=[200, 400, 600])
    parser.add_argument("-k", type=int, default=6)
    parser.add_argument("--experiments", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.what == "speed":
        speed(arguments.rounds, arguments.backgrounds or 128, arguments.lengths)
    elif arguments.what == "kmers":
        all_kmers(arguments.k, arguments.backgrounds or 1000)
    else:
        statistics(arguments.experiments)


if __name__ == "__main__":
    main()
