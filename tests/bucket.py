"""An S3 server on loopback, for tests of what machines share by an object store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """The environment of an S3 server on loopback with the bucket `lake`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-west-2",
            "AWS_DEFAULT_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }  # fmt: skip
        make = (
            "import boto3; boto3.client('s3').create_bucket(Bucket='lake',"
            " CreateBucketConfiguration={'LocationConstraint': 'eu-west-2'})"
        )
        subprocess.run([sys.executable, "-c", make], env={**os.environ, **environment}, check=True)
        yield environment
    finally:
        server.terminate()
        server.wait()
