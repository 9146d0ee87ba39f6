"""Shared by the commands of `kipoi tfbind gia`: motifs, backgrounds, statistics, and the result file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kipoi_tfbind.cli._command import INPUT, RUNNING, option
from kipoi_tfbind.cli._gia_summary import report
from kipoi_tfbind.cli._interpret import SEQUENCE_WAYS, load_models, sequence_chunks, source_of_sequences
from kipoi_tfbind.cli._method_options import CONFIDENCE, VERIFY, path_option, seed_option
from kipoi_tfbind.cli._options import (
    MODEL_OPTIONS,
    RESTART,
    RESULT_OUTPUT,
    RUNNING_OPTIONS,
    SEQUENCE_OPTIONS,
    with_options,
)
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.cli._shards import SHARD
from kipoi_tfbind.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from kipoi_tfbind.models.sequence_model import SequenceModel
    from kipoi_tfbind.motifs.motif import Motif


_STATISTICS_OPTIONS = (
    CONFIDENCE,
    option(
        "--n-resamples",
        type=click.IntRange(min=1),
        default=2000,
        show_default=True,
        help="Number of bootstrap resamples, and of sign flips.",
    ),
    seed_option("Of everything that is drawn at random."),
    option(
        "--half-width",
        type=float,
        metavar="W",
        help="Say how many backgrounds would give intervals of plus or minus W.",
    ),
    path_option("Compute only what a pattern changes (exact), or predict all as a whole."),
    VERIFY,
)
_BACKGROUND_OPTIONS = (
    option(
        "--backgrounds",
        default="dinucleotide_shuffle",
        show_default=True,
        aliases=("--background", "--references"),
        help="uniform; of the sequences (--intervals, --sequences): profile, mononucleotide_shuffle, "
        "dinucleotide_shuffle, klet_shuffle:K, markov:K; genomic: windows of --fasta with their GC content; "
        "given: the sequences themselves.",
    ),
    option(
        "--n-backgrounds",
        type=click.IntRange(min=2),
        default=1000,
        show_default=True,
        aliases=("--n-references",),
        help="Number of backgrounds.",
    ),
    option("--avoid", type=click.Path(), section=INPUT, help="BED of what no genomic background may touch."),
    option(
        "--central",
        metavar="LOW,HIGH",
        help="Only backgrounds whose prediction (of the first target) is between these quantiles: 0.1,0.9.",
    ),
)
_CLIP = option(
    "--clip",
    is_flag=True,
    help="Clip what overlaps or reaches out of the background, instead of refusing it.",
)


def motif_option(*, required: bool = True) -> Callable[..., Any]:
    """The option of the motifs."""
    return option(
        "--motif",
        "motifs",
        multiple=True,
        required=required,
        metavar="[NAME=]MOTIF",
        help="Sequence or IUPAC consensus; JASPAR id such as MA0139.2; FILE.meme or FILE.meme:ID.",
    )


MOTIFS = motif_option()
CONSENSUS = option(
    "--consensus", is_flag=True, help="Embed the likeliest sequence of a matrix, instead of draws from it."
)
OFFSET = option("--offset", type=int, help="Position of the first base, 0-based.  [default: the middle]")


_RUNNING = (RESULT_OUTPUT, RUNNING_OPTIONS)


def _refuse_to_restart(context: click.Context, _parameter: click.Parameter, is_given: bool) -> None:
    if is_given:
        raise InputError(
            f"--restart: gia {context.info_name} writes nothing before its end, so that it always "
            "begins anew; leave this out"
        )


# Of an experiment whose statistics need all predictions at once, and which takes a minute: known, as other
# experiments have it, and refused.
_NO_RESTART = option(
    "--restart",
    is_flag=True,
    hidden=True,
    expose_value=False,
    is_eager=True,
    callback=_refuse_to_restart,
    section=RUNNING,
    help="Refused.",
)
_ON_BACKGROUNDS = (MODEL_OPTIONS, SEQUENCE_OPTIONS, _BACKGROUND_OPTIONS, _STATISTICS_OPTIONS, _CLIP, _RUNNING)
background_options = with_options(_ON_BACKGROUNDS, _NO_RESTART)
importance_options = with_options(_ON_BACKGROUNDS, RESTART, SHARD)
real_sequence_options = with_options(
    MODEL_OPTIONS, SEQUENCE_OPTIONS, _STATISTICS_OPTIONS, _RUNNING, _NO_RESTART
)


def run_experiment(
    experiment: Callable[..., xr.Dataset], options: dict[str, Any], *arguments: Any, **settings: Any
) -> None:
    """Run an experiment on backgrounds, write its result, and print its summary."""
    from kipoi_tfbind.interpret.global_importance.stream_experiment import stream_experiment

    check_output(options)
    model, backgrounds = model_and_backgrounds(options)
    chosen = analysis_options(options)
    shard = options["shard"]
    result = stream_experiment(
        experiment,
        model,
        backgrounds,
        options["output"],
        *arguments,
        shard=shard,
        restart=options["restart"],
        **settings,
        **chosen,
    )
    if shard is None:
        report(result, options)
    else:
        say(f"{options['output']}: shard {shard} of {result.sizes['background']} backgrounds")


def run_on_sequences(
    experiment: Callable[..., xr.Dataset], options: dict[str, Any], *arguments: Any, **settings: Any
) -> None:
    """Run an experiment on real sequences, write its result, and print its summary."""
    check_output(options)
    model, sequences = model_and_sequences(options)
    chosen = analysis_options(options)
    chosen.pop("on_conflict")
    _save(experiment(model, sequences, *arguments, **settings, **chosen), options)


def check_output(options: dict[str, Any]) -> None:
    """Check, before long work, that the result can be written."""
    from kipoi_tfbind.results.files import check_writable

    check_writable(options["output"])


def analysis_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the analysis, by the names of its arguments."""
    names = ("confidence", "n_resamples", "seed", "path", "verify", "batch_size")
    on_conflict = "clip" if options.get("clip") else "refuse"
    return {name: options[name] for name in names} | {"on_conflict": on_conflict}


def model_and_sequences(options: dict[str, Any]) -> tuple[SequenceModel, xr.Dataset]:
    """The model, and all of the real sequences that were named."""
    import xarray as xr

    source = source_of_sequences(options)
    model, dataloader = load_models(options, with_dataloader=source == "dataloader_args")
    chunks = list(sequence_chunks(source, options, model, dataloader, 1024))
    return model, xr.concat(chunks, "sequence") if len(chunks) > 1 else chunks[0]


def model_and_backgrounds(options: dict[str, Any]) -> tuple[SequenceModel, xr.Dataset]:
    """The model, and the backgrounds that were asked for."""
    from kipoi_tfbind.sequences.backgrounds import make_backgrounds

    kind, n, seed = (options[name] for name in ("backgrounds", "n_backgrounds", "seed"))
    if kind == "uniform" and not any(options[way] for way in SEQUENCE_WAYS):
        model, _ = load_models(options, with_dataloader=False)
        length = options["length"] or model.length
        if length is None:
            raise InputError(f"--length: model {model.name} takes any; say that of the backgrounds")
        return model, filtered(model, make_backgrounds(kind, n, length=length, seed=seed), options)
    if not any(options[way] for way in SEQUENCE_WAYS):
        raise InputError(
            f"--backgrounds {kind}: is made from sequences; name them with --fasta and --intervals, or "
            "--sequences, or take --backgrounds uniform"
        )
    model, sequences = model_and_sequences(options)
    return model, filtered(model, backgrounds_of(sequences, options), options)


def backgrounds_of(sequences: xr.Dataset, options: dict[str, Any]) -> xr.Dataset:
    """Backgrounds made from real sequences."""
    from kipoi_tfbind.sequences.backgrounds import make_backgrounds
    from kipoi_tfbind.sequences.genomic_backgrounds import genomic_backgrounds

    kind, n, seed = (options[name] for name in ("backgrounds", "n_backgrounds", "seed"))
    if kind == "given":
        return sequences
    if kind == "genomic":
        if not options["fasta"]:
            raise InputError("--backgrounds genomic: expected the genome, as --fasta")
        return genomic_backgrounds(options["fasta"], sequences, n, avoid=options["avoid"], seed=seed)
    return make_backgrounds(kind, n, sequences=sequences, seed=seed)


def read_motifs(texts: tuple[str, ...], *, consensus: bool) -> dict[str, Motif]:
    """Read motifs such as "CTCF=MA0139.2" and "TGASTCA".

    Raises
    ------
    InputError
        As `kipoi_tfbind.motifs.read.parse_motifs`.
    """
    from kipoi_tfbind.motifs.read import parse_motif, parse_motifs

    parsed = []
    for text in texts:
        name, _, motif = text.rpartition("=")
        each = parse_motif(motif, name=name or None)
        parsed.append(each.consensus() if consensus else each)
    return parse_motifs(parsed)


def read_motifs_of_number(n: int, texts: tuple[str, ...], *, consensus: bool) -> list[Motif]:
    """Read exactly so many motifs; the same one may come twice.

    Raises
    ------
    InputError
        There are more or fewer.
    """
    if len(texts) != n:
        raise InputError(f"--motif: expected {n}, got {len(texts)}")
    return [next(iter(read_motifs((text,), consensus=consensus).values())) for text in texts]


def one_motif(texts: tuple[str, ...], *, consensus: bool) -> Motif:
    """Read the only motif."""
    return read_motifs_of_number(1, texts, consensus=consensus)[0]


def parse_numbers(option: str, text: str, kind: type = int) -> list[Any]:
    """Read numbers such as "5,10,20".

    Raises
    ------
    InputError
        They are no numbers.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: expected numbers with commas between them, got {text!r}") from None


def _save(result: xr.Dataset, options: dict[str, Any]) -> None:
    from kipoi_tfbind.results.files import save_result

    save_result(result, options["output"])
    report(result, options)


def filtered(model: SequenceModel, backgrounds: xr.Dataset, options: dict[str, Any]) -> xr.Dataset:
    """The backgrounds between the quantiles that were asked for."""
    from kipoi_tfbind.interpret.global_importance.background_shift import central_backgrounds

    if not options["central"]:
        return backgrounds
    ends = parse_numbers("--central", options["central"], float)
    if len(ends) != 2:
        raise InputError(f"--central: expected two quantiles such as 0.1,0.9, got {options['central']!r}")
    return central_backgrounds(
        model, backgrounds, low=ends[0], high=ends[1], batch_size=options["batch_size"]
    )
