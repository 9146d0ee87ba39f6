"""The options that commands share, each written once: model, sequences, method, output, running."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from kipoi_tfbind.backends.threads import set_threads
from kipoi_tfbind.cli._command import INPUT, MODEL, OUTPUT, RUNNING, option
from kipoi_tfbind.cli._shards import SHARD
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.memory import set_memory_budget

Decorator = Callable[[Any], Any]
Options = Decorator | tuple["Options", ...]

STANDARD_INPUT = STANDARD_OUTPUT = "-"


def with_options(*options: Options) -> Decorator:
    """Give a command options, and groups of options, in this order in its help."""

    def decorated(command: Any) -> Any:
        for each in reversed(list(_flat(options))):
            command = each(command)
        return command

    return decorated


def _flat(options: tuple[Options, ...]) -> Iterator[Decorator]:
    for each in options:
        if isinstance(each, tuple):
            yield from _flat(each)
        else:
            yield each


def _checked_name(suffixes: tuple[str, ...], standard_output: bool) -> Callable[..., str]:
    """Check that an output has one of the endings that it can be written as."""

    def check(_context: click.Context, _parameter: click.Parameter, path: str) -> str:
        if path == STANDARD_OUTPUT and standard_output:
            return path
        if path.lower().endswith(suffixes):  # not so a folder's name, with a slash at its end
            return path
        *others, last = suffixes
        found = repr(Path(path).suffix or "no suffix")
        raise InputError(f"{path}: expected a name that ends in {', '.join(others)} or {last}, got {found}")

    return check


def _spooled(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """The file, or one with what comes from standard input: files are read more than once."""
    if path != STANDARD_INPUT or context.resilient_parsing:
        return path
    folder = context.with_resource(tempfile.TemporaryDirectory())
    spooled = Path(folder, "standard_input")
    with spooled.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(spooled)


def _checked_regions(
    _context: click.Context, _parameter: click.Parameter, regions: tuple[str, ...]
) -> tuple[str, ...]:
    if regions:
        from kipoi_tfbind.genome.regions import parse_regions

        parse_regions(regions)
    return regions


def output_option(about: str, suffixes: tuple[str, ...] = (), *, standard_output: bool = False) -> Decorator:
    """Option -o of a command that writes one file, whose name has one of these endings, if any are told."""
    check = _checked_name(suffixes, standard_output) if suffixes else None
    return option(
        "-o", "--output", required=True, type=click.Path(), callback=check, section=OUTPUT, help=about
    )


RESULT_SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5")
TABLE_SUFFIXES = (".tsv", ".tsv.gz", *RESULT_SUFFIXES)
PLACES_SUFFIXES = (".bed", ".bed.gz", *TABLE_SUFFIXES)
RESULT_OUTPUT = output_option("Result to write, netCDF-4 (.nc, .h5).", RESULT_SUFFIXES)

TARGETS = option(
    "--targets",
    multiple=True,
    metavar="NAME,...",
    section=MODEL,
    aliases=("--target",),
    help="Only these targets, by name or index; may be repeated.  [default: all]",
)
# Of a command that takes one target of a result.
TARGET = option(
    "--targets",
    "target",
    default="0",
    show_default=True,
    metavar="NAME",
    aliases=("--target",),
    help="The target: its name, or its index, 0-based.",
)
FASTA_TO_COMPARE = option(
    "--fasta",
    type=click.Path(),
    section=INPUT,
    help="The genome, to compare the bases under each interval with.",
)
MODEL_OPTIONS: Options = (
    click.argument("model", nargs=-1, required=True, metavar="MODEL...", type=click.Path()),
    option(
        "--source",
        section=MODEL,
        help="Kipoi's model source.  [default: the folder MODEL where that has a model, else Kipoi's zoo]",
    ),
    TARGETS,
    option(
        "--head",
        metavar="NAME",
        section=MODEL,
        help="Only this output of a model that has several.  [default: all]",
    ),
    option(
        "--output-position",
        metavar="N|centre",
        section=MODEL,
        help="Only this position of a profile, 0-based.  [default: every position is a target]",
    ),
    option(
        "--transform",
        type=click.Choice(["mean", "sum", "max"]),
        section=MODEL,
        help="Reduce a profile over its positions.  [default: every position is a target]",
    ),
    option(
        "--output-kind",
        type=click.Choice(["logit", "probability"]),
        section=MODEL,
        help="Output to explain.  [default: the logit where the model ends in a sigmoid or softmax]",
    ),
    option("--average-strands", is_flag=True, section=MODEL, help="Average over both strands."),
    option(
        "--sequence-input",
        metavar="NAME",
        section=MODEL,
        help="Which of the model's inputs is the sequence.",
    ),
    option(
        "--auxiliary",
        metavar="JSON",
        section=MODEL,
        help="Values of the model's other inputs, the same for all sequences.",
    ),
    option(
        "--layout",
        metavar="AXES",
        section=MODEL,
        help="How the model takes a sequence: L,4 or 4,L or 1,4,L or L,4,1 or L*4 or string.  "
        "[default: as its schema and its dataloader say]",
    ),
    option(
        "--alphabet", metavar="BASES", section=MODEL, help="The bases in the model's order.  [default: ACGT]"
    ),
    option(
        "--neutral-value",
        type=float,
        section=MODEL,
        help="Each of the four numbers of an N.  [default: 0.25 where the dataloader is kipoiseq's, else 0]",
    ),
    option(
        "--allow-pickle",
        is_flag=True,
        section=MODEL,
        help="Load files that run code: pickles (scikit-learn, whole PyTorch modules), Keras' Lambda layers.",
    ),
)

INTERVALS = option(
    "--intervals",
    type=click.Path(allow_dash=True),
    callback=_spooled,
    section=INPUT,
    help="Intervals to read from --fasta, BED or narrowPeak; - for standard input.",
)
REGIONS = option(
    "--region",
    "regions",
    multiple=True,
    metavar="CHROM:START-END",
    callback=_checked_regions,
    section=INPUT,
    help="Instead of --intervals: chr20:118,000-119,000, 1-based as in a genome browser; may be repeated.",
)
LENGTH = option(
    "--length",
    type=click.IntRange(min=1),
    section=INPUT,
    help="Length of the windows, centred on the summit or middle.  [default: the model's]",
)
SEQUENCE_OPTIONS: Options = (
    option("--fasta", type=click.Path(), section=INPUT, help="Genome, FASTA or bgzipped FASTA."),
    INTERVALS,
    REGIONS,
    option(
        "--center",
        type=click.Choice(["auto", "summit", "midpoint"]),
        default="auto",
        show_default=True,
        section=INPUT,
        aliases=("--centre",),
        help="Centre of the windows of --intervals; auto: the summit where a narrowPeak has one.",
    ),
    option(
        "--sequences",
        type=click.Path(allow_dash=True),
        callback=_spooled,
        section=INPUT,
        help="Instead of all these: FASTA of the sequences themselves; - for standard input.",
    ),
    option(
        "--dataloader_args",
        "--dataloader-args",
        multiple=True,
        metavar="JSON",
        section=INPUT,
        help="Instead: the model's own dataloader, with these arguments: JSON, a JSON file, or KEY=VALUE.",
    ),
    LENGTH,
)

THREADS = option(
    "--threads",
    type=click.IntRange(1, 1024),
    section=RUNNING,
    expose_value=False,
    is_eager=True,
    callback=lambda context, parameter, value: set_threads(value),
    help="Threads of the framework.  [default: one for each core]",
)
RESTART = option(
    "--restart",
    is_flag=True,
    section=RUNNING,
    help="Begin anew instead of going on with an interrupted run of this output.",
)
COMPUTING_OPTIONS: Options = (
    option(
        "--float64",
        is_flag=True,
        section=RUNNING,
        help="Compute in double precision: slower, with less rounding.",
    ),
    option(
        "--memory",
        metavar="BYTES",
        section=RUNNING,
        callback=lambda context, parameter, value: set_memory_budget(value),
        expose_value=False,
        help="Memory that the arrays of a step may take, such as 4G.  [default: half of what is free]",
    ),
    THREADS,
)
RUNNING_OPTIONS: Options = (
    option(
        "--batch-size",
        type=int,
        default=256,
        show_default=True,
        section=RUNNING,
        help="Sequences that the model is given at once.",
    ),
    COMPUTING_OPTIONS,
)


INTERPRETATION_OPTIONS: Options = (
    MODEL_OPTIONS,
    SEQUENCE_OPTIONS,
    RESULT_OUTPUT,
    RUNNING_OPTIONS,
    RESTART,
    SHARD,
)
