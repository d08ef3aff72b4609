"""Images built of an archive, with a real sandbox where this machine has one."""

import asyncio
import json
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest

from comity.adapters.environments import own
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way
from comity.adapters.substra import images as module
from comity.adapters.substra.images import Images
from comity.ports.environments import EnvironmentsInMemory
from comity.values.errors import BuildFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")


@pytest.fixture(params=[Level.BUBBLEWRAP, Level.PLAIN])
def level(request):
    if request.param is Level.BUBBLEWRAP and shutil.which("bwrap") is None:
        pytest.skip("there is no bwrap here")
    return request.param


def built(archive: Path, folder: Path, level=Level.BUBBLEWRAP, **limits) -> Path:
    """The files of an image."""

    async def main():
        pool = Pool(1, folder / "sandboxes", Way(level=level, limits=Limits(**limits)))
        await pool.start()
        try:
            images = Images(EnvironmentsInMemory(own.environment(())), pool)
            await images.build(archive, folder / "one.image")
        finally:
            await pool.close()

    folder.mkdir()
    asyncio.run(main())
    return folder / "one.image" / "files"


def log(folder: Path) -> str:
    return (folder / "one.txt").read_text()


def test_files_lie_where_they_were_copied_and_it_says_what_runs(lines, tmp_path):
    files = {"a/b.txt": "b", "a/c.txt": "c", "d.txt": "d"}
    copies = ("COPY a .", "COPY d.txt /d/e.txt", "COPY a/*.txt d.txt more/")
    archive = lines("WORKDIR /app/", *copies, "ENV X=1", files=files)
    made = built(archive, tmp_path / "made")
    there = {str(path.relative_to(made)): path.read_text() for path in made.rglob("*") if path.is_file()}
    assert there == {
        "app/b.txt": "b",
        "app/c.txt": "c",
        "app/function.py": "",
        "app/more/b.txt": "b",
        "app/more/c.txt": "c",
        "app/more/d.txt": "d",
        "d/e.txt": "d",
    }
    said = json.loads((made.parent / "image.json").read_bytes())
    assert said == {
        "script": "app/function.py",
        "module": "",
        "arguments": ["--function-name", "train"],
        "folder": "app",
        "variables": {"X": "1"},
    }


def test_a_mode_says_what_is_a_program(lines, tmp_path, level):
    files = {"a/run.sh": "#!/bin/sh\necho ran > out\n", "a/b/data": "d", "one.sh": "#!/bin/sh\n"}
    copies = ("COPY --chmod=0755 --chown=me a bin/", "COPY --chmod=644 one.sh .", "RUN bin/run.sh && ! ./one.sh")
    made = built(lines("WORKDIR /app", *copies, files=files), tmp_path / "made", level)
    modes = {each: (made / "app" / each).stat().st_mode & 0o777 for each in ("bin/run.sh", "bin/b/data", "one.sh")}
    assert modes == {"bin/run.sh": 0o755, "bin/b/data": 0o755, "one.sh": 0o644}
    assert (made / "app" / "out").read_text() == "ran\n"


@pytest.mark.parametrize("mode", ["u+x", "4755", "888", "75", ""])
def test_a_mode_that_is_not_followed_is_named(lines, tmp_path, mode):
    archive = lines(f"COPY --chmod={mode} function.py .")
    with pytest.raises(BuildFailed, match=rf"--chmod={re.escape(mode)} is not followed here; .*--chmod=755"):
        built(archive, tmp_path / "made")


@pytest.mark.parametrize(("more", "value"), [([], "1"), (["ENV TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=0"], "0")])
def test_functions_of_substrafl_load_states_as_it_has_saved_them(lines, tmp_path, more, value):
    internal = "substrafl_internal/cls_cloudpickle"
    archive = lines("WORKDIR /home/user", f"COPY {internal} substrafl_internal/", *more, files={internal: ""})
    made = built(archive, tmp_path / "made")
    said = json.loads((made.parent / "image.json").read_text())
    assert said["variables"] == {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": value}


def test_other_functions_find_torch_as_it_is(lines, tmp_path):
    made = built(lines("WORKDIR /home/user"), tmp_path / "made")
    assert json.loads((made.parent / "image.json").read_text())["variables"] == {}


def test_lines_for_a_shell_change_the_image_in_their_order(lines, tmp_path, level):
    archive = lines(
        "WORKDIR app",
        "COPY a.txt .",
        "ENV WHO=you",
        'RUN echo "to $WHO" >> a.txt && python3 -c "import numpy, sys; print(sys.prefix)" > where.txt',
        "RUN cat a.txt",
        files={"a.txt": "hello\n"},
    )
    made = built(archive, tmp_path / "made", level)
    assert (made / "app/a.txt").read_text() == "hello\nto you\n"
    assert (made / "app/where.txt").read_text().strip() == sys.prefix
    assert "RUN cat a.txt\nhello\nto you\n" in log(tmp_path / "made")
    assert {path.stat().st_uid for path in made.rglob("*")} == {os.geteuid()}


def test_a_line_that_fails_ends_the_build_with_what_the_shell_said(lines, tmp_path, level):
    with pytest.raises(BuildFailed, match="the line RUN error ended with status 127"):
        built(lines("RUN error"), tmp_path / "made", level)
    assert "/bin/sh: 1: error: not found" in log(tmp_path / "made")
    assert not (tmp_path / "made/one.image").exists()
    assert not (tmp_path / "made/one.building").exists()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="there is no bwrap here")
def test_a_line_sees_no_file_of_the_host_and_reaches_nobody(lines, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "of the node")
    (tmp_path / "secret.txt").write_text("secret")
    listening = socket.create_server(("127.0.0.1", 0))
    code = f"import socket; socket.create_connection({listening.getsockname()}, 1); print('reached')"
    archive = lines(
        f"RUN cat {tmp_path}/secret.txt || echo nothing",
        f"RUN ls {tmp_path} || echo nothing; ls /root /home /etc/passwd || echo nothing",
        f'RUN python3 -c "{code}" || echo nothing',
        "RUN env",
    )
    with listening:
        built(archive, tmp_path / "made")
    said = log(tmp_path / "made")
    assert "\nsecret" not in said
    assert said.count("\nnothing\n") == 4
    assert "Connection refused" in said
    assert "\nreached" not in said
    assert "of the node" not in said


@pytest.mark.parametrize(
    "left", ["ln -s /etc/passwd a", "mkfifo a", "mkdir b && ln -s . b/c", "ln -s x \"$(printf '\\377')\""]
)
def test_only_files_and_folders_are_kept(lines, tmp_path, level, left):
    with pytest.raises(BuildFailed, match="only files and folders are kept"):
        built(lines(f"RUN {left}"), tmp_path / "made", level)


def test_a_line_that_writes_too_much_is_ended(lines, tmp_path, level):
    line = "RUN for i in 1 2 3 4 5 6 7 8 9; do head -c 900000 /dev/zero > f$i; done; exec sleep 100"
    with pytest.raises(BuildFailed, match="wrote more than 1000000 bytes"):
        built(lines(line), tmp_path / "made", level, disk=1_000_000)


def test_a_line_that_takes_too_much_memory_is_ended(lines, tmp_path, level):
    line = """RUN python3 -c "import os, time; os.fork(); held = b'a' * 300_000_000; time.sleep(100)\""""
    with pytest.raises(BuildFailed, match="took too much memory"):
        built(lines(line), tmp_path / "made", level, memory=400_000_000)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="there is no bwrap here")
def test_a_line_starts_no_more_processes_than_a_task(lines, tmp_path):
    code = "import os, time\nfor _ in range(200):\n    if not os.fork():\n        time.sleep(100)\n"
    line = "COPY many.py .\nRUN python3 many.py || echo refused"
    built(lines(line, files={"many.py": code}), tmp_path / "made", processes=50)
    assert "BlockingIOError" in log(tmp_path / "made")


def test_a_line_that_takes_too_long_is_ended(lines, tmp_path, level, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 3.0)
    with pytest.raises(BuildFailed, match=r"took longer than 3 seconds"):
        built(lines("RUN sleep 100"), tmp_path / "made", level)


def test_a_system_s_package_must_be_there(lines, tmp_path):
    if shutil.which("dpkg-query") is None:
        pytest.skip("this system has no packages of Debian's kind")
    built(lines("RUN apt-get install -y base-files"), tmp_path / "there")
    with pytest.raises(BuildFailed, match="'no-such-package', which is not on this node's machine"):
        built(lines("RUN apt-get install -y no-such-package"), tmp_path / "absent")


def test_what_cannot_be_removed_easily_is_removed(lines, tmp_path, level):
    archive = lines("RUN mkdir a && touch a/f && chmod 500 a && false")
    with pytest.raises(BuildFailed):
        built(archive, tmp_path / "made", level)
    assert not (tmp_path / "made/one.building").exists()


def test_absolute_paths_into_the_image_are_explained(lines, tmp_path):
    with pytest.raises(BuildFailed, match="paths relative to /app, its WORKDIR"):
        built(lines("WORKDIR /app", "RUN mkdir -p /app/cache && touch /app/cache/x && false"), tmp_path / "made")


def test_copies_have_a_limit(lines, tmp_path):
    with pytest.raises(BuildFailed, match="more than 3000000 bytes"):
        built(
            lines(*[f"COPY big /{n}/" for n in range(9)], files={"big": "x" * 10**6}), tmp_path / "made", disk=3_000_000
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('COPY function.py /app\nWORKDIR /app\nENTRYPOINT ["python3", "/app"]', "is a file"),
        ('COPY function.py /app\nWORKDIR /app/b\nRUN true\nENTRYPOINT ["python3", "/app"]', "cannot be built"),
        ('COPY function.py .\nENTRYPOINT ["python3", "function.py", "\\ud800"]', "signs that are not seen"),
    ],
)
def test_what_cannot_be_is_a_build_that_fails(archive, tmp_path, text, said):
    with pytest.raises(BuildFailed, match=said):
        built(archive(f"FROM python:3.11\n{text}"), tmp_path / "made")


def test_a_script_must_be_copied(archive, tmp_path):
    folder = archive('FROM python:3.11\nENTRYPOINT ["python3", "function.py"]')
    with pytest.raises(BuildFailed, match="which is not in the image; COPY it"):
        built(folder, tmp_path / "made")
