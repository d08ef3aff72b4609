"""A strategy whose code never ends, to be cancelled."""

from dataclasses import dataclass
from typing import Any, NoReturn, final

import comity as co


@final
@dataclass(frozen=True)
class Endless(co.Strategy):
    """Never ends at any site."""

    def init(self, params: Any, network: Any) -> Any:
        return co.strategies.Statistics().init(params, network)

    def local(self, state: Any, memory: Any, site: Any) -> NoReturn:
        while True:
            pass

    def step(self, state: Any, total: Any) -> Any:
        return state
