"""Where ports meet adapters: the functions of the everyday API that touch the world."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from comity.adapters.checkpoint_file import CheckpointFile
from comity.adapters.memory_files import MemoryFiles
from comity.engine.dropout import Dropout
from comity.engine.experiment import Experiment
from comity.engine.history import Round
from comity.engine.plain import Plain
from comity.engine.rounds import Engine
from comity.engine.run import Run
from comity.engine.simulate import FEDERATED, Observe, Simulation
from comity.engine.simulate import simulate as _simulate
from comity.engine.sites import Sites, SitesGiven
from comity.ports.memories import Memories, MemoriesInMemory
from comity.sdk.client import Account, Client
from comity.values import codec
from comity.values.errors import InvalidInput
from comity.values.tree import Tree

if TYPE_CHECKING:
    from comity.sdk.network import Network

IN_MEMORY = 100
"""Up to this many sites keep their memories in working memory; those of more lie on disk."""


def simulate(
    experiment: Experiment,
    sites: SitesGiven,
    *,
    engine: Engine | None = None,
    baselines: Sequence[str] = (),
    tests: SitesGiven | None = None,
    dropout: Dropout | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Run:
    """Run an experiment over sites in this process.

    sites: co.Site values; or for very many, a mapping from name to a function that loads the site.
    engine: co.Plain() (the default and the reference) or co.Auto().
    baselines: any of "local" (each site alone) and "pooled" (everybody's rows in one place).
    tests: sites whose test rows the model is measured on; the same sites, unless given.
    dropout: which sites fall out of which rounds.
    checkpoint: a directory that holds the run after every round; with `resume` it goes on from there, with the
        same experiment, sites and rows; of sites that functions load only names and columns are compared.
    progress: show a progress bar; by default when someone watches.

    Raises InvalidInput for what does not fit together and RoundFailed when a quorum is missed; what the
    user's own code raises keeps its type and gets a note that names the site and the round. A run that was
    interrupted, in whatever way, goes on from its checkpoint.
    """
    if not isinstance(experiment, Experiment):
        raise InvalidInput(f"the first argument must be a co.Experiment, not {experiment!r}")
    named = Sites(sites)
    folder = None if checkpoint is None else Path(checkpoint)
    _check_checkpoint(folder, resume)
    with _progress(experiment, sys.stderr.isatty() if progress is None else progress) as observe:
        how = Simulation(
            engine=engine or Plain(),
            baselines=(baselines,) if isinstance(baselines, str) else tuple(baselines),
            dropout=dropout or Dropout(),
            memories=_memories(named, folder),
            checkpoints=None if folder is None else CheckpointFile(folder / "checkpoint"),
            observe=observe,
            tests=None if tests is None else Sites(tests),
        )
        return _simulate(experiment, named, how)


def connect(url: str, token: str | None = None) -> Network:
    """The network through the node at this address.

    token: made by `comity node users` or at the node's pages; that in COMITY_TOKEN when None. Raises Unavailable when
    the node does not answer, Unauthenticated when the token opens nothing.
    """
    from comity.faces.watching import watching
    from comity.sdk.network import Network

    account = Account(url=url, token=token or os.environ.get("COMITY_TOKEN", ""))
    if not account.token:
        raise InvalidInput("who asks? give a token, or set COMITY_TOKEN to one that the node has issued")
    client = Client(lambda: account)
    client.get("/organization/")
    return Network(client, watching=watching)


def up(
    organizations: int = 4,
    *,
    names: Sequence[str] | None = None,
    directory: str | Path = ".comity",
) -> Network:
    """A whole network on this machine, as `comity up` starts it; experiments run as the first organization's.

    names: of the organizations; org1, org2, ... when None. directory: where everything is kept, and found again. Use it
    in a `with` block, or `close` it: it ends then, or with this process.
    """
    from comity.faces.network import child
    from comity.faces.watching import watching
    from comity.sdk.network import Network

    named = list(names) if names is not None else [f"org{number}" for number in range(1, organizations + 1)]
    if not named:
        raise InvalidInput("a network needs an organization; give their number, or names=")
    started = child.start(named, Path(directory))
    nodes: dict[str, Network] = {}
    for each in started.said["nodes"]:
        account = Account(url=each["url"], user=each["user"], password=each["password"])
        nodes[each["organization"]] = Network(Client(lambda account=account: account), watching=watching)
    first = started.said["nodes"][0]
    account = Account(url=first["url"], user=first["user"], password=first["password"])
    return Network(Client(lambda: account), watching=watching, nodes=nodes, end=started.end)


def read_model(path: str | Path) -> Tree:
    """The parameters that `run.save` wrote: of a report folder its model, else of the .safetensors file given.

    `experiment.predict(params, x)` predicts with them. Raises DecodeError for what is no such file.

    >>> read_model("nowhere")
    Traceback (most recent call last):
    comity.values.errors.InvalidInput: there is no model at nowhere; give a report folder or a .safetensors file
    """
    folder = Path(path)
    file = folder / "model.safetensors" if folder.is_dir() else folder
    if not file.is_file():
        raise InvalidInput(f"there is no model at {file}; give a report folder or a .safetensors file")
    return codec.decode(file.read_bytes())


def _check_checkpoint(folder: Path | None, resume: bool) -> None:
    if resume and folder is None:
        raise InvalidInput("resume=True needs checkpoint=DIRECTORY, where the run was kept")
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file; give a directory for the checkpoint")
    there = (folder / "checkpoint").exists()
    if there and not resume:
        raise InvalidInput(f"{folder} holds a run already; give resume=True to go on with it, or another directory")
    if resume and not there:
        raise InvalidInput(f"{folder} holds no run to go on with; leave resume=True out to begin one")


def _memories(sites: Sites, folder: Path | None) -> Memories:
    if folder is not None:
        return MemoryFiles(folder / "memories")
    return MemoryFiles.temporary() if len(sites) > IN_MEMORY else MemoriesInMemory()


@contextmanager
def _progress(experiment: Experiment, shown: bool) -> Generator[Observe | None]:
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {FEDERATED: bar.add_task(type(experiment.strategy).__name__, total=experiment.rounds)}

        def observe(name: str, done: Round) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=experiment.rounds)
            bar.update(tasks[name], completed=done.number)

        yield observe
