"""The commands of docs/operations.md, read out of the page, so that what is tested is what it says."""

from __future__ import annotations

import re

from pipeline.settings import ROOT


def commands(section: str) -> list[list[str]]:
    """The blocks of indented lines below the heading, up to the next heading; each block is a list of command lines."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"^#+ {re.escape(section)}$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/operations.md has no section {section!r}"
    blocks: list[list[str]] = []
    before = ""
    for line in found[1].splitlines():
        if line.startswith("    "):
            if not before.startswith("    "):
                blocks.append([])
            blocks[-1].append(line[4:])
        before = line
    return blocks
