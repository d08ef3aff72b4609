"""A demo's federated run once more, across a real network: a node for each hospital, on this machine."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, final

from comity.engine.run import Run
from comity.faces.compose import up
from comity.values.site import Site

if TYPE_CHECKING:
    from comity.sdk.network import Network


@final
@dataclass(frozen=True, kw_only=True)
class Crossing:
    """What a network came to, beside the simulation of the same experiment."""

    run: Run
    """The network's, with the simulation's baselines."""
    simulated: Run
    seconds: float
    plan: str
    folder: Path
    organizations: Sequence[str]
    network: Network = field(repr=False)

    @property
    def same(self) -> bool:
        """Whether both came to one model, to the last bit."""
        return self.run.digest == self.simulated.digest

    def notes(self) -> list[str]:
        """What a reader is told of it."""
        names, found = ",".join(self.organizations), "the same as" if self.same else "NOT the same as"
        return [
            f"{len(self.run.history)} rounds were run in {self.seconds:.1f} s across {len(self.organizations)} nodes, "
            f"each with its own hospital's rows. Their model is {self.run.digest}, {found} the simulation's.",
            f"The rows over several seeds are simulated. Look at the network again: comity up --names {names} --dir "
            f"{self.folder}; then comity plan watch {self.plan} --as {self.organizations[0]} --dir {self.folder}",
        ]


@contextmanager
def across_hospitals(simulated: Run, sites: Sequence[Site], folder: Path) -> Generator[Crossing]:
    """The simulated experiment run across a network of the sites, which ends with the block."""
    names = [site.name for site in sites]
    with up(names=names, directory=folder) as network:
        known = _known(network)
        for site in sites:
            if site.name not in known:
                network.at(site.name).register("rows", site, authorize=names, logs=names)
        began = monotonic()
        running = network.begin(simulated.experiment, dict.fromkeys(names, "rows"))
        run = running.wait()
        yield Crossing(
            run=replace(run, baselines=simulated.baselines),
            simulated=simulated,
            seconds=monotonic() - began,
            plan=running.key,
            folder=folder,
            organizations=names,
            network=network,
        )


def _known(network: Network) -> Mapping[str, str]:
    """Who has registered rows before, in the same folder."""
    return {owner: key for owner, name, key in network.datasets() if name == "rows"}
