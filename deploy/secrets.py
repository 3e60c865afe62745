"""`docker compose run --rm secrets`: make every secret of docker-compose.yml as a file in ./secrets.

Each file is readable by its owner and by group 10001, of which every service is that reads one; run as root (as that
service is) it gives them to root and this group. Existing files are kept, so that running it again never locks anyone
out; their group and mode are put right. The TLS certificate is self-signed for localhost; replace tls_certificate and
tls_key by the force's own and run it again.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FOLDER = Path("secrets")
READERS = 10001
"""Group of the services that read secrets (docker-compose.yml)."""


def main(folder: Path = FOLDER) -> list[str]:
    """Write what is missing; returns the names written."""
    folder.mkdir(mode=0o700, exist_ok=True)
    written: list[str] = []

    def put(name: str, content: str) -> str:
        path = folder / name
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "w") as file:
                file.write(content)
            written.append(name)
        return path.read_text().strip()

    put("postgres_password", secrets.token_urlsafe(32))
    airflow = put("airflow_db_password", secrets.token_urlsafe(32))
    cases = put("cases_db_password", secrets.token_urlsafe(32))
    owner = put("cases_owner_db_password", secrets.token_urlsafe(32))
    redis = put(
        "redis_conf",
        "bind 0.0.0.0\nprotected-mode yes\ndir /data\nappendonly yes\nappendfsync always\n"
        f'save ""\nrequirepass {secrets.token_urlsafe(32)}\n',
    )
    broker = redis.rsplit("requirepass ", 1)[1]
    put("airflow_db_url", f"postgresql+psycopg2://airflow:{airflow}@postgres/airflow")
    put("airflow_result_backend", f"db+postgresql+psycopg2://airflow:{airflow}@postgres/airflow")
    put("airflow_broker_url", f"redis://:{broker}@redis:6379/0")
    put("cases_db_url", f"postgresql+psycopg://cases:{cases}@postgres/cases")
    put("cases_owner_db_url", f"postgresql+psycopg://cases_owner:{owner}@postgres/cases")
    put("airflow_fernet_key", Fernet.generate_key().decode())
    for name in (
        "airflow_jwt_secret",
        "airflow_secret_key",
        "airflow_admin_password",
        "console_secret",
        "metrics_token",
    ):
        put(name, secrets.token_urlsafe(48))
    for name in ("alarm_password", "alarm_token"):  # given by others; empty until they are filled in: none is needed
        put(name, "")
    if not (folder / "tls_key").exists() or not (folder / "tls_certificate").exists():
        certificate, key = self_signed()
        put("tls_key", key)
        put("tls_certificate", certificate)
    give(folder)
    return written


def give(folder: Path) -> None:
    """Let the services read the files: mode 0440, and group 10001 where this process may give it (as root)."""
    for path in folder.iterdir():
        if os.geteuid() == 0:
            os.chown(path, 0, READERS)
        path.chmod(0o440)


def self_signed() -> tuple[str, str]:
    """A certificate for localhost, valid for a year, and its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=365))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


if __name__ == "__main__":
    names = main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
    sys.stdout.write(f"Written: {', '.join(names)}\n" if names else "Everything is there already.\n")
    if os.geteuid() != 0:
        sys.stdout.write(f"The services read them as group {READERS}: run `chgrp {READERS} {FOLDER}/*` as root.\n")
