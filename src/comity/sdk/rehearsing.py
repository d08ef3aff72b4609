"""One round of an experiment on rows that openers make up, on this machine: before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from comity.adapters.execution import opener
from comity.engine.experiment import Experiment
from comity.engine.run import Run
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites
from comity.sdk.client import Client
from comity.sdk.growth import selected, signatures
from comity.sdk.placing import site_data
from comity.sdk.work import site_of
from comity.values.errors import InvalidInput

ROWS = 40
"""That an opener is asked to make up."""


def rehearse(client: Client, experiment: Experiment, on: Mapping[str, str]) -> Run:
    """The run of one round, each site's rows made up by its dataset's opener, whose code runs in this process.

    Raises what a network would refuse of the experiment, and what its code raises, with a note of where that was.
    """
    signatures(experiment)
    data = site_data(client, on)
    selected(experiment, sorted(on))
    made = []
    with TemporaryDirectory() as folder:
        for organization in sorted(data):
            path = Path(folder, "opener.py")
            path.write_bytes(client.raw(f"/data_manager/{data[organization].dataset}/opener/"))
            try:
                made.append(site_of(organization, opener.load(path).fake_data(ROWS)))
            except Exception as error:
                raise InvalidInput(
                    f"the opener of {on[organization]!r} at {organization} makes no rows: {error}"
                ) from error
    return simulate(replace(experiment, rounds=1, stop=None, best=None), Sites(made), Simulation())
