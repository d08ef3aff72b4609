"""What a demo comes out with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, final

from comity import data
from comity.engine.run import Run
from comity.faces.credit import credit
from comity.values.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of a demo's table: a way to train, and how well its model does."""

    name: str
    kind: Literal["alone", "pooled", "federated", "literature"]
    mean_over_sites: float | None = None
    pooled_test: float | None = None
    published: float | None = None
    """The figure in the literature for the outcome's headline."""
    more: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """Further columns."""


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A demo's table, what to know when reading it, and a run to look at."""

    demo: str
    title: str
    metric: str
    headline: Literal["mean_over_sites", "pooled_test"]
    """Which figure of a method is drawn, and is compared with the published one."""
    data: str
    """The data set, by the name of its loader."""
    methods: Sequence[Method]
    notes: Sequence[str]
    run: Run
    """A federated run by round, for the picture and the report."""
    shown: str
    """The method that `run` is of; it stands out in table and picture."""
    run_note: str = ""
    """In what the run's figures differ from those of the table."""
    tables: Sequence[Table] = ()
    """Further tables to print below."""

    def table(self) -> Table:
        """The one table."""
        more = list(dict.fromkeys(name for method in self.methods for name in method.more))
        published = any(method.published is not None for method in self.methods)
        sites = any(method.mean_over_sites is not None for method in self.methods)
        columns = ["method", *(["mean of sites"] if sites else []), "all test rows", *more]
        rows: list[list[Cell]] = []
        for method in self.methods:
            cells: list[Cell] = [method.name, *([method.mean_over_sites] if sites else []), method.pooled_test]
            rows.append([*cells, *(method.more.get(name) for name in more), *([method.published] if published else [])])
        return Table(f"{self.title}: {self.metric}", [*columns, *(["published"] if published else [])], rows)

    def picture(self) -> Figure:
        """What demo.png shows."""
        from comity.faces.demos.picture import picture

        return picture(self)

    def document(self, seconds: float) -> dict[str, Any]:
        """As the one JSON object that `--json` prints."""
        methods = {
            m.name: {
                "mean_over_sites": m.mean_over_sites,
                "pooled_test": m.pooled_test,
                "published": m.published,
                **{name.replace(" ", "_"): value for name, value in m.more.items()},
            }
            for m in self.methods
        }
        return {"demo": self.demo, "methods": methods, "seconds": round(seconds, 2)}

    def markdown(self, panels: Sequence[Table] = ()) -> str:
        """As a page to read beside demo.png, with the tables of further panels."""
        parts = [
            f"# {self.title}",
            f"![{self.title}: {self.metric}](demo.png)",
            *(f"```\n{table}\n```" for table in (self.table(), *self.tables, *panels)),
            "\n".join(f"- {note}" for note in self.notes),
            f"The curves are of one run of {self.shown}; [summary.md](summary.md) tells more of it.",
            f"## Data\n\n{credit(self.data)}\n\n{data.terms(self.data)}",
        ]
        return "\n\n".join(parts) + "\n"


def mean_scores(runs: Sequence[Run], metric: str) -> tuple[float | None, float | None]:
    """(mean over sites, over all test rows), each the mean over runs that differ in their seed."""
    scores = [run.scores(metric) for run in runs]
    sites = [mean for mean, _ in scores if mean is not None]
    pooled = [value for _, value in scores if value is not None]
    return (fmean(sites) if sites else None, fmean(pooled) if pooled else None)
