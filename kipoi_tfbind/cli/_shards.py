"""Shards of a run: the option of every command that goes through sequences, variants or k-mers."""

from __future__ import annotations

from typing import Any

import click

from kipoi_tfbind.cli._command import RUNNING, option
from kipoi_tfbind.results.shards import Shard


def _shard(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Shard | None:
    return None if text is None else Shard.parse(text)


SHARD: Any = option(
    "--shard",
    metavar="K/N",
    callback=_shard,
    section=RUNNING,
    help="Compute a share only, such as 3/8, so that N processes share the work; `kipoi tfbind merge` joins "
    "their files to the bytes of one run.",
)
