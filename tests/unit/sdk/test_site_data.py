"""A site's rows as a dataset: what is written is what the opener reads, and the opener tells no more than it must."""

import io
import tarfile
import warnings

import numpy as np
import pytest

import comity as co
from comity.adapters.execution import opener
from comity.sdk import datasets, site_data
from comity.sdk.datasets import NewDataset
from comity.sdk.work import site_of
from comity.values.errors import InvalidInput, Unavailable
from comity.values.rows import Rows

WORDS = np.array(["Müller", "O'Hara", "x"])


def rows(x="float64", y="int64", shape=(3,), target=(), **more):
    generator = np.random.default_rng(1)
    taken = generator.integers(0, 2, (4, *target)).astype(y) if y else None
    return Rows(generator.integers(0, 9, (4, *shape)).astype(x), taken, **more)


@pytest.fixture
def registered(canned, tmp_path):
    """Register a site; gives its opener, the folder of its rows, and what was sent."""

    def register(site, *, upload=False):
        canned.say("/data_manager/", {"key": "d1"}, 201)
        canned.say("/data_sample/", [{"key": "s1"}], 201)
        folder = tmp_path / "rows"
        key = site_data.register(
            canned.client, "heart", site, authorize=["b"], logs=["c"], folder=None if upload else folder
        )
        assert key == "d1"
        ((value, files),) = canned.uploaded("/data_manager/")
        (tmp_path / "opener.py").write_bytes(files[b"data_opener"])
        return opener.load(tmp_path / "opener.py"), folder, value

    return register


SITES = {
    **{
        f"x of {kind}": co.Site("a", train=rows(kind))
        for kind in ("float32", "float16", "int8", "uint8", "bool", ">f4")
    },
    **{f"y of {kind}": co.Site("a", train=rows(y=kind)) for kind in ("float64", "uint8", "bool", "int32")},
    "images": co.Site("a", train=rows("uint8", shape=(2, 3, 1))),
    "many targets": co.Site("a", train=rows(y="float32", target=(2,))),
    "one number a row": co.Site("a", train=rows(shape=())),
    "no targets": co.Site("a", train=rows(y=None)),
    "test rows alone": co.Site("a", test=rows()),
    "both": co.Site("a", train=rows(), test=rows().take([1, 0])),
    "no training rows": co.Site("a", train=rows().take(np.arange(0)), test=rows()),
    "columns": co.Site("a", train=rows(columns=("age", "Größe'\"", "morphology_8500/3"))),
    "ids": co.Site("a", train=rows(ids=np.array([3, 1, 3, 2]))),
    "names as ids": co.Site("a", train=rows(ids=WORDS[[0, 1, 0, 2]])),
    "Python objects as ids": co.Site("a", train=rows(ids=WORDS[[0, 1, 0, 2]].astype(object))),
    "not finite": co.Site("a", train=Rows(np.array([[np.nan], [np.inf]]), np.array([0.0, np.nan]))),
}


@pytest.mark.parametrize("case", SITES)
def test_rows_come_back_as_they_were(registered, case):
    made, folder, _ = registered(SITES[case])
    back = site_of("a", made.get_data([str(folder)]))
    for mine, theirs in ((back.train, SITES[case].train), (back.test, SITES[case].test)):
        assert (mine is None) == (theirs is None)
        if theirs is not None and mine is not None and len(theirs):
            assert mine.columns == theirs.columns
            for name in ("x", "y", "ids"):
                same(getattr(mine, name), getattr(theirs, name))


def same(mine, theirs):
    assert (mine is None) == (theirs is None)
    if theirs is not None:
        np.testing.assert_array_equal(mine, theirs)
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype.newbyteorder("=") or theirs.dtype.hasobject


@pytest.mark.parametrize("case", SITES)
def test_rows_that_are_made_up_are_of_the_same_kind(registered, case):
    made, _, _ = registered(SITES[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        up = site_of("a", made.fake_data(7))
    like = SITES[case]
    for mine, theirs in ((up.train, like.train), (up.test, like.test)):
        if theirs is not None and mine is not None and len(theirs):
            assert len(mine) == 7
            assert (mine.x.shape[1:], mine.x.dtype, mine.columns) == (
                theirs.x.shape[1:],
                theirs.x.dtype,
                theirs.columns,
            )
            assert (mine.y is None) == (theirs.y is None)
            if theirs.y is not None:
                assert (mine.y.shape[1:], mine.y.dtype) == (theirs.y.shape[1:], theirs.y.dtype)


def test_an_opener_tells_no_row(registered, tmp_path):
    registered(co.Site("a", train=Rows(np.full((3, 1), 123.456), np.full(3, 789.0), ids=np.array(["Smith"] * 3))))
    text = (tmp_path / "opener.py").read_text()
    assert not [each for each in ("123.456", "789", "Smith") if each in text]


def test_several_samples_are_one_after_the_other(registered, tmp_path):
    made, folder, _ = registered(co.Site("a", train=rows()))
    twice = made.get_data([str(folder), str(folder)])["train"]
    np.testing.assert_array_equal(twice.x, np.concatenate([rows().x, rows().x]))


def test_who_may_use_it_and_read_its_logs_is_sent(registered):
    _, _, value = registered(co.Site("a", train=rows()))
    assert value["name"] == "heart"
    assert value["permissions"] == {"public": False, "authorized_ids": ["b"]}
    assert value["logs_permission"] == {"public": False, "authorized_ids": ["c"]}


def test_rows_are_kept_here_or_sent(registered, canned, tmp_path):
    _, folder, _ = registered(co.Site("a", train=rows()))
    assert canned.posted("/data_sample/") == [{"data_manager_keys": ["d1"], "paths": [str(folder)]}]
    canned.node.requests.clear()
    registered(co.Site("a", train=rows(), test=rows()), upload=True)
    ((value, files),) = canned.uploaded("/data_sample/")
    assert value == {"data_manager_keys": ["d1"]}
    with tarfile.open(fileobj=io.BytesIO(files[b"0"])) as packed:
        assert packed.getnames() == ["test.npz", "train.npz"]


def test_what_cannot_be_kept_is_refused(registered, canned):
    texts = Rows(np.array([[1, "a"]], dtype=object))
    with pytest.raises(InvalidInput, match="the rows of 'a' hold Python objects"):
        registered(co.Site("a", train=texts))
    with pytest.raises(InvalidInput, match="site 'a' has no rows to register"):
        registered(co.Site("a", train=rows().take(np.arange(0))))
    assert canned.node.requests == []


# Datasets


@pytest.fixture
def new(tmp_path):
    (tmp_path / "opener.py").write_text("class Rows: ...\n")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text(name)
    folders = [tmp_path / "one", tmp_path / "two"]
    return lambda **given: NewDataset(
        **{"name": "h", "opener": tmp_path / "opener.py", "folders": folders, "permissions": datasets.NOBODY, **given}
    )


@pytest.mark.parametrize("upload", [False, True])
def test_a_dataset_has_its_samples(canned, new, upload):
    canned.say("/data_manager/", {"key": "d1"}, 201)
    canned.say("/data_sample/", [{"key": "s1"}, {"key": "s2"}], 201)
    assert datasets.add(canned.client, new(upload=upload)) == {"key": "d1", "data_sample_keys": ["s1", "s2"]}
    ((_, files),) = canned.uploaded("/data_manager/")
    assert files == {b"data_opener": b"class Rows: ...\n", b"description": b"# h\n"}


@pytest.mark.parametrize("upload", [False, True])
def test_a_dataset_does_not_stay_without_its_samples(canned, new, upload):
    canned.say("/data_manager/", {"key": "d1"}, 201)
    canned.say("/data_sample/", {"detail": "the disk is full"}, 503)
    canned.say("/data_manager/d1/withdraw/", {})
    with pytest.raises(Unavailable, match="the disk is full"):
        datasets.add(canned.client, new(upload=upload))
    assert canned.posted("/data_manager/d1/withdraw/") == [{"reason": "its samples were not registered"}]


def test_a_sample_is_a_folder(canned, new, tmp_path):
    with pytest.raises(InvalidInput, match="is no folder"):
        datasets.add(canned.client, new(folders=[tmp_path / "opener.py"]))
    assert canned.node.requests == []


def test_a_description_of_ones_own_is_sent(canned, new, tmp_path):
    canned.say("/data_manager/", {"key": "d1"}, 201)
    canned.say("/data_sample/", [], 201)
    (tmp_path / "about.md").write_text("# Mine")
    datasets.add(canned.client, new(description=tmp_path / "about.md", folders=[]))
    ((_, files),) = canned.uploaded("/data_manager/")
    assert files[b"description"] == b"# Mine"
