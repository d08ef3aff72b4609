"""The floor of moving: the same bytes over TCP on the loopback interface, straight from who has them to who gets them.

A star of n sites round an aggregator is `move(size, [1] * n)`, each site's bytes to the aggregator, and
`move(size, [n])`, the aggregator's to each of them.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from time import perf_counter

PIECE = 1 << 20


def move(size: int, parcels: Sequence[int]) -> float:
    """Seconds until every recipient has `size` bytes; a parcel is a sender, and how many recipients it has."""
    with ExitStack() as ports:
        work: list[tuple[Callable[..., None], tuple[socket.socket, int]]] = []
        for recipients in parcels:
            for _ in range(recipients):
                taking = ports.enter_context(socket.create_server(("127.0.0.1", 0)))
                work += [(give, (taking, size)), (take, (taking, size))]
        return together(work)


def together(work: Sequence[tuple[Callable[..., None], tuple[object, ...]]]) -> float:
    """Seconds until all of it, each in a process of its own, has ended."""
    begin, made = get_context("fork").Event(), []
    for run, given in work:
        made.append(get_context("fork").Process(target=_when, args=(begin, run, given)))
        made[-1].start()
    begun = perf_counter()
    begin.set()
    for each in made:
        each.join()
    seconds = perf_counter() - begun
    assert not any(each.exitcode for each in made)
    return seconds


def _when(begin, run: Callable[..., None], given: tuple[object, ...]) -> None:
    begin.wait()
    run(*given)


def give(taking: socket.socket, size: int) -> None:
    piece = bytes(PIECE)
    connection, _ = taking.accept()
    with connection:
        for at in range(0, size, PIECE):
            connection.sendall(piece[: size - at])


def take(taking: socket.socket, size: int) -> None:
    buffer = bytearray(PIECE)
    with socket.create_connection(taking.getsockname()) as connection:
        while size:
            size -= connection.recv_into(buffer, min(PIECE, size))


if __name__ == "__main__":
    for megabytes in (1, 100, 1000):
        seconds = move(megabytes * 10**6, [4]) + move(megabytes * 10**6, [1] * 4)
        print(f"raw TCP, star of 4 sites, {megabytes} MB down and up: {seconds:.3f} s")
