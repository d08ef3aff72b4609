"""A report can be read without comity, and replaces an earlier one whole."""

import csv
import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from safetensors.numpy import load_file

import comity as co
from comity.values import codec
from comity.values.errors import InvalidInput

ALWAYS = {"summary.md", "model.safetensors", "metrics.csv", "metrics.json", "figure.png"}


@pytest.fixture
def run(experiment, sites):
    return co.simulate(experiment, sites, baselines=["local", "pooled"])


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_complete(run, tmp_path):
    folder = run.save(tmp_path / "some" / "where")
    assert folder == tmp_path / "some" / "where"
    assert names(folder) == {*ALWAYS, "experiment.json"}


def test_the_model_is_read_by_the_safetensors_library(run, tmp_path, sites):
    path = run.save(tmp_path) / "model.safetensors"
    loaded = load_file(path)
    assert {name: leaf.tolist() for name, leaf in loaded.items()} == {
        name: np.asarray(leaf).tolist() for name, leaf in run.model.items()
    }
    x = sites[0].test.x
    assert np.array_equal(run.experiment.predict(loaded, x), run.predict(x))
    assert np.array_equal(run.experiment.predict(codec.decode(path.read_bytes()), x), run.predict(x))
    assert codec.digest(loaded) == run.digest


def test_the_experiment_comes_back_and_makes_the_same_model(run, tmp_path, sites):
    back = co.read_experiment((run.save(tmp_path) / "experiment.json").read_text())
    assert back == run.experiment
    assert co.simulate(back, sites).digest == run.digest


def test_the_model_comes_back_and_predicts_the_same(run, tmp_path, sites):
    folder = run.save(tmp_path)
    for path in (folder, str(folder / "model.safetensors")):
        assert np.array_equal(
            run.experiment.predict(co.read_model(path), sites[0].test.x), run.predict(sites[0].test.x)
        )
    for path in ("heart/experiment.json", Path("experiment.json")):
        with pytest.raises(InvalidInput, match=r"not a path to it: read_experiment\(Path\(.*\)\.read_text\(\)\)"):
            co.read_experiment(path)


def test_metrics_are_csv_and_strict_json(run, tmp_path):
    folder = run.save(tmp_path)
    rows = list(csv.DictReader(io.StringIO((folder / "metrics.csv").read_text())))
    assert [row["round"] for row in rows] == ["1", "2", "3"]
    assert [float(row["auc"]) for row in rows] == run.series("auc")[1]
    read = json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert read["digest"] == run.digest
    assert read["round"] == 3
    assert read["engine"]["engine"] == "Plain()"
    assert read["engine"]["versions"]["comity"]
    assert [each["pooled"]["auc"] for each in read["rounds"]] == run.series("auc")[1]
    assert set(read["baselines"]) == {"A", "B", "pooled"}


def test_what_is_not_defined_is_null(experiment, sites, tmp_path):
    one_class = [replace(site, test=co.Rows(site.train.x, np.ones(len(site.train)))) for site in sites]
    folder = co.simulate(experiment, one_class).save(tmp_path)
    read = json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert read["rounds"][0]["pooled"]["auc"] is None


def test_the_summary_says_what_was_done(run, experiment, sites, tmp_path):
    text = (run.save(tmp_path) / "summary.md").read_text()
    assert text.startswith("# FedAvg over 2 sites\n")
    assert run.digest in text
    assert "Sites: B, A." in text
    assert "No site was ever missing." in text
    assert repr(experiment) in text
    missed = co.simulate(experiment, sites, dropout=co.Dropout(schedule={2: ["A"]}))
    assert "Sites were missing 1 times" in (missed.save(tmp_path) / "summary.md").read_text()


def test_an_experiment_with_lambdas_is_saved_as_text_with_the_reason(experiment, sites, tmp_path):
    named = co.simulate(experiment, sites)
    named.save(tmp_path)
    nameless = replace(experiment, metrics=[lambda y, p: float(np.mean(y == (p > 0.5)))])
    co.simulate(nameless, sites).save(tmp_path)
    assert names(tmp_path) == {*ALWAYS, "experiment.txt"}, "the earlier experiment.json would belie this report"
    text = (tmp_path / "experiment.txt").read_text()
    assert "Experiment(strategy=FedAvg(" in text
    assert "cannot be named from outside" in text
    named.save(tmp_path)
    assert names(tmp_path) == {*ALWAYS, "experiment.json"}


def test_private_parts_of_the_model_are_saved_by_site(experiment, sites, tmp_path):
    odd = [replace(sites[i % 2], name=name) for i, name in enumerate(["Hôpital 東京: 50% ..\\x", "...", "病" * 100])]
    run = co.simulate(replace(experiment, strategy=co.strategies.FedPer(personal=("bias",)), metrics=()), odd)
    folder = run.save(tmp_path / "report")
    files = {path.name for path in (folder / "sites").iterdir()}
    assert {"Hôpital 東京%3A 50%25 ..%5Cx.safetensors", "....safetensors"} < files
    assert len(files) == 3
    assert all(len(name.encode()) <= 255 for name in files)
    loaded = load_file(folder / "sites" / "....safetensors")
    assert loaded["bias"] == run.model_at("...")["bias"] != run.model["bias"]
    x = sites[1].test.x
    assert np.array_equal(run.experiment.predict(loaded, x), run.predict(x, site="..."))
    co.simulate(experiment, sites).save(folder)
    assert names(folder) == {*ALWAYS, "experiment.json"}
    assert names(tmp_path) == {f"report/{name}" for name in names(folder)}, "nothing was written elsewhere"


def test_memories_that_are_no_part_of_the_model_stay_out(experiment, sites, tmp_path):
    co.simulate(replace(experiment, strategy=co.Scaffold()), sites).save(tmp_path)
    assert names(tmp_path) == {*ALWAYS, "experiment.json"}


def test_a_file_is_replaced_at_once_or_not_at_all(run, experiment, sites, tmp_path, monkeypatch):
    run.save(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    other = co.simulate(replace(experiment, seed=7), sites)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        other.save(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_file_is_no_directory(run, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InvalidInput, match="taken is a file; give a directory to save to"):
        run.save(tmp_path / "taken")


def test_the_picture_has_a_panel_for_each_metric(run, tmp_path):
    axes = run.plot().axes
    assert [each.get_title(loc="left") for each in axes] == ["accuracy", "auc"]
    drawn = [line.get_ydata().tolist() for line in axes[1].get_lines()]
    assert run.series("auc")[1] in drawn
    assert all(baseline.series("auc")[1] in drawn for baseline in run.baselines.values())
    assert imread(run.save(tmp_path) / "figure.png").shape[0] > 100


def test_names_with_signs_are_drawn_as_they_are(experiment, sites, tmp_path):
    def cost(y, predictions):
        return 1.0

    cost.__name__ = "cost in $ and \\frac$"
    run = co.simulate(replace(experiment, metrics=[cost]), [replace(sites[0], name="a$b$")])
    run.save(tmp_path)
    assert run.plot().axes[0].get_title(loc="left") == "cost in $ and \\frac$, mean of sites"


def test_a_run_without_metrics_or_of_analytics_can_be_saved(experiment, sites, tmp_path):
    co.simulate(replace(experiment, metrics=()), sites).save(tmp_path / "bare")
    run = co.simulate(co.Experiment(strategy=co.strategies.Statistics(), rounds=5), sites)
    folder = run.save(tmp_path / "analytics")
    assert names(folder) == {*ALWAYS, "experiment.json", "table.csv"} - {"figure.png"}
    assert str(run.table()) in (folder / "summary.md").read_text()
    with (folder / "table.csv").open(newline="") as table:
        assert [float(row["mean"]) for row in csv.DictReader(table)] == run.table().column("mean")
    with pytest.raises(InvalidInput, match="there is nothing to draw"):
        run.plot()


def test_what_an_earlier_report_had_and_this_one_has_not_goes(run, experiment, sites, tmp_path):
    run.save(tmp_path)
    co.simulate(co.Experiment(strategy=co.strategies.Statistics()), sites).save(tmp_path)
    assert "figure.png" not in names(tmp_path)
    co.simulate(experiment, sites).save(tmp_path)
    assert names(tmp_path) == {*ALWAYS, "experiment.json"}


def test_survival_is_drawn_in_steps(tmp_path):
    y = np.array([[1.0, 1], [2.0, 0], [3.0, 1], [4.0, 1]])
    group = np.array([[0.0], [0], [1], [1]])
    curve = co.strategies.KaplanMeier(times=(1, 2, 3, 4), group="treated")
    run = co.simulate(co.Experiment(strategy=curve), [co.Site("A", co.Rows(group, y, ("treated",)))])
    axes = run.plot().axes[0]
    assert [line.get_label() for line in axes.get_lines()] == ["treated = 0", "treated = 1"]
    assert axes.get_lines()[0].get_ydata().tolist() == [1, 0.5, 0.5, 0.5, 0.5]
    assert axes.get_lines()[1].get_ydata().tolist() == [1, 1, 1, 0.5, 0]
    assert {line.get_drawstyle() for line in axes.get_lines()} == {"steps-post"}
    assert (run.save(tmp_path) / "figure.png").exists()


def test_baselines_of_what_is_a_result_in_itself_are_shown(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2))
    y = np.stack([generator.exponential(np.exp(-x[:, 0])), np.ones(60)], axis=1)
    sites = [co.Site(name, (x[rows], y[rows]), (x[:20], y[:20])) for name, rows in (("A", range(30)), ("B", range(60)))]
    cox = co.Experiment(strategy=co.strategies.CoxRegression(), metrics=[co.metrics.concordance])
    run = co.simulate(cox, sites, baselines=["local", "pooled"])
    assert run.table() is not run.comparison()
    assert run.comparison().column("method") == ["A alone", "B alone", "pooled", "CoxRegression"]
    assert str(run.comparison()) in (run.save(tmp_path) / "summary.md").read_text()


def test_a_plain_function_has_no_figure_over_all_rows(experiment, sites):
    def spread(y, predictions):
        return float(np.ptp(predictions))

    run = co.simulate(replace(experiment, metrics=[spread, co.metrics.auc], best="spread"), sites)
    assert run.table().columns == ("method", "spread, mean of sites", "auc, mean of sites", "auc, all test rows")
    assert run.scores("spread") == (run.table().rows[0][1], None)
    assert run.series("spread")[1][run.round - 1] == run.scores("spread")[0]


def test_metrics_without_test_rows_are_said_to_be_unmeasured(experiment, sites):
    run = co.simulate(experiment, [co.Site(each.name, each.train) for each in sites])
    assert "nothing was measured, for no site has test rows" in str(run.table())


def test_what_a_notebook_shows(run, experiment):
    page = run._repr_html_()
    assert page == run.table()._repr_html_()
    assert page.startswith("<table><caption>round 3 of 3, 2 sites</caption>")
    assert "<td>FedAvg</td>" in page
    assert repr(run).startswith("Run(experiment=Experiment(")
    assert run.table().column("method") == ["B alone", "A alone", "pooled", "FedAvg"]
    assert run.table().rows[-1][1:3] == run.scores("accuracy")


def test_scores_of_the_run_are_those_of_its_round(run, sites):
    mean, pooled = run.scores("auc")
    again, by_site = run.evaluate(sites)
    assert pooled == again["auc"]
    assert mean == pytest.approx((by_site["A"]["auc"] + by_site["B"]["auc"]) / 2)
    assert not math.isnan(pooled)


def test_misspelt_names_suggest_the_nearest(run):
    for ask in (lambda: run.series("auk"), lambda: run.scores("auk")):
        with pytest.raises(InvalidInput, match="did you mean 'auc'"):
            ask()
    for ask in (lambda: run.memory("C"), lambda: run.predict(np.zeros((1, 3)), site="C")):
        with pytest.raises(InvalidInput, match="there is no site 'C'"):
            ask()


def test_of_very_many_sites_some_are_drawn(experiment):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(6, 3)), np.array([0.0, 1, 0, 1, 0, 1])
    many = [co.Site(f"{i:03}", (x, y), (x, y)) for i in range(401)]
    axes = co.simulate(replace(experiment, metrics=[co.metrics.auc], rounds=1), many).plot().axes[0]
    assert len(axes.get_lines()) == 134 + 1
    assert "grey: 134 of 401 sites" in [text.get_text() for text in axes.texts]
