"""A network as a user's program sees it: through the node of an organization."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import final

from comity.engine.experiment import Experiment
from comity.engine.run import Run
from comity.sdk import site_data
from comity.sdk.client import Client
from comity.sdk.placing import Conduct, place
from comity.sdk.rehearsing import rehearse
from comity.sdk.running import Observe, Running, resume
from comity.values.errors import InvalidInput, unknown
from comity.values.site import Site
from comity.values.tree import Tree


@final
class Network:
    """Where experiments run. `with` closes it at the end; what runs on nodes that are not this program's goes on."""

    def __init__(
        self,
        client: Client,
        *,
        watching: Callable[[], AbstractContextManager[Observe | None]] = nullcontext,
        nodes: Mapping[str, Network] | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._watching = watching
        self._nodes = nodes or {}
        self._end = end

    def __enter__(self) -> Network:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Log out; a network of `co.up` ends."""
        for each in self._nodes.values():
            each.close()
        self._client.close()
        self._end()

    def at(self, organization: str) -> Network:
        """The network through the node of one organization of `co.up`."""
        if organization not in self._nodes:
            raise unknown("node of this program's", organization, self._nodes)
        return self._nodes[organization]

    @property
    def organizations(self) -> list[str]:
        """Names of all that have a node."""
        return [each["id"] for each in self._client.get("/organization/")]

    def datasets(self) -> list[tuple[str, str, str]]:
        """(organization, name, key) of each dataset that may be used."""
        found = self._client.pages("/data_manager/")
        return [(each["owner"], each["name"], each["key"]) for each in found if not each["withdrawn_date"]]

    @property
    def url(self) -> str:
        """The node's address."""
        return self._client.url

    def register(
        self,
        name: str,
        site: Site,
        *,
        authorize: Sequence[str] = (),
        logs: Sequence[str] = (),
        folder: str | Path | None = None,
    ) -> str:
        """The key of a new dataset at this node's organization: a site's rows.

        authorize: organizations whose experiments may use it. logs: those that may read what tasks on it have printed,
        which may show rows. folder: where the rows are kept, on the node's own machine; sent to the node when None.
        """
        kept = None if folder is None else Path(folder)
        return site_data.register(self._client, name, site, authorize=authorize, logs=logs, folder=kept)

    def run(
        self,
        experiment: Experiment,
        on: Mapping[str, str],
        *,
        aggregator: str = "",
        name: str = "",
        deadline: float = 3600.0,
        retries: int = 1,
        start: str | Path | Tree = "",
    ) -> Run:
        """The run of an experiment, over once it returns: the same as `co.simulate` gives.

        on: the dataset, by name or key, of each organization that takes part; a site is called as its organization.
        aggregator: the organization whose node sums and steps; that of this node unless given.
        deadline: seconds that a round waits for sites once they can begin, if its quorum is there.
        retries: how often a site's part that failed is tried again within a round.
        start: parameters to begin with: a tree, a report folder or .safetensors file, or a model's key here.

        Raises InvalidInput or NotSupported for what no network can run, before anything is registered; RoundFailed
        when it failed, saying where and why, or was cancelled. The node goes on when this program ends: `attach`.
        """
        made = self.begin(
            experiment, on, aggregator=aggregator, name=name, deadline=deadline, retries=retries, start=start
        )
        with self._watching() as observe:
            return made.wait(observe)

    def begin(
        self,
        experiment: Experiment,
        on: Mapping[str, str],
        *,
        aggregator: str = "",
        name: str = "",
        deadline: float = 3600.0,
        retries: int = 1,
        start: str | Path | Tree = "",
    ) -> Running:
        """As `run`, but return as soon as the node conducts it."""
        if not isinstance(experiment, Experiment):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"the first argument must be a co.Experiment, not {experiment!r}")
        how = Conduct(aggregator=aggregator, name=name, deadline=deadline, retries=retries, start=start)
        return Running(self._client, place(self._client, experiment, on, how), experiment)

    def rehearse(self, experiment: Experiment, on: Mapping[str, str]) -> Run:
        """One round in this process, on rows that each dataset's opener makes up; nothing is sent.

        Openers are others' code, which is run here. Raises what `run` would refuse, and what the code raises.
        """
        return rehearse(self._client, experiment, on)

    def resume(self, key: str, rounds: int | None = None) -> Running:
        """An experiment that has ended, taken up where it ended: after it failed, was cancelled, or for more rounds.

        rounds: how many there may be in all, those done included; as many as were planned when None. The model is that
        of a run which was never interrupted. It is a plan of its own, with the same sites and data.
        """
        return resume(self._client, key, rounds)

    def attach(self, key: str) -> Running:
        """An experiment that was begun before, from anywhere, by the key of its plan."""
        self._client.get(f"/compute_plan/{key}/rounds/")
        return Running(self._client, key)
