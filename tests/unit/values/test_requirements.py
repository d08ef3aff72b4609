"""Locked requirements: one spelling, and nothing but names at versions."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from comity.values import requirements
from comity.values.errors import DecodeError
from comity.values.requirements import decode

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
versions = st.from_regex(
    r"([0-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\+[a-z0-9]{1,4})?", fullmatch=True
)
markers = st.sampled_from(
    ["", "python_version >= '3.8'", 'sys_platform == "linux" and extra == "x"', "os_name in 'nt'"]
)
hashes = st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=2)


@st.composite
def lines(draw):
    extras = draw(st.lists(names, max_size=2))
    marker = draw(markers)
    return "".join(
        [
            draw(names),
            f"[{','.join(extras)}]" if extras else "",
            f"=={draw(versions)}",
            f" ; {marker}" if marker else "",
        ]
    )


@given(
    st.lists(
        lines(), max_size=6, unique_by=lambda line: Requirement(line).name.lower().replace("_", "-").replace(".", "-")
    )
)
def test_a_lock_has_one_spelling_and_one_order(given):
    found = decode(given)
    spelt = [str(each) for each in found]
    assert decode(spelt) == found == decode(given[::-1])
    # packaging reads the same from what was given and from the canonical spelling
    means = {
        (each.name.lower(), str(each.specifier), str(each.marker), frozenset(each.extras))
        for each in map(Requirement, spelt)
    }
    assert len(means) == len(spelt) == len(given)
    by_name = {each.name: each for each in found}
    for line in map(Requirement, given):
        locked = by_name[requirements.canonicalize_name(line.name)]
        assert locked.met_by(str(next(iter(line.specifier)).version))


@given(hashes)
def test_hashes_are_a_set(digits):
    line = "a==1" + "".join(f" --hash=sha256:{each}" for each in digits)
    assert decode([line])[0].hashes == tuple(sorted(set(digits)))


@given(st.text(alphabet=string.printable, max_size=60) | st.builds("{}{}".format, lines(), st.text(max_size=5)))
def test_any_other_text_is_refused_or_locks_one_version(text):
    try:
        (found,) = decode([text])
    except DecodeError:
        return
    assert str(found).startswith(found.name)
    assert "==" in text
    assert "\n" not in str(found)
    Requirement(str(found).partition(" --hash")[0])


@pytest.mark.parametrize(
    "line",
    [
        *(
            "a",
            "a>=1",
            "a==1.*",
            "a===1",
            "a==1,<2",
            "a~=1",
            "",
            " a==1",
            "a==1 ",
            "a==1\n",
            "a==1\nb==2",
            "a==1 # why",
        ),
        *("a @ https://example.org/a.whl", "https://example.org/a.whl", "./a", "file:///a", "a.whl", "git+https://x/y"),
        *("-r other.txt", "-e .", "--index-url https://x", "a==1 --index-url https://x", "a==1 -e ."),
        *("--extra-index-url=https://x", "a==1 --hash=md5:00", "a==1 --hash=sha256:" + "A" * 64, "-c constraints.txt"),
        *("a==${TOKEN}", "a==1 ; unknown == '1'", "a==1 ; ", "a==1 ; python_version", "ä==1", "a==1 \\"),
        *("-a==1", "a-==1", "a[b==1", "a[]==1", "a==x", "a==" + "1" * 101, "a==1 ; " + "(" * 400 + ")" * 400),
        "a==1" + " --hash=sha256:" + "0" * 64 + "0",
    ],
)
def test_nothing_but_a_name_at_a_version_is_taken(line):
    with pytest.raises(DecodeError):
        decode([line])


def test_a_name_is_locked_once():
    with pytest.raises(DecodeError, match="a-b is locked twice"):
        decode(["a_b==1", "A.B==2"])
    # each to its own Python
    assert len(decode(["a==1 ; python_version < '3.12'", "a==2 ; python_version >= '3.12'"])) == 2


def test_all_have_hashes_or_none():
    hashed = "b==1 --hash=sha256:" + "0" * 64
    with pytest.raises(DecodeError, match="a==1 has no hash while others have"):
        decode([hashed, "a==1"])
    assert len(decode([hashed, "comity==1"])) == 2  # which is never installed


def test_there_is_an_end():
    with pytest.raises(DecodeError, match="1001 locked requirements"):
        decode([f"a{number}==1" for number in range(1001)])


@pytest.mark.parametrize(
    ("locked", "version", "met"),
    [
        # PEP 440, "Version matching": zeros and, where the specifier has none, a local label do not count
        *(("1.0", "1", True), ("1", "1.0.0", True), ("2.13.0", "2.13.0+cpu", True), ("2.13.0+cpu", "2.13.0", False)),
        *(("1.0rc1", "1.0rc1", True), ("1.0", "1.0rc1", False), ("1.0", "1.0.post1", False), ("1!1", "1", False)),
    ],
)
def test_versions_match_as_the_standard_says(locked, version, met):
    assert decode([f"a=={locked}"])[0].met_by(version) is met


def test_a_marker_says_where_it_applies():
    (here,) = decode(["a==1 ; python_version >= '3.11'"])
    (nowhere,) = decode(["a==1 ; python_version < '3.0'"])
    assert here.applies()
    assert not nowhere.applies()
