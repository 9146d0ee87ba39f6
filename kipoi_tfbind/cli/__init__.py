"""The command line: one command per file."""

from __future__ import annotations

import click


@click.group()
def main() -> None:
    """Train, package and interpret transcription-factor binding models."""
