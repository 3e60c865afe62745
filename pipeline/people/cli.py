"""`triage users`: accounts, roles, teams."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import select

from pipeline import senders
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options
from pipeline.people import permissions
from pipeline.people import users as accounts
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from pipeline.store.people_tables import User

_ROLES = click.option(
    "--role", "roles", multiple=True, type=click.Choice(permissions.ROLES), help="A role; may be given several times."
)
_COMPARTMENTS = click.option(
    "--compartment", "compartments", multiple=True, type=click.Choice(senders.COMPARTMENTS), help="May see it."
)
_PASSWORD = click.option(
    "--password-file",
    type=click.File("r"),
    help="File with the password, or - for standard input. Without it you are asked.",
)


@click.group("users", context_settings={"help_option_names": ["-h", "--help"]})
def users() -> None:
    """Accounts and roles. The first account of an empty store is its administrator:

    \b
    triage users first ada --name "Ada Admin"
    triage users add ana --name "Ana Analyst" --role analyst
    triage users change ana --role analyst --compartment ucol
    """


@users.command()
@click.argument("user_id")
@click.option("--name", "full_name", default="", help="The person's name.")
@_PASSWORD
@output_options
@click.pass_obj
def first(settings: Settings, /, *, user_id: str, full_name: str, password_file: Any) -> Rows:
    """Make the first account, an administrator; refused once there is any account."""
    store = open_store(settings)
    try:
        with store.session() as session:
            return [_row(accounts.first(session, user_id, full_name, _password(password_file)))]
    finally:
        store.close()


@users.command("list")
@as_option
@output_options
@click.pass_obj
def list_(settings: Settings, /, *, name: str | None) -> Rows:
    """All accounts."""
    with signed_in(settings, name) as (store, actor), store.reader() as session:
        return [_row(user) for user in accounts.listing(session, actor)]


@users.command()
@click.argument("user_id")
@click.option("--name", "full_name", default="", help="The person's name.")
@_ROLES
@_COMPARTMENTS
@click.option("--team", help="Team, see `triage users team`.")
@click.option("--no-password", is_flag=True, help="The account has none: for accounts used at this machine only.")
@_PASSWORD
@as_option
@output_options
@click.pass_obj
def add(
    settings: Settings,
    /,
    *,
    user_id: str,
    full_name: str,
    roles: tuple[str, ...],
    compartments: tuple[str, ...],
    team: str | None,
    no_password: bool,
    password_file: Any,
    name: str | None,
) -> Rows:
    """Add an account."""
    with signed_in(settings, name) as (store, actor):
        password = None if no_password else _password(password_file)
        with store.session() as session:
            user = accounts.add(
                session, actor, user_id, full_name,
                roles=roles, compartments=compartments, team_id=team, password=password,
            )  # fmt: skip
            return [_row(user)]


@users.command()
@click.argument("user_id")
@click.option("--name", "full_name", default=None, help="The person's name.")
@_ROLES
@_COMPARTMENTS
@click.option("--no-compartments", is_flag=True, help="Take all compartments away.")
@click.option("--team", default=None, help='Team; "" takes the account out of its team.')
@click.option("--disable/--enable", "disabled", default=None, help="Whether the account may be used.")
@click.option("--unlock", is_flag=True, help="End a lockout after wrong passwords.")
@as_option
@output_options
@click.pass_obj
def change(
    settings: Settings,
    /,
    *,
    user_id: str,
    full_name: str | None,
    roles: tuple[str, ...],
    compartments: tuple[str, ...],
    no_compartments: bool,
    team: str | None,
    disabled: bool | None,
    unlock: bool,
    name: str | None,
) -> Rows:
    """Change an account: what is not named stays. Its open sessions end."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        current = session.scalar(select(User.version).where(User.user_id == user_id))
        user = accounts.change(
            session, actor, user_id, version=current or 0, name=full_name, roles=roles or None,
            compartments=() if no_compartments else compartments or None, team_id=team, disabled=disabled,
            unlock=unlock,
        )  # fmt: skip
        return [_row(user)]


@users.command()
@click.argument("user_id")
@_PASSWORD
@as_option
@output_options
@click.pass_obj
def password(settings: Settings, /, *, user_id: str, password_file: Any, name: str | None) -> Rows:
    """Set a password: your own, or as administrator anybody's."""
    with signed_in(settings, name) as (store, actor):
        chosen = _password(password_file)
        with store.session() as session:
            accounts.set_password(session, actor, user_id, chosen)
            return [{"user_id": user_id, "password": "set"}]


@users.command()
@click.argument("team_id")
@click.option("--name", "title", default="", help="The team's name.")
@as_option
@output_options
@click.pass_obj
def team(settings: Settings, /, *, team_id: str, title: str, name: str | None) -> Rows:
    """Add a team that cases can be allocated to."""
    with signed_in(settings, name) as (store, actor), store.session() as session:
        added = accounts.add_team(session, actor, team_id, title)
        return [{"team_id": added.team_id, "name": added.name}]


def _password(file: Any) -> str:
    if file is None:
        text: str = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
        return text
    chosen = str(file.readline()).rstrip("\r\n")
    if not chosen:
        raise UsageError("The password file is empty.")
    return chosen


def _row(user: User) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "name": user.name,
        "roles": ",".join(user.roles),
        "compartments": ",".join(user.compartments),
        "team": user.team_id,
        "origin": user.origin,
        "disabled": user.disabled,
        "locked_until": user.locked_until,
        "last_sign_in_at": user.last_sign_in_at,
    }
