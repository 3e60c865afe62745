"""`make bill`: the bill of materials of the deployed image (CycloneDX 1.6) and the licences of third parties, from the lock.

    requirements/sbom.cdx.json      every distribution of requirements/deploy.lock with version, hashes, licence
    requirements/LICENCES.md        the same for people, by licence
Names, versions and hashes come from the lock, licences from the metadata of what is installed from it. `--check` compares.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "deploy.lock"
BILL = ROOT / "requirements" / "sbom.cdx.json"
LICENCES = ROOT / "requirements" / "LICENCES.md"
CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True)
class BillPart:
    """One distribution of the lock. `hashes` are SHA-256 (hex), `licence` as its metadata says it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str


def locked(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, version and hashes of every entry of a lock."""
    found = []
    for entry in re.split(r"\n(?=\S)", text.strip()):
        head = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", entry)
        if head is None:
            raise SystemExit(f"This entry of the lock has no version: {entry.splitlines()[0]}")
        found.append((head[1], head[2], tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))))
    return found


def licence(about: Message) -> str:
    """The licence in one line: the SPDX expression, else the classifiers, else the first line of the licence field."""
    if about.get("License-Expression"):
        return str(about.get("License-Expression"))
    named = [c.removeprefix(CLASSIFIER) for c in about.get_all("Classifier") or [] if c.startswith(CLASSIFIER)]
    if named:
        return " / ".join(sorted(named))
    first = str(about.get("License") or "").strip().splitlines()
    return first[0][:80] if first else "not stated"


def parts() -> list[BillPart]:
    """Everything in the lock. Raises SystemExit for what is not installed in the locked version."""
    found = []
    for name, version, hashes in locked(LOCK.read_text()):
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise SystemExit(f"{name} is in the lock and not installed: `make .venv/dev.stamp`.") from None
        if installed.version != version:
            raise SystemExit(
                f"{name} {version} is in the lock, {installed.version} is installed: `make .venv/dev.stamp`."
            )
        found.append(BillPart(name, version, hashes, licence(installed.metadata)))  # type: ignore[arg-type]
    return found


def bill(found: list[BillPart]) -> dict[str, Any]:
    """The bill as CycloneDX 1.6; without a serial number and a time, so that the same lock gives the same bytes."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "referral-triage", "bom-ref": "referral-triage"}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{part.name}@{part.version}",
                "name": part.name,
                "version": part.version,
                "purl": f"pkg:pypi/{part.name}@{part.version}",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in part.hashes],
                "licenses": [{"license": {"name": part.licence}}],
            }
            for part in found
        ],
    }


def page(found: list[BillPart]) -> str:
    """The licences for people."""
    lines = [
        "# Licences of third parties",
        "",
        "What the deployed image contains, by licence; made by `make bill` from requirements/deploy.lock.",
    ]
    for name in sorted({part.licence for part in found}):
        lines += ["", f"## {name}", ""]
        lines += [f"- {part.name} {part.version}" for part in found if part.licence == name]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write both files, or with --check say which is not current; 1 then."""
    found = parts()
    made = {BILL: json.dumps(bill(found), indent=1) + "\n", LICENCES: page(found)}
    if "--check" in arguments:
        old = [path.name for path, text in made.items() if not path.is_file() or path.read_text() != text]
        if old:
            sys.stderr.write(f"Not current: {', '.join(old)}; run `make bill`.\n")
        return 1 if old else 0
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
