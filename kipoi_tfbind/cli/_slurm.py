"""A SLURM job array of the shards of a command, as text."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import Any

import click

from kipoi_tfbind.cli._output import STANDARD_OUTPUT
from kipoi_tfbind.errors import InputError

_OUTPUT = ("-o", "--output")


def shard_script(words: Sequence[str], n: int, resources: Sequence[str]) -> str:
    """Script for sbatch: a job for each shard; with the argument "merge", their files are joined.

    Parameters
    ----------
    words
        The command, without `kipoi tfbind`, as it would be given without shards.
    n
        Number of shards.
    resources
        Options of sbatch.

    Raises
    ------
    InputError
        There is no such command, it takes no shards, or its arguments are wrong.

    Examples
    --------
    >>> words = "ism model --fasta a.fa --intervals a.bed -o ism.nc".split()
    >>> print(shard_script(words, 3, ["--mem=4G"]).splitlines()[2])
    #SBATCH --array=1-3
    """
    outputs = _outputs(words)
    kept = shlex.join(_without_outputs(words))
    folder = f"{outputs[0]}.shards"
    # Words of the shell: $k is the number of the shard.
    parts = [f'{shlex.quote(folder)}/"$k-of-{n}".{shlex.quote(os.path.basename(each))}' for each in outputs]
    lines = [
        "#!/usr/bin/env bash",
        f"#SBATCH --job-name={words[0]}",
        f"#SBATCH --array=1-{n}",
        *(f"#SBATCH {each}" for each in resources),
        f"# Written by kipoi_tfbind: {n} shards of",
        f"#   kipoi-tfbind {shlex.join(words)}".replace("\n", " "),
        "# When all are done: sbatch --array=1 THIS_SCRIPT merge",
        "set -euo pipefail",
        "",
        'if [ "${1:-}" = merge ]; then',
    ]
    for part, output in zip(parts, outputs, strict=True):
        lines += [
            "    parts=()",
            f"    for k in $(seq {n}); do parts+=({part}); done",
            f'    kipoi-tfbind merge "${{parts[@]}}" -o {shlex.quote(output)}',
        ]
    written = " ".join(f"-o {part}" for part in parts)
    return "\n".join(
        [
            *lines,
            "    exit",
            "fi",
            "",
            "k=${SLURM_ARRAY_TASK_ID:?is not set: run this with sbatch}",
            f"mkdir -p {shlex.quote(folder)}",
            f'kipoi-tfbind {kept} --threads "${{SLURM_CPUS_PER_TASK:-1}}" --shard "$k/{n}" {written}',
            "",
        ]
    )


def _outputs(words: Sequence[str]) -> list[str]:
    """Files that a command would write, after a check of its arguments."""
    command, rest = _found(words)
    if not any(parameter.name == "shard" for parameter in command.params):
        raise InputError(f"{' '.join(words[: len(words) - len(rest)])}: takes no shards")
    try:
        given = command.make_context(words[0], list(rest)).params
    except click.ClickException as error:
        raise InputError(f"{' '.join(words[:2])}: {error.format_message()}") from None
    outputs = [given["output"]] if isinstance(given["output"], str) else list(given["output"])
    if given["shard"] is not None or given.get("scheduler") or STANDARD_OUTPUT in outputs:
        raise InputError(
            "shard-script: give the command with files as outputs, and without --shard and --scheduler"
        )
    return outputs


def _found(words: Sequence[str]) -> tuple[Any, list[str]]:
    """The command that words name, and the words after it."""
    from kipoi_tfbind.cli import main

    command: Any = main
    rest = list(words)
    while hasattr(command, "list_commands"):
        name = rest.pop(0) if rest else ""
        command, group = command.get_command(None, name), command
        if command is None:
            known = ", ".join(group.list_commands(None))
            raise InputError(f"shard-script: there is no command {name!r} (known are {known})")
    return command, rest


def _without_outputs(words: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in _OUTPUT:
            skip = True
        elif not word.startswith("--output="):
            kept.append(word)
    return kept
