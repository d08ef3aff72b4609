"""Sites come as values or are loaded when needed; what is not a site of that name is refused."""

import numpy as np
import pytest

import comity as co
from comity.engine.sites import Sites
from comity.values.errors import InvalidInput

X = np.zeros((2, 1))


def test_sums_are_in_the_order_of_names_and_results_in_that_given():
    sites = Sites([co.Site(name, X) for name in ("b", "C", "a")])
    assert sites.names == ("C", "a", "b")
    assert sites.given_order == ("b", "C", "a")
    assert [site.name for site in sites] == ["C", "a", "b"]
    assert len(sites) == 3
    assert "a" in sites
    assert "d" not in sites


def test_a_loader_is_called_when_its_site_is_needed_and_not_before():
    calls = []

    def loader(name):
        return lambda: calls.append(name) or co.Site(name, X)

    sites = Sites({name: loader(name) for name in "abc"})
    assert calls == []
    assert sites.load("b").name == "b"
    assert calls == ["b"]


def test_pooled_puts_everybodys_rows_in_one_place():
    sites = Sites([co.Site("b", (X + 2, np.ones(2))), co.Site("a", (X + 1, np.zeros(2)))])
    pooled = sites.pooled()
    assert pooled.train.x[:, 0].tolist() == [1, 1, 2, 2]
    assert pooled.train.targets.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("given", [[], {}, ()])
def test_no_sites_are_refused(given):
    with pytest.raises(InvalidInput, match="there are no sites; give at least one"):
        Sites(given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (co.Site("a", X), "sites must be a list of co.Site values"),
        ("heart", "sites must be a list of co.Site values"),
        ([X], "sites must be co.Site values, got a ndarray"),
        ([co.Site("a", X), co.Site("b", X), co.Site("a", X)], "2 sites are called 'a'; names must differ"),
        ([co.Site(str(i % 1500), X) for i in range(1501)], "2 sites are called '0'; names must differ"),
    ],
)
def test_what_are_no_sites_is_refused(given, sentence):
    with pytest.raises(InvalidInput) as caught:
        Sites(given)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("loaded", [None, co.Site("b", X)])
def test_a_loader_must_give_the_site_of_its_name(loaded):
    with pytest.raises(InvalidInput, match=r"what was loaded for site 'a' is .*; give a co\.Site of that name"):
        Sites({"a": lambda: loaded}).load("a")


def test_an_unknown_site_is_named_without_listing_a_hundred_thousand():
    with pytest.raises(InvalidInput, match="there is no site 'x' among the 2 of this run"):
        Sites([co.Site("a", X), co.Site("b", X)]).load("x")
