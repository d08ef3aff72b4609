"""A run as a folder that can be read without comity."""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from comity.engine.document import to_json
from comity.values import codec
from comity.values.errors import InvalidInput, NotSupported

if TYPE_CHECKING:
    from comity.engine.run import Run


def save(run: Run, directory: str | Path) -> Path:
    """Write the report folder and return its path.

    Holds summary.md, model.safetensors, metrics.csv, metrics.json, figure.png and experiment.json (or
    experiment.txt where it holds lambdas); with a strategy that keeps parts of the model at the sites,
    also sites/NAME.safetensors. Files of an earlier report are replaced, each at once; raises
    InvalidInput when the path is a file.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file; give a directory to save to")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files(run).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    return folder


def files(run: Run) -> dict[str, bytes]:
    """The report's files by name."""
    picture = io.BytesIO()
    run.plot().savefig(picture, format="png", dpi=144)
    made = {
        "summary.md": summary(run).encode(),
        "model.safetensors": codec.encode(run.model),
        "metrics.csv": run.rounds().to_csv().encode(),
        "metrics.json": json.dumps(metrics(run), indent=1).encode(),
        "figure.png": picture.getvalue(),
    }
    try:
        made["experiment.json"] = to_json(run.experiment).encode()
    except NotSupported as error:
        made["experiment.txt"] = f"{run.experiment!r}\n\nNot JSON: {error}\n".encode()
    for site in run.memories.sites():
        if site in run.sites and run.memory(site):
            made[f"sites/{quote(site, safe=' ')}.safetensors"] = codec.encode(run.model_at(site))
    return made


def metrics(run: Run) -> dict[str, object]:
    """Everything measured, as JSON."""
    return {
        "round": run.round,
        "digest": run.digest,
        "engine": dict(run.engine),
        "rounds": [each.document() for each in run.history],
        "baselines": {name: metrics(baseline) for name, baseline in run.baselines.items()},
    }


def summary(run: Run) -> str:
    """What was done and what came out, as Markdown."""
    missing = sum(len(each.missing) for each in run.history)
    shown = f"```\n{run.table()}\n```"
    lines = [
        f"# {type(run.experiment.strategy).__name__} over {len(run.sites)} sites",
        f"{len(run.history)} of {run.experiment.rounds} rounds were run; the model is that of round {run.round}, "
        f"digest `{run.digest}`.",
        f"Sites: {', '.join(run.sites[:20])}{' …' if len(run.sites) > 20 else ''}. "
        + (f"Sites were missing {missing} times; metrics.json says which." if missing else "No site was ever missing."),
        shown,
        "## Experiment",
        f"```\n{run.experiment!r}\n```",
        "## Made with",
        "\n".join(f"- {key}: {value}" for key, value in run.engine.items()),
    ]
    return "\n\n".join(lines) + "\n"
