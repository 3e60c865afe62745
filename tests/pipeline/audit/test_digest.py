"""A digest that was signed elsewhere shows a log that was written anew together with its anchors."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import delete, insert, select, update

from pipeline.audit import anchors, digest
from pipeline.audit import cli as audit_cli
from pipeline.audit import log as audit_log
from pipeline.errors import InputError, IntegrityError, UsageError
from pipeline.people import users
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry, AuditHead
from tests.pipeline.audit.test_audit import fill, tamper

OWN = pwd.getpwuid(os.getuid()).pw_name
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # of these tests only


@pytest.fixture
def signed(sqlite_store: Store, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A digest of a log of seven entries, its signature and the public key."""
    fill(sqlite_store, 5)
    paths = (tmp_path / "digest", tmp_path / "digest.sig", tmp_path / "public.pem")
    assert digest.write(sqlite_store, SYSTEM, paths[0]).entries == 7
    paths[1].write_bytes(KEY.sign(paths[0].read_bytes()))
    paths[2].write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return paths


def test_a_log_that_goes_on_is_intact(sqlite_store: Store, signed: tuple[Path, Path, Path]) -> None:
    fill(sqlite_store, 3)
    assert audit_log.verify(sqlite_store, SYSTEM, digest.read(*signed)).entries > 7


def test_a_log_recomputed_with_its_anchors_is_found(sqlite_store: Store, signed: tuple[Path, Path, Path]) -> None:
    with sqlite_store.reader() as session:
        rows = [dict(r) for r in session.execute(select(AuditEntry.__table__).order_by(AuditEntry.seq)).mappings()]
    rows[2]["user_id"], previous = "somebody else", audit.GENESIS
    for row in rows:
        row["previous"] = previous
        row["hash"] = previous = audit.entry_hash(row)
    tamper(sqlite_store, delete(AuditEntry), insert(AuditEntry).values(rows), update(AuditHead).values(hash=previous))
    anchors.write(sqlite_store)
    assert audit_log.verify(sqlite_store, SYSTEM).anchors == 1
    with pytest.raises(IntegrityError, match="different hashes for entry 7"):
        audit_log.verify(sqlite_store, SYSTEM, digest.read(*signed))


def test_a_changed_digest_or_another_key_is_found(signed: tuple[Path, Path, Path]) -> None:
    path, _, key = signed
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"entries":7', b'"entries":6'))
    with pytest.raises(IntegrityError, match="not this key's signature"):
        digest.read(*signed)
    path.write_bytes(whole)
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    key.write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(IntegrityError, match="not this key's signature"):
        digest.read(*signed)


def test_files_that_are_none_of_it(signed: tuple[Path, Path, Path]) -> None:
    path, signature, key = signed
    path.write_text("[]")
    signature.write_bytes(KEY.sign(b"[]"))
    with pytest.raises(InputError, match="no digest"):
        digest.read(*signed)
    curve = generate_private_key(SECP256R1()).public_key()
    key.write_bytes(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="no Ed25519 key"):
        digest.read(*signed)
    key.write_text("nothing")
    with pytest.raises(InputError, match="no public key"):
        digest.read(*signed)


def test_the_commands_write_a_digest_and_verify_against_it(sqlite_store: Store, tmp_path: Path) -> None:
    """As a person with the role does it, with OpenSSL's form of signature and key."""
    fill(sqlite_store, 3)
    settings = sqlite_store.settings
    with sqlite_store.session() as session:
        users._add(session, SYSTEM, OWN, "Auditor", roles=["auditor"], password=None)
    paths = {name: tmp_path / name for name in ("digest", "signature", "public-key")}

    def triage(*words: str) -> Result:
        return CliRunner().invoke(audit_cli.audit, list(words), obj=settings)

    done = triage("digest", "--output", str(paths["digest"]))
    assert done.exit_code == 0, done.exception
    paths["signature"].write_bytes(KEY.sign(paths["digest"].read_bytes()))
    paths["public-key"].write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    given = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    done = triage("verify", *given, "--format", "json")
    assert done.exit_code == 0 and json.loads(done.output)[0]["result"] == "intact", done.exception
    for left_out in range(0, len(given), 2):
        done = triage("verify", *given[:left_out], *given[left_out + 2 :])
        assert isinstance(done.exception, UsageError), "all three or none"
    paths["signature"].write_bytes(bytes(64))
    assert isinstance(triage("verify", *given).exception, IntegrityError)
