"""The `docker` command of the test: carries what the guide's commands say to the engine in the test's process.

`serve()` is that side: one thread for each connection. The script on the PATH is this module run with the socket's path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from tests.deploy.engine.engine import Engine, Failed


def serve(engine: Engine, path: Path) -> socket.socket:
    """Answer commands on the socket until it is closed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def loop() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(engine, connection), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return listener


def answer(engine: Engine, connection: socket.socket) -> None:
    with connection, connection.makefile("rwb") as stream:
        asked = json.loads(stream.readline())
        try:
            code, out, err = carry_out(engine, asked["words"], asked["environment"], asked["stdin"].encode())
        except Failed as error:
            code, out, err = 1, "", f"{error}\n"
        except Exception as error:  # noqa: BLE001 - told to the command's caller, and the test fails with it
            code, out, err = 125, "", f"{type(error).__name__}: {error}\n"
        stream.write(json.dumps({"code": code, "out": out, "err": err}).encode() + b"\n")


def carry_out(engine: Engine, words: list[str], environment: dict[str, str], given: bytes) -> tuple[int, str, str]:
    """One `docker …` command; Failed for one that the guide has no use for."""
    if words[:2] == ["pull", "--quiet"]:
        return 0, "", ""
    if words[:2] == ["image", "inspect"]:  # the digest that a registry gives is not known here
        name = words[-1].partition(":")[0]
        return 0, f"{name}@sha256:{hashlib.sha256(words[-1].encode()).hexdigest()}\n", ""
    if words[:1] != ["compose"]:
        raise Failed(f"docker {words} is not known here")
    verb, rest = words[1], words[2:]
    if verb == "build":
        engine.build()
        return 0, "", ""
    if verb == "up" and rest[:1] == ["--detach"]:
        scale = {}
        if rest[1:2] == ["--scale"]:
            name, _, count = rest[2].partition("=")
            scale[name] = int(count)
        engine.up(environment, scale)
        return 0, "", ""
    if verb == "ps":
        return 0, "".join(f"{name:30} {state}\n" for name, state in engine.states().items()), ""
    if verb in {"run", "exec"}:
        rest = [w for w in rest if w not in {"--rm", "-T", "--no-deps"}]
        if verb == "run":
            done = engine.run(environment, rest[0], rest[1:], given=given)
        else:
            done = engine.execute(engine.containers[f"{rest[0]}-1"], rest[1:], given=given)
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    raise Failed(f"docker compose {verb} {rest} is not known here")


def main(path: str, words: list[str]) -> int:
    given = ""
    if not sys.stdin.isatty() and select.select([sys.stdin], [], [], 0)[0]:
        given = sys.stdin.read()
    asked: dict[str, Any] = {"words": words, "environment": dict(os.environ), "stdin": given}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps(asked).encode() + b"\n")
            stream.flush()
            answered = json.loads(stream.readline())
    sys.stdout.write(answered["out"])
    sys.stderr.write(answered["err"])
    return int(answered["code"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
