"""Who uses the command line: the machine account's own name, or another account with its password."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import Store, open_store

_F = TypeVar("_F", bound=Callable[..., Any])


def as_option(function: _F) -> _F:
    """Add `--as NAME` to a command."""
    return click.option(
        "--as",
        "name",
        metavar="NAME",
        default=None,
        help="Act as this account and ask for its password. Default: the account with the name of your machine account.",
    )(function)


@contextmanager
def signed_in(settings: Settings, name: str | None) -> Iterator[tuple[Store, Actor]]:
    """The open store and the person. Raises PermissionDeniedError where the account does not exist or is disabled.

    The machine account's name is taken from the kernel's user id, not from the environment, which anybody can set.
    """
    store = open_store(settings)
    try:
        own = pwd.getpwuid(os.getuid()).pw_name
        if name is None or name == own:
            with store.reader() as session:
                actor = users.actor(session, own)
        else:
            actor = users.sign_in(store, name, _password(name))
        yield store, actor
    finally:
        store.close()


def _password(name: str) -> str:
    """Typed unseen at a terminal; the first line of what is piped in."""
    if sys.stdin.isatty():
        typed: str = click.prompt(f"Password of {name}", hide_input=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
