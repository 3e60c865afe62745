"""Every alarm: raised when it is true, told once through a real mail server and a real webhook, over when it is over."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner

from deploy.secrets import self_signed
from hashsets.importing import paging
from hashsets.release import building
from pipeline.cases.publishing import stage
from pipeline.cli import triage
from pipeline.contract import Night, StageReport
from pipeline.errors import DependencyError, IntegrityError, SettingsError
from pipeline.night import marks, stages
from pipeline.settings import Settings
from pipeline.store.opening import Store, open_store
from pipeline.watch import alarms, conditions, watching, ways
from pipeline.watch.alarms import Condition
from tests.pipeline.cases.samples import assessment, commit
from tests.pipeline.cases.samples import night as case_night

MORNING = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
NIGHT = "night-2026-11-28"


class Mailbox:
    """The handler of a real SMTP server: keeps what it is given."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"


Usage = namedtuple("Usage", "total used free")


class Hook(BaseHTTPRequestHandler):
    """A real webhook: keeps what is posted, answers as it is told to."""

    posted: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 - emptied by the fixture
    status = 204

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Hook.posted.append((self.headers.get("authorization", ""), body))
        self.send_response(Hook.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    kept = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield kept, port
    finally:
        server.stop()


@pytest.fixture
def hook() -> Iterator[int]:
    Hook.posted, Hook.status = [], 204
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A home whose night of the day ended well, on a disk with space, however little the machine of the tests has."""
    monkeypatch.setattr(conditions.shutil, "disk_usage", lambda path: Usage(2**40, 2**39, 2**39))
    opened = open_store(Settings(home=tmp_path, force="42"))
    report(opened.settings)
    yield opened
    opened.close()


def report(settings: Settings, run: str = NIGHT, **changes: Any) -> None:
    folder = settings.runs_dir / run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text("{}")
    made = {
        "reconciles": True,
        "checks": [],
        "packages_quarantined": 0,
        "stages": {},
        "indexes_with_canaries_checked": 2,
    }
    (folder / "report.json").write_text(json.dumps({**made, **changes}))


def found(store: Store, now: datetime = MORNING) -> dict[str, dict[str, Any]]:
    watching.look(store, now)
    return {alarm.kind: alarm.facts for alarm in alarms.open_ones(store)}


class TestWhatIsWrong:
    def test_nothing(self, store: Store) -> None:
        assert found(store) == {}

    def test_a_missing_night_triggers_its_own_check(self, store: Store) -> None:
        (store.settings.runs_dir / NIGHT / "report.json").unlink()
        assert found(store, MORNING.replace(hour=5)) == {}
        assert found(store)["night_late"] == {"run": NIGHT, "due": "06:00", "state": "not ended well"}
        tomorrow = found(store, MORNING + timedelta(days=1))
        assert tomorrow["night_late"]["state"] == "never begun"

    def test_in_summer_it_is_due_by_the_clock_on_the_wall(self, store: Store) -> None:
        at = datetime(2026, 7, 3, 5, 30, tzinfo=UTC)  # 06:30 in London
        assert found(store, at)["night_late"]["run"] == "night-2026-07-03"

    def test_a_night_that_does_not_reconcile(self, store: Store) -> None:
        report(store.settings, reconciles=False, checks=[{"holds": False}, {"holds": True}])
        assert found(store)["not_reconciled"] == {"run": NIGHT, "checks_that_differ": 1}
        report(store.settings)
        assert found(store) == {}

    def test_many_packages_in_quarantine(self, store: Store) -> None:
        report(store.settings, packages_quarantined=25)
        assert found(store) == {}
        report(store.settings, packages_quarantined=26)
        assert found(store)["quarantined"] == {"run": NIGHT, "packages": 26, "above": 25}

    def test_a_release_that_waits(self, store: Store) -> None:
        folder = store.settings.releases_dir / "1"
        folder.mkdir(parents=True)
        os.utime(folder, (MORNING.timestamp() - 13 * 3600,) * 2)
        assert found(store)["delivery_waits"] == {"release": 1, "for": "approval or publication", "hours": 13}

    def test_pages_of_a_delivery_that_wait(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        record = namedtuple("Record", "source_id file_name loaded_at")
        early, late = MORNING - timedelta(hours=13), MORNING - timedelta(hours=1)
        pages = [paging.Waiting(record("ncmec", "n.xml", at.isoformat()), "gap") for at in (early, late)]  # type: ignore[arg-type]
        monkeypatch.setattr(building, "waiting_pages", lambda settings: pages)
        facts = found(store)["delivery_waits"]
        assert (facts["source"], facts["pages"]) == ("ncmec", 1)

    def test_the_disk_is_nearly_full(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conditions.shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**40 // 20))
        assert found(store)["disk"] == {"free_percent": 5.0, "free_gib": 51.2}

    def test_the_audit_log_or_its_anchors(self, store: Store) -> None:
        assert found(store) == {} and marks.get(store.settings, conditions.AUDIT_CHECKED)
        (store.settings.home / "audit-anchors.jsonl").write_text('{"seq": 1}\n')
        assert found(store, MORNING + timedelta(hours=1)) == {}  # it is not time to look again
        marks.put(store.settings, conditions.AUDIT_CHECKED, (MORNING - timedelta(days=2)).isoformat())
        assert found(store)["audit"] == {"error": "IntegrityError"}

    def test_the_anchors_are_gone_after_a_published_night(self, store: Store) -> None:
        run = case_night()
        commit(store, run, assessments=[assessment(1)])
        stage.run(store.settings, run)
        assert found(store) == {}
        (store.settings.home / "audit-anchors.jsonl").unlink()
        assert found(store, MORNING + timedelta(days=2))["audit"] == {"error": "IntegrityError"}

    def test_a_run_that_failed_until_it_has_ended_well(self, store: Store) -> None:
        (store.settings.runs_dir / NIGHT / "report.json").unlink()
        watching.run_failed(store, NIGHT, "nightly_triage", ["match"])
        watching.run_failed(store, NIGHT, "nightly_triage", ["match"])
        assert found(store, MORNING.replace(hour=5)) == {
            "night_failed": {"run": NIGHT, "dag": "nightly_triage", "failed": "match"}
        }
        report(store.settings)
        at = store.clock().timestamp() + 60
        os.utime(store.settings.runs_dir / NIGHT / "report.json", (at, at))
        assert found(store) == {}

    def test_the_command_raises_it_too(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        def damaged(settings: Settings, night: Night) -> Iterator[StageReport]:
            raise IntegrityError("planted")
            yield

        monkeypatch.setattr(stages, "run_night", damaged)
        environment = {"TRIAGE_HOME": str(store.settings.home)}
        done = CliRunner(env=environment).invoke(triage, ["night", "run", "--run-id", "trial"], standalone_mode=False)
        assert isinstance(done.exception, IntegrityError)
        assert [a.facts["run"] for a in alarms.open_ones(store)] == ["trial"]

    def test_no_other_kind_can_be_raised(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no kind"):
            alarms.raise_(store, Condition("weather", "weather"))
        assert set(alarms.KINDS) == set(alarms.REMEDIES) == {*conditions.FOUND, "audit", "night_failed"}


class TestTelling:
    def test_each_is_told_once_when_it_begins_and_once_when_it_is_over(
        self, store: Store, mailbox: tuple[Mailbox, int], hook: int
    ) -> None:
        box, port = mailbox
        token = store.settings.home / "token"
        token.write_text("synthetic-token\n")
        store.settings = replace(
            store.settings, alarm_smtp=f"127.0.0.1:{port}", alarm_smtp_tls=False, alarm_to="operator@force.invalid",
            alarm_webhook=f"http://127.0.0.1:{hook}/alarm", alarm_token_file=token,
        )  # fmt: skip
        report(store.settings, packages_quarantined=40)
        assert watching.look(store, MORNING) == {"raised": 1, "closed": 0, "told": 1}
        assert watching.look(store, MORNING) == {"raised": 0, "closed": 0, "told": 0}
        report(store.settings)
        assert watching.look(store, MORNING) == {"raised": 0, "closed": 1, "told": 1}
        assert [letter["subject"] for letter in box.letters] == [
            "[triage 42] Many packages are in quarantine",
            "[triage 42] Over: Many packages are in quarantine",
        ]
        assert box.letters[0]["to"] == "operator@force.invalid"
        assert f"run: {NIGHT}" in box.letters[0].get_content() and "packages: 40" in box.letters[0].get_content()
        assert [(said, body["state"]) for said, body in Hook.posted] == [
            ("Bearer synthetic-token", s) for s in ("begun", "over")
        ]
        assert Hook.posted[0][1]["facts"] == {"run": NIGHT, "packages": 40, "above": 25}

    @pytest.mark.parametrize("kind", sorted(alarms.KINDS))
    def test_every_kind_goes_through_both_ways(
        self, store: Store, mailbox: tuple[Mailbox, int], hook: int, kind: str
    ) -> None:
        box, port = mailbox
        changed = replace(store.settings, alarm_smtp=f"127.0.0.1:{port}", alarm_smtp_tls=False, alarm_to="o@force.invalid", alarm_webhook=f"http://127.0.0.1:{hook}/")  # fmt: skip
        store.settings = changed
        alarms.raise_(store, Condition(kind, f"{kind}:x", {"run": NIGHT}))
        assert watching.tell(store, MORNING) == 1
        assert (
            alarms.KINDS[kind] in box.letters[0].get_content() and alarms.REMEDIES[kind] in box.letters[0].get_content()
        )
        assert Hook.posted[0][1]["kind"] == kind

    def test_what_cannot_be_sent_is_kept_and_tried_again(self, store: Store, hook: int) -> None:
        store.settings = replace(store.settings, alarm_webhook=f"http://127.0.0.1:{hook}/")
        report(store.settings, packages_quarantined=40)
        Hook.status = 500
        assert watching.look(store, MORNING)["told"] == 0
        Hook.status = 204
        assert watching.look(store, MORNING)["told"] == 1

    @pytest.mark.parametrize("down", ["mail", "webhook"])
    def test_a_way_that_is_down_silences_no_other_and_repeats_none(
        self, store: Store, mailbox: tuple[Mailbox, int], hook: int, down: str
    ) -> None:
        box, port = mailbox
        if down == "mail":
            with socket.socket() as probe:  # nobody listens there once it is closed
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        else:
            Hook.status = 500
        store.settings = replace(store.settings, alarm_smtp=f"127.0.0.1:{port}", alarm_smtp_tls=False, alarm_to="o@force.invalid", alarm_webhook=f"http://127.0.0.1:{hook}/")  # fmt: skip
        report(store.settings, packages_quarantined=40)
        assert [watching.look(store, MORNING)["told"] for _ in range(2)] == [1, 0]
        assert (len(box.letters), len(Hook.posted)) == ((0, 1) if down == "mail" else (1, 1))
        failed = ways.send(store.settings, ways.Message("s", "t\n", {"kind": "test"}))
        assert list(failed) == [down]

    def test_secrets_that_nobody_filled_in_are_not_used(
        self, store: Store, mailbox: tuple[Mailbox, int], hook: int, tmp_path: Path
    ) -> None:
        box, port = mailbox
        empty = tmp_path / "empty"
        empty.touch()
        changed = replace(store.settings, alarm_smtp=f"127.0.0.1:{port}", alarm_smtp_tls=False, alarm_to="o@force.invalid", alarm_webhook=f"http://127.0.0.1:{hook}/", alarm_password_file=empty, alarm_token_file=empty)  # fmt: skip
        assert ways.send(changed, ways.Message("s", "t\n", {"kind": "test"})) == {}
        assert len(box.letters) == 1 and Hook.posted[0][0] == ""
        filled = tmp_path / "filled"
        filled.write_text("user:synthetic\n")
        # this server takes no passwords, and so a letter with one fails: it was offered
        assert list(ways.send(replace(changed, alarm_password_file=filled), ways.Message("s", "t\n", {}))) == ["mail"]

    def test_a_mail_server_without_tls_is_refused_unless_said(self, store: Store, mailbox: tuple[Mailbox, int]) -> None:
        box, port = mailbox
        store.settings = replace(store.settings, alarm_smtp=f"127.0.0.1:{port}", alarm_to="o@force.invalid")
        alarms.raise_(store, Condition("disk", "disk:home"))
        assert watching.tell(store, MORNING) == 0 and box.letters == []

    def test_a_password_goes_to_a_mail_server_whose_certificate_is_checked(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        certificate, key = self_signed()
        (tmp_path / "certificate.pem").write_text(certificate)
        (tmp_path / "key.pem").write_text(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
        given: list[tuple[bytes, bytes]] = []

        def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            given.append((data.login, data.password))
            return AuthResult(success=True)

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        box, password = Mailbox(), tmp_path / "password"
        password.write_text("watch:synthetic:word\n")
        server = Controller(
            box, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, authenticator=check,
            auth_required=True,
        )  # fmt: skip
        server.start()
        try:
            settings = replace(store.settings, alarm_smtp=f"localhost:{port}", alarm_to="o@force.invalid", alarm_password_file=password)  # fmt: skip
            told = ways.Message("s", "t\n", {"kind": "test"})
            with pytest.raises(DependencyError, match="SSLCertVerificationError"):
                ways.send(settings, told)
            assert given == [] and box.letters == []
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
            assert ways.send(settings, told) == {}
        finally:
            server.stop()
        assert given == [(b"watch", b"synthetic:word")] and len(box.letters) == 1

    def test_half_a_way_is_an_error(self, store: Store) -> None:
        with pytest.raises(SettingsError, match="belong together"):
            ways.configured(replace(store.settings, alarm_smtp="127.0.0.1:25"))
