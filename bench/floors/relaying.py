"""The floor of relaying: bytes that are sealed, moved through a relay that spools them, opened, hashed and written.

Each sender and each recipient is a process of its own, and so is the relay, which passes on what has come so far. TCP
on the loopback interface, no TLS. A star of n sites round an aggregator is `relay(folder, size, [1] * n)` and
`relay(folder, size, [n])`, as in `moving.py`.
"""

import os
import socket
import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from bench.floors.moving import together
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 1 << 20
SEALED = CHUNK + 16
KEY = bytes(32)


def relay(folder: Path, size: int, parcels: Sequence[int]) -> float:
    """Seconds until every recipient has a parcel's bytes on its disk; a parcel is how many recipients it has.

    The bytes sent lie in `folder` as `blob`; `size`, a multiple of CHUNK, is how many there are.
    """
    with socket.create_server(("127.0.0.1", 0)) as taking:
        address, work = taking.getsockname(), []
        for number, recipients in enumerate(parcels):
            work += [(receive, (address, number, size, folder / f"{number}-{each}")) for each in range(recipients)]
            work.append((send, (address, number, folder / "blob")))
        return together([(hub, (taking, folder, size, len(work))), *work])


def send(address: tuple[str, int], number: int, path: Path) -> None:
    cipher, sealed = AESGCM(KEY), bytearray(SEALED)
    with socket.create_connection(address) as connection, path.open("rb") as file:
        connection.sendall(bytes([0, number]))
        for index, chunk in enumerate(iter(lambda: file.read(CHUNK), b"")):
            cipher.encrypt_into(index.to_bytes(12, "big"), chunk, None, sealed)
            connection.sendall(sealed)


def receive(address: tuple[str, int], number: int, size: int, path: Path) -> None:
    cipher, seen, sealed, plain = AESGCM(KEY), sha256(), bytearray(SEALED), bytearray(CHUNK)
    with socket.create_connection(address) as connection, path.open("wb") as file:
        connection.sendall(bytes([1, number]))
        for index in range(size // CHUNK):
            connection.recv_into(sealed, SEALED, socket.MSG_WAITALL)
            cipher.decrypt_into(index.to_bytes(12, "big"), sealed, None, plain)
            seen.update(plain)
            file.write(plain)
        file.flush()
        os.fsync(file.fileno())


def hub(taking: socket.socket, folder: Path, size: int, connections: int) -> None:
    spool, grown, total = dict[int, int](), threading.Condition(), size // CHUNK * SEALED

    def serve(connection: socket.socket) -> None:
        way, number = connection.recv(2, socket.MSG_WAITALL)
        with connection, (folder / f"spool-{number}").open("a+b") as file:
            buffer, at = memoryview(bytearray(CHUNK)), 0
            while way and at < total:
                with grown:
                    while spool.get(number, 0) <= at:
                        grown.wait()
                at += os.sendfile(connection.fileno(), file.fileno(), at, spool[number] - at)
            while not way and (count := connection.recv_into(buffer)):
                file.write(buffer[:count])
                file.flush()
                with grown:
                    spool[number] = spool.get(number, 0) + count
                    grown.notify_all()

    serving = [threading.Thread(target=serve, args=(taking.accept()[0],)) for _ in range(connections)]
    for each in serving:
        each.start()
