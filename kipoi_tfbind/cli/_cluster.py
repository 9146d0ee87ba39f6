"""The shards of a command as tasks on a Dask cluster, and their files joined.

What workers do is what ``--shard K/N`` does, so that a shard whose worker was killed goes on, on another
one, where it was. Workers read the inputs and write the shards under the names that they have here: cluster
and client need one file system.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kipoi_tfbind.backends.threads import set_threads, threads
from kipoi_tfbind.cli._interpret import keep_models
from kipoi_tfbind.cli._output import STANDARD_OUTPUT, say
from kipoi_tfbind.errors import InputError, MissingProgramError, TFBindError, wants_traceback
from kipoi_tfbind.memory import chosen_memory_budget, memory_budget, set_memory_budget
from kipoi_tfbind.notices import listening, progress, verbosity
from kipoi_tfbind.results.shards import Shard

if TYPE_CHECKING:
    from distributed import Client, Future

# Of each worker: the last ones are done when the slowest worker is, so there should be several.
_SHARDS_EACH = 8
# Workers that a shard may lose before it is given up.
_LOSSES = 10
_RUN = "run.json"
_ONE_AT_A_TIME = threading.Lock()


def run_on_cluster(context: click.Context, scheduler: str) -> None:
    """Run a command in shards on a cluster, and join their files.

    Parameters
    ----------
    context
        Of the command, with its arguments.
    scheduler
        "local", "local:N" for N workers, or the address of a scheduler.

    Raises
    ------
    InputError
        There is no such cluster, or it has no worker; or what a shard raises, with its worker.
    MissingProgramError
        distributed is not installed.
    """
    arguments = {name: value for name, value in context.params.items() if name != "shard"}
    if context.params.get("shard") is not None:
        raise InputError(
            "--shard: is for one process, --scheduler shares all shards; leave out one of the two"
        )
    outputs = [arguments["output"]] if isinstance(arguments["output"], str) else list(arguments["output"])
    if STANDARD_OUTPUT in outputs:
        raise InputError("--scheduler: standard output cannot be shared; give the name of a file")
    with _connected(scheduler) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise InputError(
                f"--scheduler {scheduler}: the cluster has no worker; start some, then repeat this"
            )
        folder = Path(f"{outputs[0]}.shards").absolute()
        of = _prepared(folder, _names(context), arguments, _SHARDS_EACH * len(workers))
        shards = [Shard(number, of) for number in range(1, of + 1)]
        _compute(
            client, context, arguments, {shard: _own(shard, folder, outputs) for shard in shards}, scheduler
        )
        n_workers = len(workers)
    from kipoi_tfbind.interpret.merge_shards import merge_shards

    for number, output in enumerate(outputs):
        n = merge_shards([_own(shard, folder, outputs)[number] for shard in shards], output)
        say(f"{output}: {n} records, by {n_workers} workers in {of} shards")
    shutil.rmtree(folder)


def _names(context: click.Context) -> list[str]:
    """Name of a command, after those of the groups that it is in."""
    names: list[str] = []
    at: click.Context | None = context
    while at is not None and at.parent is not None:
        names.insert(0, str(at.info_name))
        at = at.parent
    return names


def _own(shard: Shard, folder: Path, outputs: Sequence[str]) -> list[str]:
    """Files of a shard."""
    return [str(folder / f"{shard.number}-of-{shard.of}.{os.path.basename(output)}") for output in outputs]


def _prepared(folder: Path, names: Sequence[str], arguments: Mapping[str, Any], of: int) -> int:
    """Number of shards: of an interrupted run that is gone on with, or of a new one."""
    own = {name: value for name, value in arguments.items() if name != "restart"}
    run = json.loads(json.dumps({"command": list(names), "arguments": own}, default=str))
    if arguments.get("restart"):
        shutil.rmtree(folder, ignore_errors=True)
    with _writable(folder):
        if (folder / _RUN).exists():
            before = json.loads((folder / _RUN).read_text())
            if before["run"] != run:
                raise InputError(
                    f"{folder}: has shards of an interrupted run with other options; repeat that run to "
                    "go on with it, or begin anew with --restart"
                )
            return int(before["of"])
        folder.mkdir(exist_ok=True)
        new = folder / f"{_RUN}.new"
        new.write_text(json.dumps({"run": run, "of": of}))
        os.replace(new, folder / _RUN)
    return of


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another output") from error


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    """Connection to a cluster, or one on this machine for as long as the block lasts."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise MissingProgramError(
            "--scheduler: needs dask.distributed; pip install 'kipoi_tfbind[dask]', or use --shard"
        ) from None
    kind, _, number = scheduler.partition(":")
    if kind != "local":
        try:
            with Client(scheduler, timeout=20) as client:
                yield client
        except (OSError, ValueError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"--scheduler {scheduler}: expected local, local:N or the address of a Dask scheduler, "
                f"such as tcp://10.0.0.1:8786 ({problem})"
            ) from None
        return
    if number and (not number.isdecimal() or int(number) < 1):
        raise InputError(f"--scheduler {scheduler}: expected local or local:N, N workers")
    settings = {
        "distributed.scheduler.allowed-failures": _LOSSES,
        "distributed.admin.log-format": "%(message)s",
        # Shards that wait, wait at the scheduler.
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=int(number or len(os.sched_getaffinity(0))),
            threads_per_worker=1,
            processes=True,
            # Memory is planned by kipoi_tfbind; Dask would kill a worker for what a framework keeps.
            memory_limit=0,
            dashboard_address=None,
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _compute(
    client: Client,
    context: click.Context,
    arguments: Mapping[str, Any],
    files: Mapping[Shard, list[str]],
    scheduler: str,
) -> None:
    """Compute the shards that are not there yet."""
    run = uuid.uuid4().hex
    memory, n_threads = chosen_memory_budget(), threads()
    if scheduler.startswith("local"):
        n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
        memory = memory or memory_budget() // n_workers
        n_threads = n_threads or max(1, len(os.sched_getaffinity(0)) // n_workers)
    settings = {"run": run, "folder": os.getcwd(), "memory": memory, "threads": n_threads}
    todo = {shard: own for shard, own in files.items() if not all(os.path.exists(each) for each in own)}
    given = [
        {
            **arguments,
            "output": own[0] if isinstance(arguments["output"], str) else tuple(own),
            "shard": shard,
            "restart": False,
        }
        for shard, own in todo.items()
    ]
    # One call and one group of keys: Dask then hands out a shard when a worker is free. Tasks given one by
    # one it shares out at the start, knowing nothing of their lengths, and a worker can wait while another
    # has several left.
    names = _names(context)
    keys = [(f"{names[-1]}-{run}", str(shard)) for shard in todo]
    with progress("records of all workers", unit="record", leave=True) as bar:
        client.subscribe_topic(run, lambda event: bar.update(int(event[1])))
        tasks = client.map(run_shard, given, names=names, settings=settings, key=keys, pure=False)
        futures = dict(zip(tasks, todo, strict=True))
        try:
            _wait(futures, scheduler)
        finally:
            client.unsubscribe_topic(run)
            client.cancel(list(futures))


def _wait(futures: Mapping[Future, Shard], scheduler: str) -> None:
    """Wait for all shards.

    Raises
    ------
    InputError
        A shard failed, or lost its worker again and again.
    """
    from distributed import KilledWorker, as_completed

    for future in as_completed(list(futures)):
        try:
            future.result()
        except TFBindError:
            raise
        except KilledWorker:
            raise InputError(
                f"--scheduler {scheduler}: shard {futures[future]} has lost as many workers as the cluster "
                "allows; is their memory enough (--memory)? Run the same command again to go on"
            ) from None
        except Exception as error:
            if wants_traceback():
                raise
            raise InputError(
                f"--scheduler {scheduler}: shard {futures[future]} failed on its worker with "
                f"{type(error).__name__}: {' '.join(str(error).split())}; are the packages the same there?"
            ) from error


def run_shard(arguments: dict[str, Any], names: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Run a shard of a command, on a worker, which keeps the model for the next one.

    Parameters
    ----------
    arguments
        Of the command.
    names
        Its name, after those of its groups.
    settings
        "run", for which models are kept; "folder", that names of files are relative to; "memory" and
        "threads" of the worker.

    Raises
    ------
    TFBindError
        As the command, with the shard and the worker.
    """
    from distributed import get_worker

    from kipoi_tfbind.cli import main

    worker = get_worker()
    command: Any = main
    for name in names:
        command = command.get_command(None, name)

    def tell(n: int) -> None:
        worker.log_event(settings["run"], n)

    with _ONE_AT_A_TIME:
        try:
            _enter(settings)
            with verbosity("quiet"), listening(tell), click.Context(command).scope():
                command.callback(**arguments)
        except TFBindError as error:
            raise type(error)(f"{error} (shard {arguments['shard']}, worker {worker.address})") from None


def _enter(settings: Mapping[str, Any]) -> None:
    """Let this process be as the client is."""
    try:
        os.chdir(settings["folder"])
    except OSError as error:
        raise InputError(
            f"{settings['folder']}: cannot be entered ({error.strerror}); workers need this file system"
        ) from None
    set_memory_budget(settings["memory"])
    set_threads(settings["threads"])
    keep_models(settings["run"])
