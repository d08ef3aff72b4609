"""How far this machine's clock is from the hub's, which refuses requests of another time."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import final

import structlog

LATE = 30.0
"""Seconds at which it is said; a tenth of what the hub tolerates."""


def apart(date: str) -> float:
    """Seconds that this machine is ahead of who has sent this Date header just now; raises ValueError.

    A header has whole seconds (RFC 9110, section 5.6.7).
    """
    return time.time() - parsedate_to_datetime(date).timestamp()


@final
class Skew:
    """Says in the log, once, that the clock has to be set."""

    def __init__(self) -> None:
        self._said = False
        self._heard = ""

    def heard(self, date: str) -> None:
        """A hub's answer has this Date header; a proxy may have left it out, or made its own."""
        if date == self._heard:
            return
        self._heard = date
        try:
            seconds = round(apart(date))
        except ValueError:
            return
        late = abs(seconds) > LATE
        if late and not self._said:
            log = structlog.get_logger()
            log.error("set this machine's clock, e.g. by NTP: it is not the hub's", seconds_ahead=seconds)
        self._said = late
