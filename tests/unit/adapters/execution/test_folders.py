"""The folders that host and sandbox share, where foreign code has been before the host."""

import os

import pytest

from comity.adapters.execution.folders import DEEPEST, Folders, usage
from comity.adapters.execution.isolation import Mounts
from comity.adapters.execution.limits import Limits


@pytest.fixture
def folders(tmp_path):
    mounts = Mounts(environment=(), data=(), given=tmp_path / "box" / "in", taken=tmp_path / "box" / "out")
    return Folders(tmp_path / "box", mounts, inside=True, user=None)


def test_a_task_gets_no_folder_where_another_has_put_a_link(tmp_path, folders, bundle, job):
    (tmp_path / "elsewhere").mkdir()
    work = job(bundle("pass"))
    (folders.taken / work.task_key).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Not a directory"):
        folders.place(work)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_output_is_not_even_moved(tmp_path, folders, bundle, job, kind):
    work = job(bundle("pass"), outputs=("model",))
    folders.place(work)
    made = folders.taken / work.task_key / "work" / "outputs" / "model"
    made.mkdir() if kind == "folder" else made.symlink_to("/etc/passwd")
    assert "a regular file belongs there" in folders.take(work, Limits())
    assert not os.path.lexists(work.outputs["model"])


def test_what_lies_in_a_folder_is_counted_and_links_are_not_followed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 2**20)
    (tmp_path / "a" / "link").symlink_to("/")
    found = usage(tmp_path, most=100)
    assert (found.files, found.hidden) == (4, "")
    assert 2**20 <= found.size < 2**20 + 2**16


def test_counting_ends_where_there_is_too_much(tmp_path):
    for number in range(9):
        (tmp_path / str(number)).touch()
    assert usage(tmp_path, most=3).files == 4


def test_folders_too_deep_to_be_followed_are_told(tmp_path):
    tmp_path.joinpath(*["x"] * (DEEPEST + 1)).mkdir(parents=True)
    assert usage(tmp_path, most=1000).hidden == "more than 100 folders in each other"


def test_nothing_is_left_of_a_task_whatever_it_has_made_of_its_folder(tmp_path, folders, bundle, job):
    work = job(bundle("pass"))
    folders.place(work)
    scratch = folders.taken / work.task_key / "work"
    (scratch / "a" / "b").mkdir(parents=True)
    (scratch / "a").chmod(0)
    scratch.parent.chmod(0)
    folders.clear(work.task_key)
    assert {path.name for path in folders.root.rglob("*")} == {"in", "out", "made"}


def test_folders_that_a_task_has_left_empty_are_those_of_the_next(folders, bundle, job):
    first, second = job(bundle("pass")), job(bundle("pass"))
    folders.place(first)
    left = folders.taken / first.task_key
    (left / "log.txt").write_text("of the first")
    for folder in (left / "work" / "outputs", left / "work", left):
        folder.chmod(0o500)
    made = (left / "work").stat().st_ino
    folders.clear(first.task_key)
    assert list(folders.taken.iterdir()) == []
    folders.place(second)
    given = folders.taken / second.task_key
    assert (given / "work").stat().st_ino == made
    assert sorted(path.name for path in given.rglob("*")) == ["outputs", "work"]
    assert {path.stat().st_mode & 0o777 for path in (given, *given.rglob("*"))} == {0o700}


@pytest.mark.parametrize("change", ["file", "output", "link", "beside", "gone", "log"])
def test_folders_that_a_task_has_changed_are_not_used_again(tmp_path, folders, bundle, job, change):
    first, second = job(bundle("pass")), job(bundle("pass"))
    folders.place(first)
    left = folders.taken / first.task_key
    (left / "log.txt").touch()
    match change:
        case "file":
            (left / "work" / "secret").touch()
        case "output":
            (left / "work" / "outputs" / "other").touch()
        case "link":
            (left / "work" / "outputs").rmdir()
            (left / "work" / "outputs").symlink_to(tmp_path)
        case "beside":
            (left / "another").touch()
        case "gone":
            (left / "work" / "outputs").rmdir()
        case "log":
            (left / "log.txt").unlink()
            (left / "log.txt").mkdir()
    folders.clear(first.task_key)
    assert list((folders.root / "made").iterdir()) == []
    folders.place(second)
    given = folders.taken / second.task_key
    assert sorted(path.name for path in given.rglob("*")) == ["outputs", "work"]
    assert not (given / "work").is_symlink()


def test_a_task_that_runs_again_has_folders_of_its_own(folders, bundle, job):
    first, second = job(bundle("pass")), job(bundle("pass"))
    for _ in range(3):
        folders.place(first)
        folders.place(second)
        for each in (first, second):
            (folders.taken / each.task_key / "work" / "outputs" / "left").touch()
        folders.clear(first.task_key)
        (folders.taken / second.task_key / "work" / "outputs" / "left").unlink()
        folders.clear(second.task_key)
        assert list(folders.taken.iterdir()) == []


def test_what_a_task_puts_into_folders_that_are_kept_is_seen_and_given_to_nobody(folders, bundle, job):
    first, second = job(bundle("pass")), job(bundle("pass"))
    folders.place(first)
    opened = os.open(folders.taken / first.task_key / "work", os.O_RDONLY | os.O_DIRECTORY)
    folders.clear(first.task_key)
    os.close(os.open("planted", os.O_CREAT | os.O_WRONLY, dir_fd=opened))
    assert sum(usage(each, most=100).files for each in folders.written) > 3
    folders.place(second)
    os.close(opened)
    assert [path.name for path in (folders.taken / second.task_key).rglob("*")] == ["work", "outputs"]
