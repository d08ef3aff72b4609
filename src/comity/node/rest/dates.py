"""Times of records, milliseconds since 1970, and dates of ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime

from comity.node.accounts.people import LAST
from comity.values.errors import InvalidInput


def date(milliseconds: int) -> str | None:
    """A date; None for 0, which stands for "not yet".

    >>> date(1_728_907_200_123)
    '2024-10-14T12:00:00.123000Z'
    """
    if not milliseconds:
        return None
    seconds, rest = divmod(min(milliseconds, LAST), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}000Z"


def moment(given: str) -> int:
    """The time of a date, which without an offset is UTC's; raises InvalidInput.

    >>> moment("2024-10-14T14:00:00.123+02:00")
    1728907200123
    """
    try:
        parsed = datetime.fromisoformat(given)
        return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{given[:40]!r} is no date of ISO 8601, such as 2024-10-14T12:00:00Z") from error
