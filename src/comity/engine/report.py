"""A run as a folder that can be read without comity."""

from __future__ import annotations

import io
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from comity.engine.history import saved
from comity.engine.promises import document, told
from comity.values import codec
from comity.values.errors import Forbidden, InvalidInput, NotFound, NotSupported

if TYPE_CHECKING:
    from comity.engine.run import Run


PERHAPS = ("experiment.json", "experiment.txt", "figure.png", "table.csv", "sites/*.safetensors")
"""Files that a report has or has not; those of an earlier one would belie it."""

LONGEST = 200
"""Bytes that a site's name may take in a file's name; file systems allow 255."""


def save(run: Run, directory: str | Path) -> Path:
    """Write the report folder and return its path.

    Holds summary.md, model.safetensors, metrics.csv, metrics.json and experiment.json (or experiment.txt where it
    holds lambdas); figure.png where there is something to draw; table.csv where the strategy is a result in itself;
    with a strategy that keeps parts of the model at the sites, also sites/NAME.safetensors, but for those that
    other organizations of a network keep to themselves. Files of an earlier report are replaced, each at once, and go
    when this one has none of that name; raises InvalidInput when the path is a file.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file; give a directory to save to")
    made = files(run)
    for name, data in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(data)
        beside.replace(path)
    for pattern in PERHAPS:
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in made:
                path.unlink()
    return folder


def files(run: Run) -> dict[str, bytes]:
    """The report's files by name."""
    from comity.engine.figure import drawn

    made = {
        "summary.md": summary(run).encode(),
        "model.safetensors": codec.encode(run.model),
        "metrics.csv": run.rounds().to_csv().encode(),
        "metrics.json": json.dumps(metrics(run), indent=1).encode(),
    }
    if (found := run.found) is not None:
        made["table.csv"] = found.to_csv().encode()
    if drawn(run):
        picture = io.BytesIO()
        run.plot().savefig(picture, format="png", dpi=144)
        made["figure.png"] = picture.getvalue()
    try:
        made["experiment.json"] = run.experiment.to_json().encode()
    except NotSupported as error:
        made["experiment.txt"] = f"{run.experiment!r}\n\nNot JSON: {error}\n".encode()
    for site in run.sites:
        own = _own_model(run, site)
        if own is not None and own != made["model.safetensors"]:
            made[f"sites/{_file_name(site)}.safetensors"] = own
    return made


def _own_model(run: Run, site: str) -> bytes | None:
    """The model of a site that has a part of its own; None where it has none, or keeps it to itself."""
    try:
        return codec.encode(run.model_at(site)) if run.memory(site) else None
    except (Forbidden, NotFound):
        return None


def _file_name(site: str) -> str:
    """The site's name with letters and digits of any script as they are and no sign that a file system minds."""
    name = re.sub(r"[^\w .-]", lambda sign: quote(sign[0], safe=""), site)
    if len(name.encode()) <= LONGEST:
        return name
    return name.encode()[: LONGEST - 20].decode(errors="ignore") + "-" + sha256(site.encode()).hexdigest()[:16]


def _secured(run: Run) -> list[str]:
    if run.experiment.secure_sum is None or not run.history:
        return []
    error = max(each.error or 0.0 for each in run.history)
    clipped = sum(each.clipped for each in run.history)
    return [
        "Contributions and metrics were summed under masks, so that no site's own were seen. Each float of a sum of "
        f"contributions is off by at most {error:.3g}; {clipped} were clipped."
        + ("" if run.statements else " The sums themselves are as they are: what they tell of a record is not limited.")
    ]


def metrics(run: Run) -> dict[str, object]:
    """Everything measured, as JSON."""
    return {
        "round": run.round,
        "digest": run.digest,
        "columns": list(run.columns),
        "engine": dict(run.engine),
        "rounds": [each.document() for each in run.history],
        "privacy": {name: document(each) for name, each in run.statements.items()},
        "baselines": {name: metrics(baseline) for name, baseline in run.baselines.items()},
    }


def summary(run: Run) -> str:
    """What was done and what came out, as Markdown."""
    missing = sum(len(each.missing) for each in run.history)
    tables = [run.table(), *([run.comparison()] if run.found and run.experiment.measures else [])]
    lines = [
        f"# {type(run.experiment.strategy).__name__} over {len(run.sites)} sites",
        f"{len(run.history)} of {run.planned} rounds were run; the model is that of round {run.round}, "
        f"digest `{run.digest}`.",
        f"Sites: {', '.join(run.sites[:20])}{' …' if len(run.sites) > 20 else ''}. "
        + (f"Sites were missing {missing} times; metrics.json says which." if missing else "No site was ever missing."),
        *_secured(run),
        *([f"By {run.experiment.compression!r}, {took}."] if (took := saved(run.history)) else []),
        *(["## Privacy", "\n".join(told(run.statements))] if run.statements else []),
        *(f"```\n{table}\n```" for table in tables),
        "## Experiment",
        f"```\n{run.experiment!r}\n```",
        "## Made with",
        "\n".join(f"- {key}: {value}" for key, value in run.engine.items()),
    ]
    return "\n\n".join(lines) + "\n"
