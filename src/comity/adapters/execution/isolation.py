"""What holds a sandbox in: bubblewrap, or nothing but a process of its own."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import final

from comity.adapters.execution import dropping
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.seccomp import filter_for

PATIENCE = 10

IN, OUT, DATA = "/in", "/out", "/data"
"""Where a task finds what it is given, may write, and finds data samples."""

IN_MEMORY = ("/dev/shm", "/tmp")
"""Folders of each sandbox's own, in memory."""

PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ")
"""What a plain process may see of its host's environment."""

NUMERICS = ("OPENBLAS_", "MKL_", "NPY_", "ATEN_", "ONEDNN_", "DNNL_")
"""How variables begin that say which of the processor's instructions are used, and in which order: another choice gives
other last bits, so tasks make the host's."""

CLEAR = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "USER": "task", "LOGNAME": "task", "HOME": "/tmp"}
"""All that a sandboxed process sees beside what every process of comity's sets."""

ORDINARY = 60_600
"""The user that tasks of a node run as that was started by root: in a range that no system gives to anybody."""

SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin")
SEEN = ("/usr", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu")
"""What every sandbox sees of its host: programs and libraries; nothing of an organization's own."""

DRIVERS = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")

SEALED = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1"),
    *("--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox"),
)


class Level(StrEnum):
    """How well tasks are held in."""

    PLAIN = "plain"
    """Processes of the node's own user: for code that is trusted."""
    BUBBLEWRAP = "bubblewrap"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """What a sandbox is to see of its host."""

    environment: Sequence[Path]
    """Read-only, each at its own path."""
    data: Sequence[Path]
    """Read-only: the n-th is seen as `DATA/n/NAME`."""
    given: Path
    """Read-only, as `IN`."""
    taken: Path
    """Seen as `OUT`, where it may write."""
    devices: Sequence[str] = ()
    """Numbers of GPUs."""

    def seen(self, number: int) -> str:
        """Where the sandbox finds the n-th of its data."""
        return f"{DATA}/{number}/{self.data[number].name}"


INSTALL = "install bubblewrap, e.g. apt install bubblewrap"
ENABLE = (
    "let ordinary users make user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces "
    "above 0; with AppArmor, a profile that allows bwrap userns); in a container see docs/howto/deploy.md"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """The level reached here, and why it is not a higher one."""

    level: Level
    reason: str = ""
    remedy: str = ""
    """What to do for a higher one; empty when this is as high as it was to be."""
    user: int | None = None
    """Who the tasks run as, when not as the node's own user."""
    bubblewrap: str = ""
    """The program's path."""
    hidden: Path | None = None
    """A folder that no sandbox sees, also where it lies within one that every sandbox sees."""

    def command(self, program: Sequence[str], mounts: Mounts, limits: Limits, *, seccomp: int | None) -> list[str]:
        """The command that runs a program within; `seccomp` is a descriptor from which the filter is read."""
        if self.level is Level.PLAIN:
            return list(program)
        reached: list[str] = []

        def source(path: Path) -> str:
            if self.user is None:
                return str(path)
            reached.append(str(path))
            return f"{dropping.STAGE}/{len(reached) - 1}"

        arguments = [*SEALED, *([] if seccomp is None else ["--seccomp", str(seccomp)])]
        for path in SYSTEM:
            if os.path.islink(path):  # noqa: PTH114
                arguments += ["--symlink", os.readlink(path), path]  # noqa: PTH115
            elif Path(path).exists():
                arguments += ["--ro-bind", path, path]
        for path in SEEN:
            arguments += ["--ro-bind-try", path, path]
        arguments += ["--proc", "/proc", "--dev", "/dev"]
        for path in IN_MEMORY:
            arguments += ["--size", str(limits.temporary), "--tmpfs", path]
        if mounts.devices:
            for path in (*DRIVERS, *(f"/dev/nvidia{number}" for number in mounts.devices)):
                arguments += ["--dev-bind-try", path, path]
        environment = [path for path in mounts.environment if not path.is_relative_to("/usr")]
        within = [path for path in environment if self.hidden and path.is_relative_to(self.hidden)]
        seen = {path: str(path) for path in environment if path not in within}
        seen.update({path: mounts.seen(number) for number, path in enumerate(mounts.data)})
        for path, at in seen.items():
            arguments += ["--ro-bind", source(path), at]
        covers = self._covers({**seen, Path("/usr"): "/usr"})
        for at in covers:
            arguments += ["--tmpfs", at]
        for path in within:  # an environment that was built in the hidden folder
            arguments += ["--ro-bind", source(path), str(path)]
        for at in covers:
            arguments += ["--remount-ro", at]
        arguments += ["--ro-bind", source(mounts.given), IN, "--bind", source(mounts.taken), OUT]
        arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", OUT]
        for name, value in {**CLEAR, **_numerics()}.items():
            arguments += ["--setenv", name, value]
        if mounts.devices:
            arguments += ["--setenv", "CUDA_VISIBLE_DEVICES", ",".join(mounts.devices)]
        sealed = [self.bubblewrap, *arguments, "--", *program]
        if self.user is None:
            return sealed
        drop = (sys.executable, "-I", "-S", "-B", dropping.__file__, str(self.user))
        return [*drop, *reached, "--", *sealed]

    def _covers(self, seen: Mapping[Path, str]) -> list[str]:
        """Where the hidden folder would be seen, of what is seen and at which places."""
        if self.hidden is None:
            return []
        hidden = self.hidden.resolve()
        around = {path.resolve(): at for path, at in seen.items() if hidden.is_relative_to(path.resolve())}
        return [str(Path(at, hidden.relative_to(path))) for path, at in around.items()]

    def variables(self, mounts: Mounts) -> Mapping[str, str]:
        """The environment that the command is started with."""
        passed = {**{name: os.environ[name] for name in PASSED_ON if name in os.environ}, **_numerics()}
        if self.level is Level.PLAIN and mounts.devices:
            return {**passed, "CUDA_VISIBLE_DEVICES": ",".join(mounts.devices)}
        return passed


def _numerics() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(NUMERICS)}


def probed(folder: Path, *, user: int = ORDINARY, most: Level = Level.BUBBLEWRAP) -> Isolation:
    """The highest level that can be reached here, tried with a sandbox that does nothing; takes some milliseconds.

    `user` is who tasks run as when this process is root's. `folder` is where the sandbox's own folders are made.
    """
    if most is Level.PLAIN:
        return Isolation(level=Level.PLAIN, reason="the node was told to run tasks in plain processes")
    found = shutil.which("bwrap")
    if found is None:
        return Isolation(level=Level.PLAIN, reason="there is no bwrap here", remedy=INSTALL)
    program = filter_for()
    if program is None:
        reason = f"the system calls of {platform.machine()} are not known, so none could be refused"
        return Isolation(level=Level.PLAIN, reason=reason, remedy="run the node on x86_64 or aarch64")
    made = Isolation(level=Level.BUBBLEWRAP, bubblewrap=found, user=user if os.geteuid() == 0 else None)
    for path in (given := folder / "probe" / "in", taken := folder / "probe" / "out"):
        path.mkdir(parents=True, exist_ok=True)
    mounts = Mounts(environment=(), data=(), given=given, taken=taken)
    try:
        error = _tried(made, mounts, program)
    except (OSError, subprocess.TimeoutExpired) as failed:
        error = str(failed)
    finally:
        shutil.rmtree(folder / "probe", ignore_errors=True)
    return Isolation(level=Level.PLAIN, reason=f"{found} does not work here: {error}", remedy=ENABLE) if error else made


def _tried(made: Isolation, mounts: Mounts, program: bytes) -> str:
    """Why nothing can be run so, or nothing."""
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as file:
            file.write(program)
        command = made.command(["/usr/bin/true"], mounts, Limits(), seccomp=reading)
        tried = subprocess.run(
            command, env={}, capture_output=True, text=True, timeout=PATIENCE, pass_fds=(reading,), cwd="/"
        )
    finally:
        os.close(reading)
    said = tried.stderr.strip().splitlines()
    return (said[-1] if said else "it gives no reason") if tried.returncode != 0 else ""
