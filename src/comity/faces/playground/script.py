"""Settings as a script: the same experiment, written with comity's everyday names, which comes to the same numbers."""

from __future__ import annotations

from comity.data.partition import Hospital
from comity.faces.credit import credit
from comity.faces.playground.data_sets import DataSet
from comity.faces.playground.query import query_of
from comity.faces.playground.settings import Settings

NET = """def net():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 2),
    )
"""

LOADING = {
    "breastmnist": "train, validation = co.data.breastmnist()",
    "heart": 'train, validation = co.partition.together(co.data.heart(standardize="pooled"))',
    "breast_cancer": "train, validation = co.data.breast_cancer()",
}


def script_of(settings: Settings) -> str:
    """The script, which prints a table for each seed."""
    data, images = settings.data_set, settings.data_set.kind == "images"
    lines = [
        f'"""{data.title} in {len(settings.hospitals)} hospitals, an experiment of comity\'s playground.',
        "",
        f"{credit(settings.data)}",
        *([] if not query_of(settings) else ["", f"In the playground: ?{query_of(settings)}"]),
        '"""',
        "",
        "import comity as co",
        *(["from torch import nn", "from torch.nn.functional import cross_entropy", "", "", NET] if images else []),
        "",
        f"{LOADING[settings.data]}",
        "wanted = [",
        *(f"    {_hospital(each)}," for each in settings.hospitals),
        "]",
        "runs = {}",
        f"for seed in {tuple(settings.seeds)}:  # which deals the {data.rows[1]} and begins the model",
        "    sites = co.partition.hospitals(train, wanted=wanted, seed=seed, test_fraction=0)",
        *_validated(settings),
        "    experiment = co.Experiment(",
        f"        model={_model(data)},",
        f"        train=co.Train(optimizer=co.SGD(lr={data.lr}), batch_size={data.batch_size}, epochs=1),",
        f"        strategy={settings.offered.code},",
        "        metrics=[co.metrics.auc, co.metrics.balanced_accuracy],",
        f"        rounds={settings.rounds},",
        "        seed=seed,",
        *(["        privacy=[co.privacy.SecureSum()],"] if settings.secure_sum else []),
        "    )",
        f'    runs[seed] = co.simulate(experiment, sites, {_tests(settings)}baselines=["local", "pooled"])',
        "    print(runs[seed].table())",
    ]
    return "\n".join(lines) + "\n"


def _hospital(hospital: Hospital) -> str:
    parts = [f"rows={hospital.rows}", f"positive={hospital.positive:g}"]
    parts += [f"{name}={value:g}" for name in ("noise", "shift") if (value := getattr(hospital, name))]
    return f"co.partition.Hospital({', '.join(parts)})"


def _model(data: DataSet) -> str:
    if data.kind == "images":
        return "co.torch.Model(net, cross_entropy)"
    return f'co.numpy.Linear(features={data.features}, loss="logistic")'


def _validated(settings: Settings) -> list[str]:
    """Under a secure sum each hospital gives masked sums of its measures, of the same rows."""
    if settings.secure_sum:
        return ["    sites = [co.Site(site.name, site.train, validation) for site in sites]"]
    return ['    tests = [co.Site("Validation", test=validation)]']


def _tests(settings: Settings) -> str:
    return "" if settings.secure_sum else "tests=tests, "
