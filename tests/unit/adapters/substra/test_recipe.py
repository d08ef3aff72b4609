"""What a Dockerfile asks for."""

import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.adapters.substra.recipe import Copy, Shell, read
from comity.values.errors import DecodeError
from comity.values.wanted import Install

OWN = (3, 11)


def recipe(folder):
    return read(folder, default=OWN)


def requirements(folder):
    return [each.requirements for each in recipe(folder).wanted.installs]


def shells(folder):
    return [each.line for each in recipe(folder).steps if isinstance(each, Shell)]


def test_a_plain_function_of_substra(lines):
    found = recipe(lines("RUN python3 -m pip install substratools==1.0.0"))
    assert found.wanted.python == (3, 11)
    assert found.wanted.installs == (Install(requirements=("substratools==1.0.0",)),)
    assert found.steps == (Copy(sources=("function.py",), to="/"),)
    assert (found.program.script, found.program.folder) == ("/function.py", "/")
    assert found.program.arguments == ("--function-name", "train")


@pytest.mark.parametrize("gpu", [False, True])
def test_what_substrafl_writes(archive, gpu):
    pytest.importorskip("substrafl", reason="substrafl is not installed for this Python")
    from substrafl.dependency import Dependency
    from substrafl.remote.register.register import _create_dockerfile

    dependency = Dependency(pypi_dependencies=["numpy"], use_gpu=gpu)
    text = _create_dockerfile(True, dependency, Path(), "train")
    internal = {f"substrafl_internal/{name}": "" for name in ("cls_cloudpickle", "description.md")}
    found = recipe(archive(text, {"requirements.txt": "substrafl==1.0.0\nnumpy\n", **internal}))
    assert found.wanted.python == sys.version_info[:2]
    assert [each.requirements for each in found.wanted.installs] == [
        ("setuptools>=70.0.0",),
        ("substrafl==1.0.0", "numpy"),
    ]
    assert not found.shells
    assert not found.packages
    assert found.program.script == "/home/user/function.py"


@pytest.mark.parametrize(
    ("image", "minor"),
    [
        ("python:3.12", (3, 12)),
        ("docker.io/library/python:3.10.4-bullseye", (3, 10)),
        ("nvidia/cuda:12.6.1-runtime-ubuntu24.04", OWN),
        ("ghcr.io/substra/substra-tools:1.0.0-python3.10", (3, 10)),
        ("python:3.12 AS build", (3, 12)),
        ("--platform=linux/amd64 python:3.12", (3, 12)),
        ("python", OWN),
        ("python:3-slim", OWN),
    ],
)
def test_the_image_says_which_python(archive, image, minor):
    folder = archive(f'FROM {image}\nCOPY function.py .\nENTRYPOINT ["python3", "function.py"]')
    assert recipe(folder).wanted.python == minor


def test_the_program_says_it_more_exactly(archive):
    folder = archive('FROM nvidia/cuda:12\nCOPY function.py .\nENTRYPOINT ["python3.12", "-u", "function.py"]')
    assert recipe(folder).wanted.python == (3, 12)


def test_images_of_substras_tools_have_them(archive):
    folder = archive('FROM gcr.io/x/substra-tools:latest\nCOPY function.py .\nENTRYPOINT ["python3", "function.py"]')
    assert requirements(folder) == [("substratools",)]


def test_files_are_found_where_they_were_copied(lines):
    files = {
        "deps/base.txt": "numpy>=2 # fast\n",
        "deps/all.txt": "-r base.txt\n--extra-index-url https://x.org/s\nscipy",
    }
    copies = ("COPY deps /tmp/deps/", "COPY deps/base.txt .")
    folder = lines("WORKDIR /app", *copies, "RUN pip install -r /tmp/deps/all.txt", files=files)
    (found,) = recipe(folder).wanted.installs
    assert found.requirements == ("numpy>=2", "scipy")
    assert found.more == ("https://x.org/s",)
    with pytest.raises(DecodeError, match="COPY it before"):
        recipe(lines("RUN pip install -r deps/all.txt", "COPY deps deps", files=files))


def test_wheels_of_the_archive_are_wanted_by_what_they_are(lines):
    files = {"a-1.0-py3-none-any.whl": "bytes", "r.txt": "./a-1.0-py3-none-any.whl\nfile:a-1.0-py3-none-any.whl\n"}
    copied = ("COPY . .", "RUN pip install -r r.txt")
    (found,) = recipe(lines(*copied, files=files)).wanted.installs
    assert [each.name for each in found.wheels] == ["a-1.0-py3-none-any.whl"] * 2
    files["a-1.0-py3-none-any.whl"] = "other bytes"
    (other,) = recipe(lines(*copied, files=files)).wanted.installs
    assert found.wheels[0] != other.wheels[0]


def test_variables_and_arguments_are_put_in(lines):
    folder = lines(
        "ARG WHERE=/opt/app",
        'ENV A="one two" B=$WHERE PATH=/venv/bin:$PATH',
        "WORKDIR ${WHERE}",
        "RUN echo $A $HOME",
    )
    found = recipe(folder)
    assert dict(found.program.variables) == {"A": "one two", "B": "/opt/app"}
    assert found.program.folder == "/opt/app"
    (shell,) = [each for each in found.steps if isinstance(each, Shell)]
    assert shell.folder == "/opt/app"
    assert shell.variables["A"] == "one two"
    assert shell.line == "echo $A $HOME"


@pytest.mark.parametrize(
    "line",
    [
        "apt-get update -y && pip uninstall -y setuptools",
        "apt-get update && rm -rf /var/lib/apt/lists/*",
        "DEBIAN_FRONTEND=noninteractive apt-get -y upgrade",
        'adduser --disabled-password --gecos "" --uid 1001 user',
        "python3.11 -m venv /home/user/venv",
        "chown -R user /home/user",
        "pip install -U pip wheel",
    ],
)
def test_what_cares_for_a_system_has_nothing_to_do(lines, line):
    found = recipe(lines(f"RUN {line}"))
    assert not found.shells
    assert not found.wanted.installs


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("echo 1 > file", "echo 1 > file"),
        ("mkdir -p data && apt-get update", "mkdir -p data"),
        ("echo pip | tee log", "echo pip | tee log"),
        ('["echo", "a b"]', "echo 'a b'"),
        ("for i in 1 2; do echo $i; done", "for i in 1 2; do echo $i; done"),
        ("error", "error"),
    ],
)
def test_the_rest_is_left_to_a_shell(lines, line, left):
    assert shells(lines(f"RUN {line}")) == [left]


def test_what_grows_without_end_is_refused(lines):
    doubled = [f"ENV A{number + 1}=$A{number}$A{number}" for number in range(30)]
    with pytest.raises(DecodeError, match="becomes longer than"):
        recipe(lines("ENV A0=0123456789", *doubled))
    with pytest.raises(DecodeError, match="more than 20 files of requirements"):
        recipe(lines("COPY . .", "RUN pip install -r r.txt", files={"r.txt": "-r a.txt\n" * 21, "a.txt": "numpy\n"}))
    with pytest.raises(DecodeError, match="more than 500"):
        recipe(lines(*["USER a"] * 500))


def test_substras_own_repositories_are_their_releases(lines):
    folder = lines(
        "RUN apt-get update && apt-get install -y git build-essential",
        "RUN pip install git+https://github.com/Substra/substra-tools.git@main",
        "RUN pip install git+https://github.com/substra/substrafl@1.0.0",
    )
    assert requirements(folder) == [("substratools",), ("substrafl==1.0.0",)]
    assert recipe(folder).packages == ()


def test_packages_of_the_system_are_named_but_for_python(lines):
    found = recipe(lines("RUN apt-get install -y --no-install-recommends python3.11-venv libgomp1 && apt-get clean"))
    assert found.packages == ("libgomp1",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("FROM python:3.11", "only one FROM"),
        ('SHELL ["bash"]', "SHELL is not followed here"),
        ("COPPY function.py .", "did you mean 'COPY'?"),
        ("COPY --from=build a b", "--from is not known"),
        ("COPY absent .", "no 'absent'"),
        ("COPY ../secret .", "leads out of the archive"),
        ("COPY function.py ../../x", "leads out of the image"),
        ("ADD https://example.org/x .", "nothing is loaded from elsewhere"),
        ("RUN <<EOF", "between marks"),
        ("RUN", "nothing to run"),
        ("RUN pip install .", "neither a name with a version nor a wheel"),
        ("RUN pip install git+https://example.org/x", "neither a name"),
        ("RUN pip install 'x @ https://example.org/x.whl'", "nothing is loaded from an address"),
        ("RUN pip install -e .", "option -e is not known"),
        ("RUN pip install --target=/x numpy", "option --target is not known"),
        ("RUN pip install --index-url http://example.org numpy", "no https address"),
        ("RUN pip install -r", "lacks what belongs to it"),
        ("RUN pip install absent-1.0-py3-none-any.whl", "COPY it before"),
        ('RUN ["pip", "install", "a\\n--editable=."]', "signs that are not seen"),
        ("RUN pip install 'a==1$HOME'", "and $, are not taken"),
        ("RUN pip install --index-url https://user:$PASSWORD@example.org a", "no https address"),
        ("RUN pip install --pre a", "option --pre is not known"),
        ("RUN cd /app && pip install numpy", "pip install stands alone, or between &&"),
        ("RUN pip install numpy || true", "pip install stands alone, or between &&"),
        ("COPY **/*.py .", "** is not known"),
        ("COPY */*/*/*/a .", "more than 3 signs"),
        ("ADD function.tar.gz .", "is not unpacked"),
        (f"RUN apt-get install {' '.join(f'p{number}' for number in range(101))}", "more than 100 packages"),
        ("WORKDIR " + "a" * 300, "longer than a file's name may be"),
        ("RUN --mount=type=secret,id=x cat", "--mount is not known"),
        ("ENV A", "no value"),
        ('ENV A="b', "closing quotation"),
    ],
)
def test_what_is_not_followed_is_refused_by_its_line(lines, line, said):
    if line == "ENV A":
        line = "ENV A=1 B"
    with pytest.raises(DecodeError) as raised:
        recipe(lines(line))
    assert said in str(raised.value)
    assert f"line 2, {line.split()[0]}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("COPY function.py .", "begins with FROM"),
        ("FROM alpine\n", "begin with FROM python"),
        ("FROM python:3.11", "names no program"),
        ("FROM python:3.11\nENTRYPOINT python3 function.py", "stands as a list"),
        ('FROM python:3.11\nENTRYPOINT ["bash", "run.sh"]', "only a Python program"),
        ('FROM python:3.11\nENTRYPOINT ["python3", "-c", "1"]', "names no script"),
    ],
)
def test_it_begins_with_a_python_and_ends_with_a_program(archive, text, said):
    with pytest.raises(DecodeError, match=said):
        recipe(archive(text))


def test_files_that_name_each_other_come_to_an_end(lines):
    with pytest.raises(DecodeError, match="name each other"):
        recipe(lines("COPY . .", "RUN pip install -r r.txt", files={"r.txt": "-r r.txt\n"}))


def test_what_has_no_meaning_here_is_passed_over(lines):
    found = recipe(lines("USER me", "CMD run", "HEALTHCHECK NONE", "EXPOSE 80", "VOLUME /data", "LABEL a=b"))
    assert found == recipe(lines())


WORDS = """FROM RUN COPY ENV ARG WORKDIR ENTRYPOINT USER python:3.11 pip install -r -c r.txt function.py
. / .. && ; | " ' $A ${A:-b} A=1 [ ] \\ apt-get -y numpy>=2 x.whl --hash=sha256:0 --extra-index-url https://x.org * é"""
WORD = st.sampled_from([*WORDS.split(), "\n", "\x00"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(words=st.lists(WORD, max_size=30), required=st.lists(WORD, max_size=10))
def test_any_dockerfile_is_followed_or_refused(tmp_path, words, required):
    (tmp_path / "function.py").write_text("")
    (tmp_path / "Dockerfile").write_text("FROM python:3.11\nCOPY . .\n" + " ".join(words))
    (tmp_path / "r.txt").write_text(" ".join(required))
    try:
        found = read(tmp_path, default=OWN)
    except DecodeError:
        return
    for step in found.steps:
        if isinstance(step, Copy):
            assert ".." not in step.to.split("/")
            assert all(each.is_relative_to(tmp_path) for each in step.found(tmp_path))
    for each in found.wanted.installs:
        assert all("\n" not in line and shlex.split(line) for line in each.requirements)
