"""Makes docs/methods_example.md: every method on one CTCF site and on one pair of FOXA1 and HNF4A sites.

    python docs/make_methods.py [--hessians] [--keep FOLDER]

Integrated Hessians are left out unless asked for, and are of a few positions of each. The pair is the window
of the example data with both motifs within 60 bp whose lower prediction of the two is the largest. Pictures
are written beside the page. It says on stderr how long each method took; results that are kept in a folder
are not computed again.
"""

from __future__ import annotations

import gzip
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.text import Annotation

import kipoi_tfbind as tfb
from kipoi_tfbind.backends.randomise import weighted_layers
from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.dna.shuffle import dinucleotide_shuffle
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.models.load import get_kipoi_model

HERE = Path(__file__).parent
ZOO = HERE.parent / "model_zoo" / "TFBind"
EXAMPLES = ZOO / "example_data"
FASTA = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
WIDTH = 60
# Positions that integrated Hessians are of: the middle of the CTCF site; of the pair, what other tables have.
# Of shuffles of these, the one that differs most: elsewhere nothing is to be explained.
CORES = {"ctcf": slice(188, 212), "pair": slice(304, 316)}
N_SHUFFLES = 20
N_CHECKED = 4  # sequences of the sanity checks
TRUST = """## Where they agree, where not

- **The CTCF site, single bases.** ISM, DeepSHAP, gradient × input and the surrogate draw one map (cosine 0.96
  to 0.99, 9 or 10 of the top 10 bases in common). Occlusion has the site but smears it over its window.
  Grad-CAM is nearly flat here, as coarse as the fields that its layer sees.
- **The pair, single bases.** They do not agree. ISM and the surrogate (0.93 and 0.95) have C314, and T297, as
  bases that hold the prediction down; DeepSHAP (0.64 and 0.75) has little at C314. What 314 does depends on
  305-309: both tables of pairs have it.
- **Pairs.** At the CTCF site all three find 193-204. The first three of second-order ISM, pairs of 194, 199
  and 202, are those of integrated Hessians in another order; these have nothing with 200 and 203, where the
  shuffle that they start from has the same base, and DFIM has its first two there. At the pair, DFIM and
  second-order ISM name 314 with 305-309 for FOXA1; for HNF4A they have the same pattern in another order.
  Neither has a pair across the two sites among its strongest: the model takes them nearly apart. Integrated
  Hessians of 304-315 do not have that pattern: 305-314 is their 18th, and 313-314 their first for both, which
  second-order ISM has 9th and 14th. On their way nine bases leave at once, for others that the model likes
  about as much: -0.13 and 0.15 are small sums of terms of either sign.
- **Segments.** Shapley interactions find the two halves of the CTCF site. At the pair they are small and name
  other places: they are means over neighbours that are shuffled, too.

## Which to trust when

- Where the surrogate's R² is high (CTCF, 0.85) the model is nearly a sum of bases here: take ISM, or DeepSHAP
  where a sum that adds up is wanted. Where it is about 0.5 (the pair), single effects depend on what else is
  there, and the interactions are the result.
- Occlusion and Grad-CAM say where, in steps of a window or a receptive field. Do not read single bases off
  them.
- Of pairs, trust second-order ISM first: it asks the model about this sequence and assumes nothing. DFIM
  and integrated Hessians divide what second-order ISM measures along a way to references. Shapley
  interactions answer for whole sites, over what else may be there.
- Attention needs a transformer, which the zoo has none of: there `attention_maps` is refused, by name.
  Where there is one, trust a head as far as its correlations with ISM and second-order ISM go.
- Read the sanity checks first, and see what a high rank correlation is made of. That of the pair's model, on
  four windows around CTCF sites, is of 600 bp whose first and last 50 have next to no contribution whatever
  the weights are: the architecture makes maps alike. It says nothing for DeepSHAP of the middle; there, take
  what mutants (ISM) confirm, and believe no small contribution.
"""
# Short names of the two sites; the one that is worked on comes first.
site = ["ctcf", "pair"]
KEEP = Path(sys.argv[sys.argv.index("--keep") + 1]) if "--keep" in sys.argv else None
MOTIFS = {"FOXA1": "TGTTT[AG]C|G[CT]AAACA", "HNF4A": "CAAAGT[CT]|[AG]ACTTTG"}


def timed(name: str, compute: Callable[..., xr.Dataset], *arguments: Any, **options: Any) -> xr.Dataset:
    """The result of a function, or what is kept of it; the time that it took goes to stderr."""
    path = KEEP / f"{site[0]} {name}.nc" if KEEP else None
    if path is not None and path.exists():
        return tfb.open_result(path)
    start, processor = time.perf_counter(), time.process_time()
    found = compute(*arguments, **options)
    if path is not None:
        tfb.save_result(found, path)
    taken = time.perf_counter() - start, time.process_time() - processor
    print(f"{name:22} {taken[0]:6.1f} s, {taken[1]:6.1f} s of the processor", file=sys.stderr, flush=True)
    return found


def pair_of_sites(model: tfb.SequenceModel) -> xr.Dataset:
    """The window of the example data with both motifs near its middle and the best predictions for both."""
    length = model.length or 600
    whole = contig()
    places = {
        name: [match.start() + 3 for match in re.finditer(f"(?={pattern})", whole)]
        for name, pattern in MOTIFS.items()
    }
    middles = [
        (a + b) // 2
        for a in places["FOXA1"]
        for b in places["HNF4A"]
        if 8 <= abs(a - b) <= WIDTH - 20 and length < min(a, b) < len(whole) - length
    ]
    windows = [whole[at - length // 2 : at - length // 2 + length] for at in middles]
    sequences = tfb.encode_sequences(windows, ids=[f"chr20:{at - length // 2 + 1:,}" for at in middles])
    prediction = model.select_targets(list(MOTIFS)).predict(sequences["one_hot"].values)
    return sequences.isel(sequence=[int(prediction.min(axis=1).argmax())])


def contig() -> str:
    """Letters of the example's piece of chromosome 20."""
    with gzip.open(FASTA, "rt") as file:
        return "".join(line.strip() for line in file if not line.startswith(">")).upper()


def first_order(
    model: tfb.SequenceModel, one: xr.Dataset, start: int, end: int
) -> tuple[dict[str, xr.Dataset], xr.Dataset]:
    """Maps of the middle, by method, and the surrogate."""
    fitted = timed("surrogate", tfb.surrogate, model, one, n_mutants=2000, start=start, end=end)
    maps = {
        "ISM": timed("ISM", tfb.in_silico_mutagenesis, model, one, start=start, end=end),
        "DeepSHAP": timed("DeepSHAP", tfb.deep_shap, model, one),
        "gradient × input": timed("gradient", tfb.gradients, model, one, method="gradient_x_input"),
        "occlusion": timed("occlusion", tfb.occlusion, model, one, width=5, stride=1),
        "Grad-CAM": timed("Grad-CAM", tfb.grad_cam, model, one),
        "surrogate": fitted,
    }
    return maps, fitted


def second_order(
    model: tfb.SequenceModel,
    precise: tfb.SequenceModel,
    one: xr.Dataset,
    start: int,
    end: int,
) -> dict[str, xr.Dataset]:
    """Interactions of the middle, by method."""
    found = {
        "second-order ISM": timed(
            "second-order ISM", tfb.second_order_mutagenesis, model, one, start=start, end=end
        ),
        "DFIM": timed("DFIM", tfb.deep_feature_interaction, model, one, start=start, end=end, n_references=3),
    }
    if "--hessians" in sys.argv:
        # A reference that differs from the sequence there: elsewhere nothing is to be explained.
        reference, core = one["one_hot"].values.copy(), CORES[site[0]]
        shuffles = dinucleotide_shuffle(reference[0, core], N_SHUFFLES)
        reference[0, core] = max(shuffles, key=lambda each: np.abs(each - reference[0, core]).sum())
        found["integrated Hessians"] = timed(
            "integrated Hessians", tfb.integrated_hessians, precise, one, references=reference, n_steps=4
        )
    return found


def by_position(result: xr.Dataset) -> xr.Dataset:
    """A result whose pictures have the positions in the sequence, as the tables of the page."""
    return result.drop_vars(["chrom", "start", "end", "strand"], errors="ignore")


def retitled(ax: plt.Axes, text: str) -> None:
    """Give a plot a short title in place of its own."""
    for note in [each for each in ax.texts if isinstance(each, Annotation)]:
        note.remove()
    ax.set_title(text, loc="left", fontsize=11, pad=6)


def draw_maps(maps: dict[str, xr.Dataset], targets: list[str], start: int, end: int) -> str:
    """A picture of all maps of the middle, a column for each target; its line on the page."""
    size = (1.6 + 7.2 * len(targets), 1.15 * len(maps) + 0.5)
    figure, axes = plt.subplots(
        len(maps), len(targets), figsize=size, sharex=True, squeeze=False, layout="constrained"
    )
    for row, (name, result) in zip(axes, maps.items(), strict=True):
        for ax, target in zip(row, targets, strict=True):
            tfb.plot_logo(by_position(result), target=target, start=start, end=end, ax=ax)
            retitled(ax, target if name == next(iter(maps)) else "")
            ax.set(xlabel="", ylabel="")
        row[0].set_ylabel(name, fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("Position in the sequence (0-based)")
    return saved(figure, "maps", f"Maps of {' and '.join(targets)} by {len(maps)} methods")


def draw_interactions(found: dict[str, xr.Dataset], targets: list[str], start: int, end: int) -> str:
    """A picture of the interactions of the middle, a row for each target; its line on the page."""
    size = (5.2 * len(found), 5.0 * len(targets))
    figure, axes = plt.subplots(len(targets), len(found), figsize=size, squeeze=False, layout="constrained")
    for row, target in zip(axes, targets, strict=True):
        for ax, (name, result) in zip(row, found.items(), strict=True):
            shown = by_position(tfb.epistasis_interaction(result) if "epistasis" in result else result)
            tfb.plot_interaction(shown, target=target, start=start, end=end, n_strongest=3, ax=ax)
            retitled(ax, f"{target}, {name}")
    return saved(figure, "interactions", f"Interactions of {' and '.join(targets)} by {len(found)} methods")


def saved(figure: Any, what: str, alternative: str) -> str:
    """Write a picture beside the page; its line there."""
    name = f"methods_{site[0]}_{what}.png"
    figure.savefig(HERE / name, dpi=90)
    plt.close(figure)
    return f"![{alternative}]({name})"


def about_hessians(result: xr.Dataset, targets: list[str]) -> str:
    """What the integrated Hessians are of, and how complete they are."""
    one, core = result.isel(sequence=0), CORES[site[0]]
    difference = one["prediction"] - one["mean_reference_prediction"]
    share = float(np.abs(one["completeness_error"] / difference).max())
    sums = " and ".join(f"{float(difference.sel(target=target)):.2f} ({target})" for target in targets)
    return (
        f"Integrated Hessians are of {core.stop - core.start} bp ({core.start}-{core.stop - 1}), against the "
        f"one of {N_SHUFFLES} shuffles of these that differs most, and 0 where it has the same base. With "
        f"the positions' own terms they add up to the difference, {sums}, but for {share:.0e} of it."
    )


def segments_together(model: tfb.SequenceModel, one: xr.Dataset, start: int, targets: list[str]) -> list[str]:
    """Shapley interactions of twelve segments, the strongest three for each target."""
    width = WIDTH // 12
    segments = [(at, at + width) for at in range(start, start + WIDTH, width)]
    result = timed(
        "Shapley interactions", tfb.shapley_interactions, model, one, segments=segments, n_references=3
    )
    lines = []
    for target in targets:
        view = result.isel(sequence=0).sel(target=target)
        order = np.argsort(-np.abs(view["interaction"].values))[:3]
        said = [
            f"{int(view['position_a'][i])}-{int(view['end_a'][i]) - 1} and {int(view['position_b'][i])}-"
            f"{int(view['end_b'][i]) - 1} ({float(view['interaction'][i]):+.2f})"
            for i in order
        ]
        lines.append(
            f"{target}: the strongest Shapley interactions of segments of {width} bp: {'; '.join(said)}."
        )
    return lines


def checks_of(name: str, targets: list[str], sequences: xr.Dataset) -> list[str]:
    """Verdict of the sanity checks of DeepSHAP, and what attention maps say."""
    bare = get_kipoi_model(str(ZOO / name), "dir")
    names = weighted_layers(bare.model)
    layers = [names[0], names[len(names) // 2], names[-1]]
    checked = timed(
        "sanity checks", tfb.sanity_checks, bare, sequences, layers=layers, options={"n_references": 20}
    )
    lines = [f"Sanity checks, {sequences.sizes['sequence']} sequences, the layers from the output down:", ""]
    for target in targets:
        lines.append(f"- {target}: {checked['verdict'].sel(target=target).item()}.")
    try:
        tfb.attention_maps(tfb.as_sequence_model(bare), sequences)
    except UnsupportedModelError as error:
        text = str(error).replace(str(ZOO.parent), "model_zoo")
        lines += ["", f"Attention maps: refused. `{text}`"]
    return [*lines, ""]


def describe(title: str, name: str, one: xr.Dataset, targets: list[str], others: xr.Dataset) -> list[str]:
    """The part of the page about one sequence."""
    model = tfb.load_model(str(ZOO / name), source="dir").select_targets(targets)
    precise = tfb.load_model(str(ZOO / name), source="dir", double_precision=True).select_targets(targets)
    length = one.sizes["position"]
    start, end = (length - WIDTH) // 2, (length + WIDTH) // 2
    lines = [f"## {title}", "", f"`{decode_one_hot(one['one_hot'].values)[0][start:end]}`", ""]
    maps, fitted = first_order(model, one, start, end)
    lines += [draw_maps(maps, targets, start, end), ""]
    compared = tfb.agreement(maps, top=10)
    for target in targets:
        view = compared.sel(target=target).isel(sequence=0)
        r_squared = float(fitted["r_squared"].sel(target=target).item())
        lines += [f"{target}: R² of the surrogate {r_squared:.2f}. Maps of the middle {WIDTH} bp:", ""]
        lines += ["| maps | cosine | rank correlation | top 10 in common |", "|---|---|---|---|"]
        for at in range(view.sizes["comparison"]):
            row = view.isel(comparison=at)
            numbers = " | ".join(
                f"{float(row[m]):.2f}" for m in ("cosine", "rank_correlation", "top_overlap")
            )
            lines.append(f"| {row['map_a'].item()}, {row['map_b'].item()} | {numbers} |")
        lines.append("")
    interactions = second_order(model, precise, one, start, end)
    lines += [draw_interactions(interactions, targets, start, end), ""]
    if "integrated Hessians" in interactions:
        lines += [about_hessians(interactions["integrated Hessians"], targets), ""]
    table = tfb.compare_interactions(interactions, n=5)
    for target in targets:
        rows = table[table["target"] == target]
        names = list(interactions)
        lines += [
            f"{target}: the strongest pairs (position in the sequence; value, and rank by its size):",
            "",
        ]
        lines += [f"| pair | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
        for _, row in rows.iterrows():
            cells = " | ".join(f"{row[n]:+.2f} ({row[f'rank {n}']:.0f})" if row[n] else "0" for n in names)
            lines.append(f"| {row['position_a']:.0f}, {row['position_b']:.0f} | {cells} |")
        lines.append("")
    lines += [*segments_together(model, one, start, targets), ""]
    samples = timed(
        "samples", tfb.maximum_entropy_samples, model, one, start=start, end=end, n_samples=100, burn_in=500
    )
    designed = timed(
        "design", tfb.design, model, one, objective={targets[0]: -1}, n_edits=3, start=start, end=end
    )
    for target in targets:
        weight = samples["position_weight"].sel(target=target).isel(sequence=0)
        top = weight["position"].values[np.argsort(-weight.values)[:8]]
        lines.append(f"{target}: maximum-entropy samples keep most at {', '.join(map(str, sorted(top)))}.")
    steps = designed.isel(sequence=0)
    edits = [
        f"{p}{'ACGT'[b]}"
        for p, b in zip(steps["step_position"].values, steps["step_base"].values, strict=True)
        if p >= 0
    ]
    values = ", ".join(f"{v:.2f}" for v in steps["step_prediction"].sel(target=targets[0]).values)
    lines += ["", f"Design that lowers {targets[0]}: {' '.join(edits)}; its logit {values}.", ""]
    return lines + checks_of(name, targets, others)


def main() -> None:
    """Write the page."""
    sites = tfb.read_sequences(FASTA, EXAMPLES / "ctcf_sites.bed", length=400)
    lines = ["# The methods on two sequences", "", "Made by `python docs/make_methods.py --hessians`.", ""]
    some = slice(N_CHECKED)
    one, checked = sites.isel(sequence=[0]), sites.isel(sequence=some)
    lines += describe("One CTCF site", "CTCF-single", one, ["CTCF"], checked)
    hepg2 = tfb.load_model(str(ZOO / "HepG2-single"), source="dir")
    pair = pair_of_sites(hepg2)
    windows = tfb.read_sequences(FASTA, EXAMPLES / "ctcf_sites.bed", length=pair.sizes["position"])
    site.reverse()
    title = f"One pair of FOXA1 and HNF4A sites, {pair['id'].item()}"
    lines += describe(title, "HepG2-single", pair, list(MOTIFS), windows.isel(sequence=some))
    lines += TRUST.splitlines()
    (HERE / "methods_example.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
