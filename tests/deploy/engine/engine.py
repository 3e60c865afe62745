"""A small container engine for the test: what `docker compose` does for our file, over runc.

Starts services in the order of their dependencies, checks their health, starts again what has ended (restart policy), runs
commands in them, and takes everything down at the end. Commands arrive from the `docker` stand-in (shim.py) by a socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.engine import bundle, composition, images
from tests.deploy.engine.network import Network

PATIENCE = 600.0
"""Seconds that a service may take to come up before the test gives up and shows its log."""

DURATION = {"s": 1.0, "m": 60.0}


@dataclass
class Container:
    """One container of a service; `starts` counts its starts, `health` is starting, healthy or unhealthy."""

    name: str
    service: str
    namespace: str
    log: Path
    process: subprocess.Popen[bytes] | None = None
    identity: str = ""
    starts: int = 0
    health: str = "starting"
    wanted: bool = True
    stop: threading.Event = field(default_factory=threading.Event)


class Failed(Exception):  # noqa: N818 - what a docker command would print and end with
    """A command of the engine that did not succeed."""


class Engine:
    """The containers of one project folder."""

    def __init__(self, project: Path, work: Path, python: Path, kernels: Path | None = None) -> None:
        """`kernels`: compiled ones, which a new volume of the product begins with; without it, airflow-init compiles all."""
        self.project, self.work, self.python, self.kernels = project, work, python, kernels
        self.id = uuid.uuid4().hex[:6]
        self.images: dict[str, images.Image] = {}
        self.containers: dict[str, Container] = {}
        self.network: Network | None = None
        self.ports: dict[str, int] = {}
        self.closed = False

    # -- images ---------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """`docker compose build`: the product's image from the Dockerfile's COPY, ENV and ENTRYPOINT lines. Of its RUN lines,
        compiling the source is done, and not the kernels for families of processors: airflow-init loads or compiles this
        processor's own (tests/deploy/test_kernels.py has the image's).
        """
        root = self.work / "images" / "product"
        shutil.rmtree(root, ignore_errors=True)
        self.images["product"] = images.product(root, self.project, self.python, self.kernels)
        for name in ("postgres", "redis", "nginx"):
            if name not in self.images:
                self.images[name] = getattr(images, name)(self.work / "images" / name)

    def image(self, service: Mapping[str, Any]) -> images.Image:
        if "build" in service or service["image"].startswith("referral-triage:"):
            if "product" not in self.images:
                raise Failed("the image is not built")
            return self.images["product"]
        return self.images[next(n for n in ("postgres", "redis", "nginx") if n in service["image"])]

    # -- starting -------------------------------------------------------------------------------------------------

    def read(self, environment: Mapping[str, str]) -> dict[str, Any]:
        try:
            return composition.read(self.project, environment)
        except ValueError as error:
            raise Failed(str(error)) from None

    def up(self, environment: Mapping[str, str], scale: Mapping[str, int]) -> None:
        """`docker compose up --detach`: every service, each when what it depends on is as it asks."""
        compose = self.read(environment)
        services = compose["services"]
        self.place(compose)
        waiting, end = composition.order(services), time.monotonic() + PATIENCE
        while waiting:
            ready = [n for n in waiting if self.may_start(services[n].get("depends_on", {}))]
            for name in ready:
                self.start_service(name, services[name], scale)
                waiting.remove(name)
                end = time.monotonic() + PATIENCE
            if time.monotonic() > end:
                raise Failed(f"still waiting to start: {waiting}\n{self.states()}")
            time.sleep(0.1)

    def start_service(self, name: str, service: dict[str, Any], scale: Mapping[str, int]) -> None:
        """Start what is not there of the service's containers, and publish its ports."""
        for number in range(1, scale.get(name, int(service.get("scale", 1))) + 1):
            container = f"{name}-{number}"
            if container not in self.containers:
                self.start(container, name, service)
        for port in service.get("ports", []):
            inner = int(port.rsplit(":", 1)[1])
            assert self.network is not None
            if port not in self.ports:
                self.ports[port] = self.network.publish(f"{name}-1", inner)

    def place(self, compose: Mapping[str, Any]) -> bundle.Place:
        if self.network is None:
            self.network = Network(f"tr{self.id}", list(compose["networks"]))
        binds = {}
        for name, how in compose["volumes"].items():
            if how:
                binds[name] = Path(how["driver_opts"]["device"])
                if not binds[name].is_dir():
                    raise Failed(f"failed to mount local volume: {binds[name]}: no such file or directory")
        return bundle.Place(self.project, self.work / "volumes", binds)

    def prepare(self, container: str, name: str, service: Mapping[str, Any]) -> Container:
        """The container's namespace, and its place in the list."""
        assert self.network is not None
        networks = [] if service.get("network_mode") == "none" else list(service["networks"])
        hostname = uuid.uuid4().hex[:12]
        namespace = self.network.attach(container, networks, {name, container, hostname})
        made = Container(container, name, namespace, self.work / "logs" / f"{container}.log")
        made.log.parent.mkdir(parents=True, exist_ok=True)
        made.identity = hostname
        self.containers[container] = made
        return made

    def start(self, container: str, name: str, service: dict[str, Any]) -> Container:
        """Start a container and the thread that looks after it."""
        made = self.prepare(container, name, service)
        self.launch(made, service)
        threading.Thread(target=self.look_after, args=(made, service), daemon=True).start()
        return made

    def launch(self, made: Container, service: dict[str, Any], **own: Any) -> None:
        made.starts += 1
        run = f"{self.id}-{made.name}-{made.starts}"
        folder = self.work / "bundles" / run
        place = self.place(self.read(os.environ))
        cgroup = f"/triage-test-{self.id}/{run}"
        known = {"hostname": made.identity, "namespace": made.namespace, "cgroup": cgroup}
        bundle.write(folder, service, self.image(service), place, **known, **own)
        with made.log.open("ab") as log:
            made.process = subprocess.Popen(
                self.runc("run", "--bundle", str(folder), run), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def look_after(self, made: Container, service: dict[str, Any]) -> None:
        """Check the health; start the container again when it ends, unless its policy says otherwise."""
        check = service.get("healthcheck")
        started = asked = time.monotonic()
        pause, failures = 0.5, 0
        while not made.stop.wait(0.2):
            assert made.process is not None
            if made.process.poll() is not None:
                made.health = "starting"
                if service.get("restart") == "no" or not made.wanted:
                    continue
                if made.stop.wait(pause):
                    return
                pause = min(pause * 2, 10)
                self.launch(made, service)
                started = asked = time.monotonic()
                continue
            young = made.health == "starting" and time.monotonic() - started < seconds(check, "start_period", "0s")
            every = seconds(check, "start_interval", "5s") if young else seconds(check, "interval", "30s")
            if check and time.monotonic() - asked > every:
                done = self.execute(made, health_command(check), timeout=seconds(check, "timeout", "30s"))
                asked = time.monotonic()
                failures = 0 if done.returncode == 0 else failures + (not young)
                made.health = "healthy" if failures == 0 and done.returncode == 0 else made.health
                if failures >= check.get("retries", 3):
                    made.health = "unhealthy"
                if done.returncode:
                    with made.log.open("ab") as log:
                        log.write(b"[health] " + done.stderr[-300:] + b"\n")

    def may_start(self, depends_on: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether every service that another depends on is as it asks; Failed when one of them can no longer become so."""
        return all(self.is_as_asked(other, how["condition"]) for other, how in depends_on.items())

    def is_as_asked(self, service: str, condition: str) -> bool:
        made = self.containers.get(f"{service}-1")
        if made is None or made.process is None:
            return False
        code = made.process.poll()
        met = {
            "service_completed_successfully": code == 0,
            "service_healthy": made.health == "healthy",
            "service_started": True,
        }[condition]
        ended = condition == "service_completed_successfully" and code not in {None, 0}
        if not met and (ended or made.health == "unhealthy" or made.starts > 3):
            raise Failed(f"dependency failed to start: {made.name} is {made.health}\n{self.tail(made.name)}")
        return met

    # -- commands -------------------------------------------------------------------------------------------------

    def execute(
        self, made: Container, command: list[str], *, timeout: float | None = None, given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """`docker compose exec`: run a command in a running container, as its user and with its environment."""
        run = f"{self.id}-{made.name}-{made.starts}"
        words = self.runc("exec", run, *command)
        try:
            return subprocess.run(words, capture_output=True, timeout=timeout, input=given)
        except subprocess.TimeoutExpired as error:
            return subprocess.CompletedProcess(words, 124, error.stdout or b"", b"timed out")

    def run(
        self,
        environment: Mapping[str, str],
        name: str,
        command: list[str],
        *,
        given: bytes = b"",
        entry: list[str] | None = None,
        **own: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """`docker compose run --rm`: a container of its own for one command (default: the service's). `own` replaces keys
        of the service, `entry` the image's entry point.
        """
        service = {**self.read(environment)["services"][name], **own}
        self.place(self.read(environment))
        container = f"{name}-run-{uuid.uuid4().hex[:4]}"
        made = self.prepare(container, name, service)
        run = f"{self.id}-{container}-1"
        folder = self.work / "bundles" / run
        image = self.image(service)
        known = {"hostname": made.identity, "namespace": made.namespace, "cgroup": f"/triage-test-{self.id}/{run}"}
        words = [*(image.entrypoint if entry is None else entry), *command] if command else None
        try:
            bundle.write(folder, service, image, self.place(self.read(environment)), command=words, **known)
            return subprocess.run(self.runc("run", "--bundle", str(folder), run), capture_output=True, input=given)
        finally:
            self.containers.pop(container)
            assert self.network is not None
            self.network.detach(container)

    def crash(self, container: str) -> None:
        """Kill a container as a power cut or the kernel would: nobody is asked, and its restart policy holds."""
        made = self.containers[container]
        subprocess.run(
            self.runc("kill", "--all", f"{self.id}-{container}-{made.starts}", "KILL"), check=True, capture_output=True
        )

    def states(self) -> dict[str, str]:
        """Name and state of every container, as `docker compose ps` shows them."""
        found = {}
        for name, made in self.containers.items():
            code = made.process.poll() if made.process else None
            found[name] = f"exited ({code})" if code is not None else made.health
        return found

    def tail(self, container: str, lines: int = 30) -> str:
        log = self.containers[container].log
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def runc(self, *words: str) -> list[str]:
        return ["runc", "--root", str(self.work / "runc"), *words]

    def close(self) -> None:
        """End every container and take the namespaces away."""
        self.closed = True
        for made in self.containers.values():
            made.stop.set()
        listed = subprocess.run(self.runc("list", "--format", "json"), capture_output=True, text=True)
        with contextlib.suppress(ValueError):
            for one in json.loads(listed.stdout or "null") or []:
                subprocess.run(self.runc("delete", "--force", one["id"]), capture_output=True)
        for made in self.containers.values():
            if made.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    made.process.wait(timeout=10)
        if self.network is not None:
            self.network.close()
        for kind in Path("/sys/fs/cgroup").glob(f"*/triage-test-{self.id}"):
            with contextlib.suppress(OSError):
                kind.rmdir()


def seconds(check: Mapping[str, Any] | None, key: str, default: str) -> float:
    text = str((check or {}).get(key, default))
    return float(text[:-1]) * DURATION[text[-1]]


def health_command(check: Mapping[str, Any]) -> list[str]:
    kind, *words = check["test"]
    return ["sh", "-c", words[0]] if kind == "CMD-SHELL" else list(words)
