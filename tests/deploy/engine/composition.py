"""Reads docker-compose.yml as `docker compose` does, as far as ours uses it: variables, .env, profiles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Replace ${NAME}, ${NAME:-default} and ${NAME:?message} in every text; $$ is a dollar sign. Raises ValueError."""

    def one(found: re.Match[str]) -> str:
        dollar, name, kind, rest = found.groups()
        if dollar:
            return "$"
        text = variables.get(name, "")
        if not text and kind == "?":
            raise ValueError(f"required variable {name} is missing a value: {rest}")
        return text or (rest if kind == "-" else "")

    if isinstance(value, dict):
        return {k: interpolate(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [interpolate(v, variables) for v in value]
    return VARIABLE.sub(one, value) if isinstance(value, str) else value


def read(project: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The composition in the folder, with .env and the environment (which wins) filled in."""
    variables: dict[str, str] = {}
    if (project / ".env").is_file():
        for line in (project / ".env").read_text().splitlines():
            name, equals, text = line.partition("=")
            if equals and not line.startswith("#"):
                variables[name.strip()] = text.strip()
    variables |= environment
    found: dict[str, Any] = interpolate(yaml.safe_load((project / "docker-compose.yml").read_text()), variables)
    return found


def order(services: Mapping[str, Any]) -> list[str]:
    """Names of the services that `up` starts, each after those that it depends on."""
    done: list[str] = []

    def visit(name: str) -> None:
        for other in services[name].get("depends_on", {}):
            visit(other)
        if name not in done:
            done.append(name)

    for name, service in services.items():
        if not service.get("profiles"):
            visit(name)
    return done
