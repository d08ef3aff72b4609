"""How pages write what the API has in its own way: statuses, times, durations, keys, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

STATUSES: Mapping[str, tuple[str, str]] = {
    "PLAN_STATUS_CREATED": ("Created", "waiting"),
    "PLAN_STATUS_DOING": ("Doing", "doing"),
    "PLAN_STATUS_DONE": ("Done", "done"),
    "PLAN_STATUS_FAILED": ("Failed", "failed"),
    "PLAN_STATUS_CANCELED": ("Canceled", "canceled"),
    "STATUS_WAITING_FOR_BUILDER_SLOT": ("Waiting for builder slot", "waiting"),
    "STATUS_BUILDING": ("Building", "waiting"),
    "STATUS_WAITING_FOR_PARENT_TASKS": ("Waiting for parent tasks", "waiting"),
    "STATUS_WAITING_FOR_EXECUTOR_SLOT": ("Waiting for executor slot", "waiting"),
    "STATUS_EXECUTING": ("Executing", "doing"),
    "STATUS_DONE": ("Done", "done"),
    "STATUS_FAILED": ("Failed", "failed"),
    "STATUS_CANCELED": ("Canceled", "canceled"),
    "STATUS_CREATED": ("Created", "waiting"),
    "STATUS_DOING": ("Started", "doing"),
    "FUNCTION_STATUS_WAITING": ("Waiting to be built", "waiting"),
    "FUNCTION_STATUS_BUILDING": ("Building", "doing"),
    "FUNCTION_STATUS_READY": ("Ready", "done"),
    "FUNCTION_STATUS_FAILED": ("Failed", "failed"),
    "FUNCTION_STATUS_CANCELED": ("Canceled", "canceled"),
}
"""Of each status the word that is read, and the kind whose colour and sign it has."""


def word(status: str) -> str:
    """A status in words.

    >>> word("STATUS_WAITING_FOR_EXECUTOR_SLOT")
    'Waiting for executor slot'
    """
    return STATUSES[status][0] if status in STATUSES else status


def kind(status: str) -> str:
    """Which of the five kinds a status is of: waiting, doing, done, failed, canceled."""
    return STATUSES[status][1] if status in STATUSES else "waiting"


def moment(date: str | None) -> str:
    """A date of the API as one reads it, in UTC.

    >>> moment("2024-10-14T12:00:00.123000Z"), moment(None)
    ('14 Oct 2024, 12:00:00', '')
    """
    return f"{_parsed(date):%-d %b %Y, %H:%M:%S}" if date else ""


def ago(date: str | None, now: int) -> str:
    """How long ago it was, in the largest unit; a date once that is over a week.

    >>> ago("2024-10-14T12:00:00.000000Z", 1_728_907_200_000 + 125_000)
    '2 min ago'
    """
    if not date:
        return ""
    at = _parsed(date)
    seconds = now / 1000 - at.timestamp()
    if seconds < 45:
        return "just now"
    for unit, size in (("min", 60), ("h", 3600), ("d", 86400)):
        if seconds < {"min": 3600, "h": 86400, "d": 7 * 86400}[unit]:
            return f"{max(1, int(seconds // size))} {unit} ago"
    return f"{at:%-d %b %Y}"


def duration(seconds: float) -> str:
    """A length of time, by its two largest units.

    >>> duration(0), duration(75), duration(3 * 3600 + 60), duration(0.25)
    ('0 s', '1 min 15 s', '3 h 1 min', '250 ms')
    """
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} µs"
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (whole % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count or first == 3)


def figure(value: float | None) -> str:
    """A measured number in four digits that matter.

    >>> figure(0.912345), figure(123456.0), figure(None), figure(float("inf"))
    ('0.9123', '1.235e+05', '–', '∞')
    """
    if value is None:
        return "–"
    return "∞" if value == float("inf") else f"{value:.4g}"


def size(count: int) -> str:
    """A number of bytes.

    >>> size(900), size(1 << 20)
    ('900 B', '1.0 MiB')
    """
    if count < 1024:
        return f"{count} B"
    for unit, scale in (("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)):
        if count < 1 << (scale + 10) or unit == "TiB":
            return f"{count / (1 << scale):.1f} {unit}"
    raise AssertionError


def number(count: int) -> str:
    """A count with narrow spaces between the thousands.

    >>> number(100_000).split()
    ['100', '000']
    """
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def short(key: str) -> str:
    """The beginning of a key or a digest, enough to tell it from its neighbours.

    >>> short("sha256:0123456789abcdef"), short("6f3a0b9c-aaaa")
    ('01234567', '6f3a0b9c')
    """
    return key.removeprefix("sha256:")[:8]


def sentence(reason: str) -> str:
    """An error's message as a sentence of a page.

    >>> sentence("a name has 1 character"), sentence("δ is too large; lower it?")
    ('A name has 1 character.', 'Δ is too large; lower it?')
    """
    return reason[:1].upper() + reason[1:] + ("" if reason[-1:] in (".", "!", "?", "…", "") else ".")


def asset(kind: str) -> str:
    """What an input or an output is, in this network's words.

    >>> asset("ASSET_DATA_MANAGER"), asset("ASSET_DATA_SAMPLE")
    ('dataset', 'data sample')
    """
    return "dataset" if kind == "ASSET_DATA_MANAGER" else kind.removeprefix("ASSET_").replace("_", " ").lower()


METRICS = {"auc": "AUC", "r2": "R²", "c_index": "C-index", "brier": "Brier score"}
"""Of metrics whose names are no words."""


def metric(name: str) -> str:
    """A metric's name as one reads it.

    >>> metric("auc"), metric("log_loss")
    ('AUC', 'Log loss')
    """
    words = name.replace("_", " ")
    return METRICS.get(name, words[:1].upper() + words[1:])


def _parsed(date: str) -> datetime:
    return datetime.fromisoformat(date).astimezone(UTC)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "word": word,
    "kind": kind,
    "moment": moment,
    "ago": ago,
    "duration": duration,
    "figure": figure,
    "metric": metric,
    "size": size,
    "number": number,
    "short": short,
    "sentence": sentence,
    "asset": asset,
}
"""By the names that templates use."""
