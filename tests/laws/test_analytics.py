"""Laws of federated analytics and classical models: what every one of them must do, on any split of the rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from comity.strategies.cox import CoxRegression
from comity.strategies.histogram import Histogram
from comity.strategies.kaplan_meier import KaplanMeier
from comity.strategies.linear_regression import LinearRegression
from comity.strategies.logistic_regression import LogisticRegression
from comity.strategies.pca import PCA
from comity.strategies.quantiles import Quantiles
from comity.strategies.statistics import Statistics
from comity.values import codec, record, tree
from comity.values.contribution import gather
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.strategy import Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array

COLUMNS = ("age", "morphology_8500/3", "Größe", "treated")


def features() -> Array:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(160, 4)) * [12, 1, 0.1, 1] + [58, 0, 1.7, 0]
    x[:, 3] = x[:, 3] > 0
    return x


def holes(x: Array) -> Array:
    return np.where(np.random.default_rng(2).random(x.shape) < 0.1, np.nan, x)


def line(x: Array) -> Array:
    return x @ [0.1, 2, 30, -1] + np.random.default_rng(3).normal(size=len(x))


def classes(x: Array) -> Array:
    return (line(x) > np.median(line(x)) + np.random.default_rng(4).normal(size=len(x)) * 4).astype(float)


def lifetimes(x: Array) -> Array:
    generator = np.random.default_rng(5)
    time = np.ceil(generator.exponential(20 * np.exp(-0.3 * x[:, 1] + 0.5 * x[:, 3])))  # whole days, so with ties
    return np.column_stack([time, generator.random(len(x)) < 0.7])


class Law(NamedTuple):
    strategy: Strategy
    x: Array
    y: Array | None
    rounds: int
    """How many it may take on this data."""

    @property
    def rows(self) -> Rows:
        for array in (self.x, self.y):
            if array is not None:
                array.setflags(write=False)
        return Rows(self.x, self.y, COLUMNS)


X = features()
LAWS = [
    Law(Statistics(), holes(X), None, 2),
    Law(Histogram(edges=(0, 1, 1.7, 50, 60)), holes(X), None, 1),
    Law(Histogram(edges=(0, 50, 60), columns=("age",)), holes(X), None, 1),
    Law(Quantiles(q=(0, 0.1, 0.5, 1)), holes(X), None, 8),
    Law(Quantiles(tolerance=0.5), holes(X), None, 8),
    Law(PCA(components=4), X, None, 2),
    Law(LinearRegression(), X, line(X), 2),
    Law(LinearRegression(l2=0.1), X, line(X), 2),
    Law(LogisticRegression(), X, classes(X), 10),
    Law(LogisticRegression(l2=0.1), X, classes(X), 10),
    Law(CoxRegression(), X, lifetimes(X), 10),
    Law(CoxRegression(ties="breslow"), X, lifetimes(X), 10),
    Law(CoxRegression(l2=0.1), X, lifetimes(X), 10),
    Law(KaplanMeier(times=tuple(range(1, 120))), X, lifetimes(X), 1),
    Law(KaplanMeier(times=(10, 20, 40), group="treated"), X, lifetimes(X), 1),
]
COMPLETE = (PCA, LinearRegression, LogisticRegression, CoxRegression)


def laws(keep: Callable[[Law], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("law", [law for law in LAWS if keep(law)], ids=lambda law: repr(law.strategy)[:60])


def stratified(law: Law) -> bool:
    """Each site is a stratum of its own, so that a split of the rows is another model."""
    return isinstance(law.strategy, CoxRegression)


every_law = laws(lambda law: True)


def fit(strategy: Strategy, sites: list[Site], between: Callable[[Any], Any] = lambda state: state) -> tuple[Any, int]:
    """The final state and the rounds it took."""
    state, rounds = strategy.init({}, Network(len(sites))), 0
    while not strategy.finished(state):
        state = between(strategy.step(state, gather([strategy.local(state, {}, site)[0] for site in sites])))
        rounds += 1
        assert rounds < 200, "it never finishes"
    return state, rounds


def split(rows: Rows, sites: int, seed: int = 0) -> list[Site]:
    where = np.random.default_rng(seed).integers(sites, size=len(rows))
    return [Site(f"site {i}", rows.take(where == i)) for i in range(sites)]


def same_bits(first: Any, second: Any) -> None:
    left, right = tree.flatten(record.to_tree(first)), tree.flatten(record.to_tree(second))
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path], path, strict=True)


def same_model(strategy: Strategy, first: Any, second: Any, tolerance: float = 1e-9) -> None:
    left, right = (tree.flatten(strategy.model(state, {})) for state in (first, second))
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_allclose(left[path], right[path], rtol=tolerance, atol=1e-12, err_msg=path)


def same_table(first: Table | None, second: Table | None) -> None:
    assert first is not None
    assert second is not None
    assert first.columns == second.columns
    for left, right in zip(first.rows, second.rows, strict=True):
        for a, b in zip(left, right, strict=True):
            assert (a == pytest.approx(b, rel=1e-8, abs=1e-12)) if isinstance(a, float) else (a == b)


@laws(lambda law: not stratified(law))
@pytest.mark.parametrize("sites", [2, 5])
def test_the_split_of_the_rows_does_not_matter(law: Law, sites: int) -> None:
    pooled, _ = fit(law.strategy, [Site("all", law.rows)])
    parted, _ = fit(law.strategy, split(law.rows, sites))
    same_model(law.strategy, pooled, parted)
    same_table(law.strategy.table(pooled), law.strategy.table(parted))


@pytest.mark.parametrize("sites", [1, 2, 5])
@laws(stratified)
def test_cox_over_sites_is_the_stratified_model_on_pooled_rows(law: Law, sites: int) -> None:
    assert isinstance(law.strategy, CoxRegression)
    parts = split(law.rows, sites)
    strata = np.concatenate([np.full(len(site.data), i) for i, site in enumerate(parts)])
    x = np.concatenate([site.data.x for site in parts])
    y = np.concatenate([site.data.targets for site in parts])
    state, _ = fit(law.strategy, parts)
    gradient, hessian = stratified_derivatives(x, y, strata, np.asarray(state.coef), law.strategy)
    # At the minimum one more Newton step of the pooled model stays where it is.
    np.testing.assert_allclose(np.linalg.solve(hessian, gradient), 0, atol=1e-10)
    np.testing.assert_allclose(state.covariance, np.linalg.inv(hessian), rtol=1e-9)


def stratified_derivatives(x: Array, y: Array, strata: Array, coef: Array, cox: CoxRegression) -> tuple[Array, Array]:
    """The textbook's formula with a loop over events and over strata; rows times the mean objective."""
    gradient, hessian = 2 * len(x) * cox.l2 * coef, 2 * len(x) * cox.l2 * np.eye(x.shape[1])
    for time, event, stratum in np.unique(np.column_stack([y, strata]), axis=0):
        tied = (y[:, 0] == time) & (y[:, 1] == 1) & (strata == stratum)
        at_risk = (y[:, 0] >= time) & (strata == stratum)
        for i in range(int(tied.sum()) if event else 0):
            share = i / tied.sum() if cox.ties == "efron" else 0.0
            weight = np.exp(x @ coef) * (at_risk - share * tied)
            mean = weight @ x / weight.sum()
            gradient = gradient + mean - x[tied][i]
            hessian = hessian + (x.T * weight) @ x / weight.sum() - np.outer(mean, mean)
    return gradient, hessian


@every_law
def test_the_names_and_the_order_of_sites_do_not_matter(law: Law) -> None:
    sites = split(law.rows, 4)
    renamed = [Site(f"other {i}", site.train) for i, site in enumerate(reversed(sites))]
    same_model(law.strategy, fit(law.strategy, sites)[0], fit(law.strategy, renamed)[0])


@every_law
def test_an_empty_site_changes_no_number(law: Law) -> None:
    sites = split(law.rows, 3)
    empty = Site("empty", law.rows.take(np.zeros(len(law.rows), dtype=bool)))
    first, second = fit(law.strategy, sites)[0], fit(law.strategy, [empty, *sites])[0]
    same_model(law.strategy, first, second, tolerance=0)


@laws(lambda law: law.rounds > 1 and not isinstance(law.strategy, Quantiles))
def test_when_a_site_stays_away_the_result_is_that_of_the_others(law: Law) -> None:
    first, *others = split(law.rows, 4)
    state, here = law.strategy.init({}, Network(4)), [first, *others]
    while not law.strategy.finished(state):
        state = law.strategy.step(state, gather([law.strategy.local(state, {}, site)[0] for site in here]))
        here = others
    same_model(law.strategy, state, fit(law.strategy, others)[0], tolerance=1e-8)


def test_quantiles_refuse_a_site_that_stays_away_after_the_first_round() -> None:
    first, *others = split(LAWS[0].rows, 4)
    strategy = Quantiles()
    state = strategy.init({}, Network(4))
    state = strategy.step(state, gather([strategy.local(state, {}, site)[0] for site in (first, *others)]))
    with pytest.raises(InvalidInput, match="same rows in every round"):
        strategy.step(state, gather([strategy.local(state, {}, site)[0] for site in others]))


@laws(lambda law: law.y is not None and not stratified(law))
def test_sites_that_hold_one_outcome_each_are_no_obstacle(law: Law) -> None:
    assert law.y is not None
    high = law.y.reshape(len(law.y), -1)[:, -1] > np.median(law.y.reshape(len(law.y), -1)[:, -1]) - 1e-9
    sites = [Site("high", law.rows.take(high)), Site("low", law.rows.take(~high))]
    same_model(law.strategy, fit(law.strategy, [Site("all", law.rows)])[0], fit(law.strategy, sites)[0])


@every_law
def test_it_gives_the_same_bits_twice_and_resumes_from_any_round_bit_for_bit(law: Law) -> None:
    def store(state: Any) -> Any:
        return record.from_tree(type(state), codec.decode(codec.encode(record.to_tree(state))))

    sites = split(law.rows, 3)
    straight, rounds = fit(law.strategy, sites)
    resumed, again = fit(law.strategy, sites, between=store)
    assert rounds == again <= law.rounds
    same_bits(straight, resumed)


@every_law
def test_what_leaves_a_site_does_not_grow_with_rounds_or_rows(law: Law) -> None:
    def sizes(rows: Rows) -> set[int]:
        state, made = law.strategy.init({}, Network(1)), set[int]()
        while not law.strategy.finished(state):
            part = law.strategy.local(state, {}, Site("all", rows))[0]
            made.add(tree.nbytes(part.total))
            state = law.strategy.step(state, part)
        return made

    twice = law.rows.take(np.repeat(np.arange(len(law.rows)), 2))
    assert len(sizes(law.rows)) == 1
    assert sizes(law.rows) == sizes(twice)


@every_law
def test_states_models_and_tables_are_finite_and_name_the_columns(law: Law) -> None:
    sites = split(law.rows, 2)

    def look(state: Any) -> Any:
        tree.check(law.strategy.model(state, {}), "model")
        tree.check(record.to_tree(state), "state")
        return state

    state, _ = fit(law.strategy, sites, between=look)
    assert law.strategy.table(law.strategy.init({}, Network(2))) is None
    table = law.strategy.table(state)
    assert table is not None
    if "column" in table.columns:
        assert {str(name) for name in table.column("column")} - {"(intercept)"} <= set(COLUMNS)
    hash(law.strategy)


@laws(lambda law: isinstance(law.strategy, COMPLETE))
def test_predictions_before_there_is_a_model_are_refused(law: Law) -> None:
    with pytest.raises(InvalidInput, match="no fitted model yet"):
        law.strategy.predict(law.strategy.model(law.strategy.init({}, Network(1)), {}), law.x)


@every_law
def test_a_table_after_too_few_rounds_says_so(law: Law) -> None:
    sites, state, warned = split(law.rows, 2), law.strategy.init({}, Network(2)), "NOT FINISHED"
    while not law.strategy.finished(state):
        table = law.strategy.table(state)
        assert table is None or warned in table.title
        state = law.strategy.step(state, gather([law.strategy.local(state, {}, site)[0] for site in sites]))
    table = law.strategy.table(state)
    assert table is not None
    assert warned not in table.title


@every_law
def test_x_that_is_no_table_of_finite_numbers_is_refused_by_the_name_of_the_site(law: Law) -> None:
    state = law.strategy.init({}, Network(1))
    if not isinstance(law.strategy, KaplanMeier) or law.strategy.group:
        with pytest.raises(InvalidInput, match=r"'A'.*table of numbers"):
            law.strategy.local(state, {}, Site("A", Rows(law.x[:, :, None], law.y)))
        infinite = np.where(np.arange(4) == 3, np.inf, X)
        if not isinstance(law.strategy, Histogram) or not law.strategy.columns:
            with pytest.raises(InvalidInput, match=r"'A'.*'treated' has 160 infinite"):
                law.strategy.local(state, {}, Site("A", Rows(infinite, law.y, COLUMNS)))
    if isinstance(law.strategy, COMPLETE):
        with pytest.raises(InvalidInput, match=r"'A'.*'age' has \d+ missing"):
            law.strategy.local(state, {}, Site("A", Rows(holes(X), law.y, COLUMNS)))


@laws(lambda law: not isinstance(law.strategy, KaplanMeier) and not getattr(law.strategy, "columns", ()))
def test_sites_with_other_columns_cannot_be_added(law: Law) -> None:
    other = Rows(law.x, law.y, ("age", "other", "Größe", "treated"))
    state = law.strategy.init({}, Network(2))
    with pytest.raises(InvalidInput, match=r"the sites' columns differ, by name or in order: .*other"):
        gather([law.strategy.local(state, {}, Site(str(i), rows))[0] for i, rows in enumerate((law.rows, other))])


@laws(lambda law: law.y is not None)
def test_targets_that_do_not_fit_are_refused_by_the_name_of_the_site(law: Law) -> None:
    assert law.y is not None
    state = law.strategy.init({}, Network(1))
    for y in (None, np.full(law.y.shape, np.nan), np.zeros((len(law.y), 3)), np.array(["yes"] * len(law.y))):
        with pytest.raises(InvalidInput, match=r"'A'|targets y"):
            law.strategy.local(state, {}, Site("A", Rows(law.x, y)))


@every_law
def test_no_rows_at_all_are_refused_or_counted_as_none(law: Law) -> None:
    nothing = [Site("empty", law.rows.take(np.zeros(len(law.rows), dtype=bool)))]
    if isinstance(law.strategy, COMPLETE):
        with pytest.raises(InvalidInput, match="rows"):
            fit(law.strategy, nothing)
    else:
        state, _ = fit(law.strategy, nothing)
        assert law.strategy.table(state) is not None
