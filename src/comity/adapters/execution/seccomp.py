"""A filter of system calls: what no task needs, and what the namespaces of a sandbox do not hold back.

Classic BPF as seccomp(2) takes it: an instruction is {code: u16, true: u8, false: u8, k: u32}. Refused are the
calls that reach what is not in a namespace (the session's keyring, sockets of hypervisors and radios), memory that no
limit sees (memfd, System V), doors of the kernel that have been broken open before (io_uring, bpf, userfaultfd), and
whatever makes or enters a namespace. Of prlimit only the caller's own limits are left.
"""

import errno
import os
import platform
import struct
from collections.abc import Mapping
from contextlib import ExitStack

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h."""

REFUSED: Mapping[str, tuple[int, int]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_secret": (447, 447),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
}
"""By name: the number on x86_64 and on aarch64."""

MEMFD = (319, 279)
"""memfd_create, which the driver of a GPU needs."""

PRLIMIT = (302, 261)
SOCKET, SOCKETPAIR = (41, 198), (53, 199)
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
"""The families of sockets that a network namespace holds back, and that anything uses within one."""

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data, little-endian."""
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000
X32 = 0x40000000


def filter_for(machine: str = platform.machine(), *, memfd: bool = False) -> bytes | None:
    """The program, or None for a machine whose calls are not known here.

    >>> len(filter_for("x86_64")) % 8, filter_for("vax")
    (0, None)
    """
    if machine not in ARCHITECTURES:
        return None
    column = list(ARCHITECTURES).index(machine)
    refused = [numbers[column] for numbers in REFUSED.values()] + ([] if memfd else [MEMFD[column]])
    sockets = [SOCKET[column], SOCKETPAIR[column]]
    program = [
        _code(LOAD, ARCHITECTURE),
        _code(EQUAL, ARCHITECTURES[machine], 1, 0),
        _code(RETURN, KILL),
        _code(LOAD, NUMBER),
        _code(AT_LEAST, X32, 0, 1),
        _code(RETURN, FAIL | errno.ENOSYS),
    ]
    for number in refused:
        program += [_code(EQUAL, number, 0, 1), _code(RETURN, FAIL | errno.ENOSYS)]
    own = [_code(LOAD, FIRST_ARGUMENT), _code(EQUAL, 0, 0, 1), _code(RETURN, ALLOW), _code(RETURN, FAIL | errno.EPERM)]
    program += [_code(EQUAL, PRLIMIT[column], 0, len(own)), *own]
    program += [_code(EQUAL, sockets[0], 2, 0), _code(EQUAL, sockets[1], 1, 0), _code(RETURN, ALLOW)]
    program.append(_code(LOAD, FIRST_ARGUMENT))
    for family in FAMILIES.values():
        program += [_code(EQUAL, family, 0, 1), _code(RETURN, ALLOW)]
    program.append(_code(RETURN, FAIL | errno.EAFNOSUPPORT))
    return b"".join(program)


def opened(stack: ExitStack, *, memfd: bool = False) -> int | None:
    """A descriptor to read the program from, for as long as the stack lasts."""
    program = filter_for(memfd=memfd)
    if program is None:
        return None
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    with os.fdopen(writing, "wb") as file:  # a pipe holds more than the longest program
        file.write(program)
    return reading


def _code(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, true, false, k)
