"""The ways by which people are told: e-mail by SMTP, and a webhook. Both carry kinds, counts and names of runs only."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
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


def send(settings: Settings, told: Message) -> None:
    """Tell it by every way that is configured. Raises DependencyError naming the first that failed."""
    for name in configured(settings):
        try:
            {"mail": mail, "webhook": webhook}[name](settings, told)
        except (OSError, smtplib.SMTPException, httpx.HTTPError) as error:
            raise DependencyError(
                f"An alarm could not be sent by {name}: {type(error).__name__}.", "It is kept and tried again."
            ) from error


def mail(settings: Settings, told: Message) -> None:
    """By SMTP: STARTTLS unless `alarm_smtp_tls` is off, signed in when there is a password file (`user:password`)."""
    host, _, port = settings.alarm_smtp.partition(":")
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = told.subject, settings.alarm_from, settings.alarm_to
    letter["Message-ID"] = make_msgid(domain="triage.invalid")
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(told.text)
    with smtplib.SMTP(host, int(port or 587), timeout=SECONDS) as server:
        if settings.alarm_smtp_tls:
            server.starttls(context=ssl.create_default_context())
        if settings.alarm_password_file is not None:
            user, _, password = settings.alarm_password_file.read_text().strip().partition(":")
            server.login(user, password)
        server.send_message(letter)


def webhook(settings: Settings, told: Message) -> None:
    """A POST of JSON; with a token file, as a Bearer token. Any answer but success is an error."""
    headers = {}
    if settings.alarm_token_file is not None:
        headers["Authorization"] = f"Bearer {settings.alarm_token_file.read_text().strip()}"
    httpx.post(settings.alarm_webhook, json=told.data, headers=headers, timeout=SECONDS).raise_for_status()
