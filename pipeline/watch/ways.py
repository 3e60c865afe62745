"""The ways by which people are told: e-mail by SMTP, and a webhook. Both carry kinds, counts and names of runs only."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any

import httpx

from pipeline.errors import DependencyError, SettingsError
from pipeline.settings import Settings
from pipeline.store.operations import Alarm
from pipeline.watch.alarms import KINDS, REMEDIES

SECONDS = 20.0


@dataclass(frozen=True)
class Message:
    """What people are told of one alarm."""

    subject: str
    text: str
    data: dict[str, Any]


def message(alarm: Alarm, force: str) -> Message:
    """The words for an alarm that began or is over."""
    state = "over" if alarm.closed_at else "begun"
    subject = f"[triage {force}] {'Over: ' if alarm.closed_at else ''}{KINDS[alarm.kind]}"
    facts = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in alarm.facts.items())
    since = f"since {alarm.raised_at:%d %B %Y %H:%M} UTC"
    lines = [f"{KINDS[alarm.kind]}.", facts, since]
    lines += [f"Over since {alarm.closed_at:%d %B %Y %H:%M} UTC."] if alarm.closed_at else [REMEDIES[alarm.kind]]
    data = {
        "kind": alarm.kind,
        "state": state,
        "force": force,
        "facts": alarm.facts,
        "raised_at": alarm.raised_at.isoformat(),
        "closed_at": alarm.closed_at.isoformat() if alarm.closed_at else None,
        "text": KINDS[alarm.kind],
    }
    return Message(subject, "\n\n".join(filter(None, lines)) + "\n", data)


def configured(settings: Settings) -> list[str]:
    """Names of the ways that the settings name. Raises SettingsError for one that is named by halves."""
    if bool(settings.alarm_smtp) != bool(settings.alarm_to):
        raise SettingsError("TRIAGE_ALARM_SMTP and TRIAGE_ALARM_TO belong together.", "Set both or neither.")
    return [n for n, on in (("mail", settings.alarm_smtp), ("webhook", settings.alarm_webhook)) if on]


def send(settings: Settings, told: Message) -> dict[str, str]:
    """Tell it by every way that is configured; returns those that failed, by name with the kind of error.

    A way that is down keeps no other from carrying it. Raises DependencyError when none took it.
    """
    failed: dict[str, str] = {}
    names = configured(settings)
    for name in names:
        try:
            {"mail": mail, "webhook": webhook}[name](settings, told)
        except (OSError, smtplib.SMTPException, httpx.HTTPError) as error:
            failed[name] = type(error).__name__
    if names and len(failed) == len(names):
        each = ", ".join(f"{name}: {error}" for name, error in failed.items())
        raise DependencyError(f"An alarm could not be sent ({each}).", "It is kept and tried again.")
    return failed


def mail(settings: Settings, told: Message) -> None:
    """By SMTP: STARTTLS unless `alarm_smtp_tls` is off, signed in when the password file has `user:password` in it."""
    host, _, port = settings.alarm_smtp.partition(":")
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = told.subject, settings.alarm_from, settings.alarm_to
    letter["Message-ID"] = make_msgid(domain="triage.invalid")
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(told.text)
    with smtplib.SMTP(host, int(port or 587), timeout=SECONDS) as server:
        if settings.alarm_smtp_tls:
            server.starttls(context=ssl.create_default_context())
        if given := _content(settings.alarm_password_file):
            user, _, password = given.partition(":")
            server.login(user, password)
        server.send_message(letter)


def webhook(settings: Settings, told: Message) -> None:
    """A POST of JSON; what the token file has in it goes along as a Bearer token. Any answer but success is an error."""
    headers = {}
    if token := _content(settings.alarm_token_file):
        headers["Authorization"] = f"Bearer {token}"
    httpx.post(settings.alarm_webhook, json=told.data, headers=headers, timeout=SECONDS).raise_for_status()


def _content(path: Path | None) -> str:
    """What a secret's file holds; empty where none is named, or where nobody has filled it in. Raises OSError if it cannot be read."""
    return path.read_text().strip() if path is not None else ""
