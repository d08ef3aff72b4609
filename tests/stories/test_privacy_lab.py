"""Images and members are found in what leaves four hospitals, until a secure sum hides who and DP hides the record.

`make long` runs the lab as `comity demo privacy --more` does, and finds the page's figures; `make test` with smaller
networks to read images off, fewer rounds, fewer federations under attack and of the attacker's own, and one
other ε. The claims are the same.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comity.faces.cli.main import app
from comity.faces.demos import networks, privacy
from comity.faces.demos.privacy import members

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "privacy-lab.md"


@pytest.fixture(scope="module", params=["short", pytest.param("whole", marks=pytest.mark.long)])
def told(request, tmp_path_factory):
    """(what `--json` printed, the report folder)."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "short":
            train = replace(members.PLAIN.train, steps=40)
            patch.setattr(members, "PLAIN", replace(members.PLAIN, train=train, rounds=2, evaluate_every=2))
            patch.setattr(networks, "UNITS", 128)
            patch.setattr(members, "TARGETS", 4)
            patch.setattr(members, "SHADOWS", 16)
            patch.setattr(privacy, "OTHER_EPSILONS", (1000.0,))
        command = ["demo", "privacy", "--more", "--save", str(folder), "--json"]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), folder


@pytest.fixture(scope="module")
def settings(told):
    return told[0]["settings"]


def attack(told, setting, **where):
    """The row of the tables of single attacks."""
    rows = [row for table in told[0]["attacks"].values() for row in table]
    (found,) = [row for row in rows if row["setting"] == setting and where.items() <= row.items()]
    return found


def test_without_protection_images_come_back_with_their_hospital_and_members_are_told(settings):
    nothing = settings["nothing"]
    assert nothing["ε"] is None
    assert nothing["hospital known"] == nothing["images back"] > 120
    assert nothing["LiRA AUC"] > 0.65
    assert nothing["TPR at 1 % FPR"] > 0.03


def test_even_parameters_that_nobody_tampered_with_give_images_away(told):
    assert attack(told, "nothing", **{"first parameters": "torch's own"})["exact, parts"] > 10


def test_of_a_secure_sum_images_come_back_and_nobody_knows_whose(told, settings):
    secure, nothing = settings["secure sum"], settings["nothing"]
    assert secure["images back"] > 20
    assert secure["hospital known"] == 0
    sums = [attack(told, name, **{"first parameters": "an attacker's"})["exact, sum"] for name in settings][:2]
    assert sums[0] == sums[1] == secure["images back"]  # the sum is the same, masked or not
    for figure in ("test AUC", "balanced accuracy"):
        assert secure[figure] == pytest.approx(nothing[figure], abs=1e-9)


def test_a_masked_part_tells_nothing_of_images_or_members(told):
    for setting in ("secure sum", "both"):
        for first in ("an attacker's", "torch's own"):
            made = attack(told, setting, **{"first parameters": first})
            assert made["exact, parts"] == 0
            assert made["PSNR, parts"] == pytest.approx(told[0]["mean_image"])
        assert attack(told, setting, by="parts", rounds="all")["AUC"] == pytest.approx(0.5, abs=0.03)


def test_what_averages_tell_of_members_a_secure_sum_tells_too(told):
    clear, masked = (attack(told, setting, by="sum", rounds="last") for setting in ("nothing", "secure sum"))
    assert masked["AUC"] == pytest.approx(clear["AUC"], abs=1e-6)
    assert masked["AUC"] > 0.6


def test_with_dp_images_are_the_mean_image_and_members_are_not_told(told, settings):
    for name in ("DP", "both"):
        made = settings[name]
        assert made["ε"] == pytest.approx(3.0, rel=1e-3)
        assert made["PSNR"] <= 17
        assert made["PSNR"] == pytest.approx(told[0]["mean_image"], abs=0.5)
        assert made["images back"] == made["hospital known"] == 0
        for by in ("parts", "sum"):
            found = attack(told, name, by=by, rounds="last")
            assert found["members"] >= 4 * 312
            assert found["AUC"] <= 0.55
            assert found["at most"] <= 0.03


def test_whoever_follows_all_rounds_tells_a_little_more_under_dp_too(told):
    for name in ("DP", "both"):
        for by in ("parts", "sum"):
            found = attack(told, name, by=by, rounds="all")
            assert found["AUC"] <= 0.6
            assert found["at most"] <= 0.03
    last, every = (attack(told, "DP", by="parts", rounds=rounds)["AUC"] for rounds in ("last", "all"))
    assert last < every


def test_dp_costs_some_of_the_models_use_and_leaves_some(settings):
    assert 0.6 < settings["DP"]["test AUC"] < settings["nothing"]["test AUC"]


def test_the_report_says_what_hides_what_and_what_comity_warned_of(told):
    _, folder = told
    page = (folder / "demo.md").read_text()
    for said in ("A secure sum hides who", "DP hides the record", "The mean image has 16.6 dB"):
        assert said in page
    assert "Of an experiment with secure sum, comity says: SecureSum hides whose" in page
    assert "Of an experiment with DP, comity says: RecordDP limits" in page
    assert (folder / "demo.png").stat().st_size > 50_000
    assert "ε = 3" in (folder / "summary.md").read_text()


def test_what_more_epsilon_costs_and_gives(told, settings):
    (panel,) = told[0]["more"].values()
    loosest = panel[-1]
    assert settings["DP"]["LiRA AUC"] + 0.1 < loosest["LiRA AUC"] < settings["nothing"]["LiRA AUC"]
    assert settings["DP"]["test AUC"] < loosest["test AUC"]


@pytest.mark.long
@pytest.mark.parametrize("told", ["whole"], indirect=True)
def test_the_pages_figures_are_those_of_a_run(told):
    """Of the tables of docs/howto/privacy-lab.md; another processor may round a figure otherwise."""
    main, epsilons, images, members = tables(PAGE.read_text())
    settings, (panel,) = told[0]["settings"], told[0]["more"].values()
    assert main == {name: near(row.values()) for name, row in settings.items()}
    assert list(epsilons) == ["1", "3", "10", "100", "∞"]
    measured = [panel[0], settings["DP"], panel[1], panel[2], settings["nothing"]]
    columns = [column for column in panel[0] if column not in ("ε", "hospital known")]
    assert list(epsilons.values()) == [near(row[column] for column in columns) for row in measured]
    for name, found in images.items():
        rows = [attack(told, name, **{"first parameters": of}) for of in ("an attacker's", "torch's own")]
        assert found == near(row[column] for row in rows for column in ("exact, parts", "exact, sum")), name
    for name, found in members.items():
        rows = [attack(told, name, by=by, rounds=rounds) for rounds in ("last", "all") for by in ("parts", "sum")]
        assert found == near(row["AUC"] for row in rows), name


def tables(page):
    """Of each table its rows' figures by what they are of."""
    found = []
    for before, line in pairwise(page.splitlines()):
        if line.startswith("|---"):
            found.append({})
        elif line.startswith("|") and before.startswith("|"):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found[-1][name] = [float(cell) for cell in cells if cell]
    return found


def near(figures):
    return pytest.approx([figure for figure in figures if figure is not None], abs=5e-3, rel=5e-3)
