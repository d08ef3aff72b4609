"""What the lab comes out with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from comity import data
from comity.engine.run import Run
from comity.faces.credit import credit
from comity.faces.demos.privacy.members import Members
from comity.faces.demos.privacy.pictures import Pictures
from comity.faces.demos.privacy.settings import Setting
from comity.values.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclass(frozen=True, kw_only=True)
class Finding:
    """What both attacks came to in one setting."""

    setting: Setting
    tampered: Pictures
    """Images read off an update whose parameters an attacker wrote."""
    untouched: Pictures
    """The same with torch's own parameters."""
    members: Members

    @property
    def row(self) -> dict[str, Cell]:
        """The setting's row in the table, by column."""
        return figures(self.tampered, self.members)


def figures(pictures: Pictures, members: Members) -> dict[str, Cell]:
    """How well both attacks do, where they do best, and what the model is worth."""
    return {
        "ε": members.epsilon,
        "PSNR": pictures.best.median,
        "images back": max(pictures.parts.exact, pictures.total.exact),
        "hospital known": pictures.parts.exact,
        "LiRA AUC": members.best.auc,
        "TPR at 1 % FPR": members.best.caught,
        "at most": members.best.caught_most,
        "test AUC": members.auc,
        "balanced accuracy": members.balanced_accuracy,
    }


@final
@dataclass(frozen=True, kw_only=True)
class Lab:
    """A table of four settings, what to know when reading it, and the run that is protected best."""

    demo: str
    title: str
    data: str
    """The data set, by the name of its loader."""
    findings: Sequence[Finding]
    mean_image: float
    """Median PSNR of the mean image: what is known of an image without any update."""
    notes: Sequence[str]
    run: Run
    shown: str
    """The setting that `run` is of."""

    @property
    def tables(self) -> list[Table]:
        """Each attack by itself."""
        return [self._pictures(), self._members()]

    def table(self) -> Table:
        """The one table."""
        rows = [[each.setting.name, *each.row.values()] for each in self.findings]
        return Table(self.title, ["setting", *self.findings[0].row], rows)

    def _pictures(self) -> Table:
        columns = ("setting", "first parameters", "exact, parts", "exact, sum", "PSNR, parts", "PSNR, sum", "as read")
        rows: list[list[Cell]] = []
        for finding in self.findings:
            for made in (finding.tampered, finding.untouched):
                of = "an attacker's" if made.tampered else "torch's own"
                views = (made.parts, made.total)
                read = max(float(np.median(view.read_psnr)) for view in views)
                exact, medians = [view.exact for view in views], [view.median for view in views]
                rows.append([finding.setting.name, of, *exact, *medians, read])
        images = len(self.findings[0].tampered.truth)
        return Table(f"Of {images} images, by what each hospital sent and by the sum; PSNR in dB", columns, rows)

    def _members(self) -> Table:
        columns = ("setting", "by", "rounds", "AUC", "TPR at 1 % FPR", "at most", "members", "others")
        rows: list[list[Cell]] = []
        for finding in self.findings:
            members = finding.members
            for by, of, made in (
                ("parts", "last", members.parts.last),
                ("parts", "all", members.parts.all),
                ("sum", "last", members.total.last),
                ("sum", "all", members.total.all),
            ):
                sizes = (made.members, made.others)
                rows.append([finding.setting.name, by, of, made.auc, made.caught, made.caught_most, *sizes])
        return Table("Membership, by the models that each hospital sent and by their averages", columns, rows)

    def picture(self) -> Figure:
        """What demo.png shows."""
        from comity.faces.demos.privacy.drawing import drawing

        return drawing(self)

    def document(self, seconds: float) -> dict[str, Any]:
        """As the one JSON object that `--json` prints."""
        tables = {table.title: table.records() for table in self.tables}
        return {
            "demo": self.demo,
            "settings": {each.setting.name: each.row for each in self.findings},
            "mean_image": self.mean_image,
            "attacks": tables,
            "seconds": round(seconds, 2),
        }

    def markdown(self, panels: Sequence[Table] = ()) -> str:
        """As a page to read beside demo.png, with the tables of further panels."""
        parts = [
            f"# {self.title}",
            f"![{self.title}](demo.png)",
            *(f"```\n{table}\n```" for table in (self.table(), *self.tables, *panels)),
            "\n".join(f"- {note}" for note in self.notes),
            f"[summary.md](summary.md) tells of the run under {self.shown}.",
            f"## Data\n\n{credit(self.data)}\n\n{data.terms(self.data)}",
        ]
        return "\n\n".join(parts) + "\n"
