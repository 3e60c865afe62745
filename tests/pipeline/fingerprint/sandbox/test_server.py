"""The fork server ends a worker with everything that the worker has started, also what has left its group."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipeline.settings import ROOT

SCRIPT = """
import ctypes, json, os, sys, time
from pipeline.fingerprint.sandbox import server
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
read, write = os.pipe()
worker = os.fork()
if worker == 0:
    os.setsid()
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()  # out of the worker's session and group
            if os.fork():
                os._exit(0)
            os.write(write, b"%d\\n" % os.getpid())
            time.sleep(600)
    time.sleep(600)
other = os.fork()
if other == 0:
    os.setsid()
    time.sleep(600)
server._WORKERS.update({worker, other})
found = b""
while found.count(b"\\n") < 3:
    found += os.read(read, 100)
code, _, _, resident = server._end(worker)
escaped = [int(word) for word in found.split()]
alive = [pid for pid in escaped if os.path.exists(f"/proc/{pid}")]
others = os.waitpid(other, os.WNOHANG) == (0, 0)
server._end(other)
print(json.dumps({"code": code, "resident": resident, "alive": alive, "other_was_left_alone": others, "left": sorted(server._WORKERS)}))
"""


def test_what_a_worker_forked_dies_with_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("resident") > 0
    assert found == {"code": -9, "alive": [], "other_was_left_alone": True, "left": []}
