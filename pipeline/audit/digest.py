"""A digest of the audit log to be signed by a key that this installation does not hold.

Anchors are signed with the installation's own secret, so whoever takes over the machine could recompute the log and its anchors
together. A digest says how many entries there are and the hash of the last one; it is signed elsewhere (Ed25519, RFC 8032) and
kept there. Against it a recomputed chain shows, however well it was done.
"""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from pipeline import files
from pipeline.audit import log as audit_log
from pipeline.errors import InputError, IntegrityError
from pipeline.jsontext import canonical_json
from pipeline.store.actors import Actor
from pipeline.store.opening import Store

LONGEST = 65536
"""Bytes that are read of a digest, a signature or a key."""


def write(opened: Store, actor: Actor, path: Path) -> audit_log.Verified:
    """Check the log, then write its digest as one line of JSON. Raises IntegrityError for a log that was altered."""
    found = audit_log.verify(opened, actor)
    text = canonical_json({"at": opened.clock().isoformat(), "entries": found.entries, "head": found.head})
    with files.atomic_writer(path) as file:
        file.write(text.encode() + b"\n")
    return found


def read(path: Path, signature: Path, public_key: Path) -> dict[int, str]:
    """The anchored hash by entry number that a signed digest states.

    Raises InputError for a file that is no digest or no Ed25519 key (PEM), IntegrityError when the signature is not that
    of this digest by this key.
    """
    content = _content(path)
    try:
        key = load_pem_public_key(_content(public_key))
    except ValueError as error:
        raise InputError(f"{public_key.name} holds no public key in PEM.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{public_key.name} is no Ed25519 key.", "Make one with `openssl genpkey -algorithm ed25519`.")
    try:
        key.verify(_content(signature), content)
    except InvalidSignature as error:
        raise IntegrityError(
            f"{signature.name} is not this key's signature of {path.name}.", "Compare with where the digest was signed."
        ) from error
    try:
        stated = json.loads(content)
        return {int(stated["entries"]): str(stated["head"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is no digest of an audit log.") from error


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST)
