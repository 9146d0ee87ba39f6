"""The command line: one command per file.

``cli/train.py`` defines ``command`` and so becomes ``kipoi tfbind train``; an underscore in the file
name is a hyphen in the command's. Modules whose names begin with an underscore are helpers. Listing
the commands imports all of them, so a command module imports frameworks inside its function only.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import warnings
from typing import Any

import click

from kipoi_tfbind import __version__
from kipoi_tfbind.errors import (
    BackgroundWarning,
    CompletenessWarning,
    TFBindError,
    error_line,
    wants_traceback,
)
from kipoi_tfbind.notices import detail, notice

INTERRUPTED = 130  # exit code, as of what the shell ends on Ctrl-C


class CommandFolder(click.Group):
    """A group whose commands are the modules of a folder, each imported when it is needed.

    Attributes
    ----------
    package : str
        The folder, as a package.
    """

    package = __name__

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted."""
        folder = importlib.import_module(self.package)
        modules = (module.name for module in pkgutil.iter_modules(folder.__path__))
        return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name; None, as click expects, where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self.package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that the user can mend is one line and exit code 1."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except TFBindError as error:
            if wants_traceback():
                raise
            click.echo(error_line(error), err=True)
            ctx.exit(1)
        except MemoryError as error:
            if wants_traceback():
                raise
            reason = " ".join(str(error).split()) or "an array could not be made"
            advice = "take fewer or shorter sequences, or fewer of what is drawn"
            click.echo(f"error: not enough memory ({reason}); {advice}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            # What is done is kept, and how to go on was said, where the command writes piece by piece.
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named; the error of an unknown one names the most alike."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = self._within(ctx, name) or difflib.get_close_matches(name, self.list_commands(ctx), n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def _within(self, ctx: click.Context, name: str) -> list[str]:
        """The command of this name in the groups among the commands."""
        commands = {each: self.get_command(ctx, each) for each in self.list_commands(ctx)}
        groups = {each: group for each, group in commands.items() if isinstance(group, click.Group)}
        return [f"{each} {name}" for each, group in groups.items() if name in group.list_commands(ctx)]


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Show a warning of this package in one line; those of libraries are details."""
    if issubclass(category, CompletenessWarning | BackgroundWarning):
        notice(str(message))
    else:
        detail(f"{category.__name__}: {message}")


@click.group(cls=CommandFolder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kipoi_tfbind", message="%(prog)s %(version)s")
def main() -> None:
    """Interpret any Kipoi model; train and package models of transcription-factor binding."""
