"""Networks of the containers: a network namespace for each container, a bridge for each network, names as Docker's DNS has them.

Everything lies in namespaces of its own; this machine's network is not touched. A published port is a listener on this
machine's loopback whose connections are opened inside the container's namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
RESOLVER = "127.0.0.11"
"""Address of the resolver inside every container, as Docker's."""


def ip(*words: str) -> None:
    """Run ip(8); its refusal is a RuntimeError."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in the network namespace: sockets that it opens belong to it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as own, Path(f"/run/netns/{namespace}").open() as other:
        if libc.setns(other.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(own.fileno(), CLONE_NEWNET)


class Network:
    """All networks of one composition. `close()` takes every namespace down."""

    def __init__(self, prefix: str, names: list[str]) -> None:
        self.prefix = prefix
        self.names = names
        self.hub = f"{prefix}-hub"
        self.attached: dict[str, dict[str, str]] = {}  # container -> network -> address
        self.aliases: dict[str, set[str]] = {}  # container -> names by which others find it
        self.count = 0
        self.selector = selectors.DefaultSelector()
        self.closed = False
        ip("netns", "add", self.hub)
        for name in names:
            ip("-n", self.hub, "link", "add", f"br-{name}"[:15], "type", "bridge")
            ip("-n", self.hub, "link", "set", f"br-{name}"[:15], "up")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def attach(self, container: str, networks: list[str], aliases: set[str]) -> str:
        """A namespace for the container, on those networks; returns its name."""
        namespace = f"{self.prefix}-{container}"
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        addresses = {}
        for position, name in enumerate(networks):
            self.count += 1
            far, near = f"v{self.count}", f"eth{position}"
            ip("-n", self.hub, "link", "add", far, "type", "veth", "peer", "name", near, "netns", namespace)
            ip("-n", self.hub, "link", "set", far, "master", f"br-{name}"[:15], "up")
            address = f"10.99.{self.names.index(name)}.{self.count + 1}"
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", near)
            ip("-n", namespace, "link", "set", near, "up")
            addresses[name] = address
        self.attached[container] = addresses
        self.aliases[container] = aliases
        if networks:
            with inside(namespace):
                answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                answering.bind((RESOLVER, 53))
            self.selector.register(answering, selectors.EVENT_READ, container)
        return namespace

    def detach(self, container: str) -> None:
        """Take the container's namespace away; its names are no longer found."""
        for key in list(self.selector.get_map().values()):
            if key.data == container:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
        self.attached.pop(container, None)
        ip("netns", "del", f"{self.prefix}-{container}")

    def addresses(self, asking: str, name: str) -> list[str]:
        """Addresses under which `asking` reaches the name: those on a network that both are on."""
        own = self.attached.get(asking, {})
        return [
            address
            for other, networks in list(self.attached.items())
            if name in self.aliases[other]
            for network, address in networks.items()
            if network in own
        ]

    def _serve(self) -> None:
        while not self.closed:
            for key, _ in self.selector.select(timeout=0.2):
                with contextlib.suppress(OSError, IndexError, UnicodeDecodeError):
                    question, asker = key.fileobj.recvfrom(4096)  # type: ignore[union-attr]
                    key.fileobj.sendto(answer(question, lambda name, k=key: self.addresses(k.data, name)), asker)  # type: ignore[union-attr]

    def publish(self, container: str, inner: int) -> int:
        """A port of this machine's loopback that leads to the container's port; returns it."""
        listener = socket.create_server(("127.0.0.1", 0))
        address = next(iter(self.attached[container].values()))
        namespace = f"{self.prefix}-{container}"

        def lead(near: socket.socket) -> None:
            far: socket.socket | None = None
            end = time.monotonic() + 60
            while far is None and time.monotonic() < end:  # a restarting container listens again in a moment
                with contextlib.suppress(OSError), inside(namespace):
                    far = socket.create_connection((address, inner), timeout=10)
                    break
                time.sleep(0.2)
            if far is None:
                near.close()  # who waits on it is told at once
                return
            with near, far:
                back = threading.Thread(target=pump, args=(far, near), daemon=True)
                back.start()
                pump(near, far)
                back.join()

        def accept() -> None:
            while not self.closed:
                with contextlib.suppress(OSError):
                    near, _ = listener.accept()
                    threading.Thread(target=lead, args=(near,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    def close(self) -> None:
        self.closed = True
        self.thread.join()
        for container in list(self.attached):
            self.detach(container)
        ip("netns", "del", self.hub)


def pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes one way until either side ends."""
    with contextlib.suppress(OSError):
        one.settimeout(None)
        while chunk := one.recv(65536):
            other.sendall(chunk)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)


def answer(question: bytes, resolve: Callable[[str], list[str]]) -> bytes:
    """DNS answer: A records of what `resolve` gives, an empty answer to other types, NXDOMAIN for what it does not know."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += question[at] + 1
    end = at + 5
    kind = struct.unpack("!H", question[at + 1 : at + 3])[0]
    found = resolve(".".join(labels))
    records = found if kind == 1 else []
    flags = 0x8180 if found else 0x8183
    head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(r) for r in records)
    return head + question[12:end] + body


def wait_for_port(namespace: str, port: int) -> bool:
    """Whether something listens on the port inside the namespace."""
    with contextlib.suppress(OSError), inside(namespace):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def usable() -> bool:
    """Whether this process may make network namespaces: root with iproute2."""
    return os.geteuid() == 0 and Path("/run").is_dir()
