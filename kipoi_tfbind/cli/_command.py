"""Commands: options in groups in their help, old spellings, --overwrite, --quiet and --verbose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from kipoi_tfbind.cli._output import check_outputs
from kipoi_tfbind.notices import detail, verbosity

MODEL, INPUT, METHOD, OUTPUT, RUNNING = SECTIONS = ("Model", "Input", "Method", "Output", "Running")


# Options that name no section.
_SECTION_OF = {
    **dict.fromkeys(("fasta", "peaks", "chrom_sizes", "vcf", "all_snvs"), INPUT),
    **dict.fromkeys(("output", "meme", "explained", "prefix"), OUTPUT),
    **dict.fromkeys(("batch_size",), RUNNING),
}


class Option(click.Option):
    """An option with its section in the help, and spellings that are taken but not shown.

    Attributes
    ----------
    section
        One of `SECTIONS`; None where it goes by the name, or is the method's own.
    aliases
        Further spellings.
    """

    def __init__(
        self, *arguments: Any, section: str | None = None, aliases: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self.section = section
        self.aliases = tuple(aliases)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser know all spellings; the help and the messages have only the first ones."""
        shown, self.opts = self.opts, [*self.opts, *self.aliases]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """Give a command an `Option`, as `click.option` does."""
    return click.option(*names, cls=Option, **settings)


class Command(click.Command):
    """A command of `kipoi tfbind`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if any(parameter.name == "output" for parameter in self.params):
            self.params.append(_overwrite())
        if any(parameter.name == "shard" for parameter in self.params):
            self.params.append(_scheduler())
        self.params += [_quiet(), _verbose()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; of an option that is missing, tell what it is."""
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as missing:
            about = missing.message or getattr(missing.param, "help", None)
            raise click.MissingParameter(about, missing.ctx, missing.param) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section; what is of no section is the method's own."""
        with_model = any(_section_of(parameter) == MODEL for parameter in self.params)
        records: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for parameter in self.get_params(ctx):
            section = _section_of(parameter)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                records[section].append(record)
        for section, found in records.items():
            if found:
                with formatter.section(section if with_model or section != METHOD else "Options"):
                    formatter.write_dl(found)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, after a check of its outputs."""
        settings = {name: ctx.params.pop(name, False) for name in ("overwrite", "quiet", "verbose")}
        if settings["quiet"] and settings["verbose"]:
            raise click.UsageError("--quiet and --verbose exclude each other.", ctx)
        if "output" in ctx.params:
            check_outputs(ctx.params, overwrite=settings["overwrite"], labels=_labels(self.params))
        with verbosity("quiet" if settings["quiet"] else "verbose" if settings["verbose"] else "normal"):
            started = time.perf_counter()
            if scheduler := ctx.params.pop("scheduler", None):
                from kipoi_tfbind.cli._cluster import run_on_cluster

                run_on_cluster(ctx, scheduler)
                done = None
            else:
                done = super().invoke(ctx)
            detail(f"{ctx.command_path}: {time.perf_counter() - started:.1f} s")
            return done


def command(**settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a `Command` of a function, as `click.command` does."""
    return click.command(cls=Command, **settings)


def _section_of(parameter: click.Parameter) -> str:
    if "--help" in parameter.opts:
        return RUNNING
    return getattr(parameter, "section", None) or _SECTION_OF.get(str(parameter.name), METHOD)


def _labels(parameters: Sequence[click.Parameter]) -> dict[str, str]:
    """Names of arguments in messages."""
    return {
        str(p.name): max(p.opts, key=len) if isinstance(p, click.Option) else p.human_readable_name
        for p in parameters
    }


def _overwrite() -> Option:
    about = "Replace an output that exists and is not kipoi_tfbind's."
    return Option(["--overwrite"], is_flag=True, section=OUTPUT, help=about)


def _scheduler() -> Option:
    about = (
        "Compute shards on a Dask cluster and join them: local (a worker for each core), local:N, or the "
        "scheduler's address."
    )
    return Option(["--scheduler"], metavar="local|ADDRESS", section=RUNNING, help=about)


def _quiet() -> Option:
    about = "Say nothing but errors: no notices, no progress, no summary."
    return Option(["-q", "--quiet"], is_flag=True, section=RUNNING, help=about)


def _verbose() -> Option:
    about = "Say more: what the model is taken as, how it is run, and how long it takes."
    return Option(["-v", "--verbose"], is_flag=True, section=RUNNING, help=about)
