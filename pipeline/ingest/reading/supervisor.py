"""This side of the limited process: open the files of a package, ask what is in them, judge the answer.

A package of one landing folder is never read by a process that has read one of another, so that what one sender wrote
cannot speak of, or learn from, what another delivered. A process that dies, takes too long or answers rubbish is replaced,
and the package that it had is returned for that reason; the others go on.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline import cputime
from pipeline import policy as policies
from pipeline.errors import DependencyError
from pipeline.fingerprint.outcome import Digests
from pipeline.fingerprint.sandbox.layers import Reached
from pipeline.fingerprint.sandbox.spawner import Child, ForkServer, ServerLostError
from pipeline.ingest import sources
from pipeline.ingest.landing import completeness, discovery
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reading import wire
from pipeline.ingest.reading.questions import PackageQuestion, SentQuestion
from pipeline.ingest.reading.worker import NO_MEMORY, judge
from pipeline.ingest.reports.draft import KIND_WORDS, Draft
from pipeline.ingest.reports.report import FoundReport
from pipeline.ingest.rules import IngestRules
from pipeline.ingest.sources.common import ROLES
from pipeline.ingest.writing import masking
from pipeline.locator import Locator
from pipeline.settings import Settings

PROGRAM = "pipeline.ingest.reading.worker"
GREETING_SECONDS = 30.0
ATTEMPTS = 2
"""A package whose process was killed from outside is asked of another once more."""
LOSSES = 5
"""Fork servers that may be lost before this gives up: something outside is killing them."""


@dataclass
class Contents:
    """What the reader says of a package besides its members: what its lists promise, why it is not complete yet, its report
    or why there is none, and how many bytes all of that was."""

    wanted: completeness.ListedDigests = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    report: FoundReport | None = None
    reasons: list[str] = field(default_factory=list)
    size: int = 0


class _EndedError(Exception):
    """The process is to be replaced; the text is the reason for which the package is returned."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


@dataclass
class PackageReading:
    """Limited processes for one run of ingest, one at a time. A context manager. `deaths` counts them by reason."""

    settings: Settings
    rules: IngestRules
    deaths: dict[str, int] = field(default_factory=dict)
    reached: Reached | None = None
    """Layers of isolation that held in every process."""
    resident_kib: int = 0
    """The most memory that one of them had resident."""
    _server: ForkServer | None = None
    _child: Child | None = None
    _folder: str = ""
    _asked: int = 0
    _losses: int = 0

    def __enter__(self) -> PackageReading:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        if self._server is not None:
            self._server.close()
            self._server = None

    def read(self, questions: Sequence[PackageQuestion]) -> list[Contents]:
        """Have packages read as far as they are listed; fills in their members, faults and waits. Answers in the order of the
        questions. Several wait at a process at once, so that neither side sleeps while the other works.

        Raises DependencyError when no process can be started, or in strict mode one that is not isolated enough.
        """
        found: dict[int, Contents] = {}
        left: deque[tuple[int, PackageQuestion]] = deque()
        for place, question in enumerate(questions):
            if question.texts:
                left.append((place, question))
            else:  # by names alone
                wanted, missing, _, reasons = judge(question.package, self.rules.report, overdue=question.overdue)
                found[place] = Contents(wanted, missing, None, reasons)
        tries = 0  # of the question that is the first
        while left:
            answers, unanswered, ended = self._exchange([question for _, question in left])
            for contents in answers:
                found[left.popleft()[0]], tries = contents, 0
            if ended is None:
                continue
            reason = str(ended)
            self.deaths[reason] = self.deaths.get(reason, 0) + 1
            tries += 1
            again = ended.again and tries < ATTEMPTS
            for asked in unanswered[0 if again else 1 :]:
                asked.take_back()
            if not again:
                place, question = left.popleft()
                question.package.faults.append(reason)
                found[place], tries = Contents(), 0
        return [found[place] for place in range(len(questions))]

    def _exchange(
        self, questions: Sequence[PackageQuestion]
    ) -> tuple[list[Contents], list[SentQuestion], _EndedError | None]:
        """Ask as many of the questions as may wait at one process, and take its answers. Where it ends at one: those that it gave
        before, the questions that have none, and how it ended at the first of these."""
        sent: list[SentQuestion] = []
        answers: list[Contents] = []
        try:
            for question in questions:
                if not self._ask(question, sent):
                    break
            for asked in sent:
                answers.append(self._answer(asked.question.package))
        except _EndedError as ended:
            return answers, sent[len(answers) :], ended
        return answers, [], None

    def _ask(self, question: PackageQuestion, sent: list[SentQuestion]) -> bool:
        """Send a question behind those that were `sent` to the process; False when it has to wait until these are answered.
        Raises _EndedError when the process has died and none waits for an answer of it."""
        package = question.package
        limits = self.rules.data["reader"]
        if sent and (package.landing_folder != self._folder or self._asked >= limits["packages"]):
            return False
        asked = SentQuestion(question, len(package.faults), len(package.waits))
        opened, descriptors = discovery.open_texts(package, question.texts)
        try:
            data = wire.encode(question.ask(opened))
            asked.size, asked.files = len(data), len(descriptors)
            if sent and not asked.fits(sent):
                asked.take_back()
                return False
            child = self._process(package.landing_folder)
            sent.append(asked)
            self._asked += 1
            child.channel.settimeout(limits["wall_seconds"])
            wire.send(child.channel, [data], descriptors)
        except TimeoutError:
            self._end()
            raise _EndedError("reading it takes too long") from None
        except OSError:
            if len(sent) > 1:  # the first that has no answer is the one at which it died
                return False
            raise self._died() from None
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _answer(self, package: Package) -> Contents:
        """The next answer of the process, about `package`. Raises _EndedError."""
        limits = self.rules.data["reader"]
        child = self._child
        if child is None:
            raise ValueError("nothing was asked")
        try:
            said = wire.receive(child.channel, limits["answer_bytes"], time.monotonic() + limits["wall_seconds"])
            if said is None:
                raise self._died()
            if len(said[0]) != 2:
                raise wire.ReadingRubbishError("length")
            answer, content = said[0]
            return self._contents(package, wire.decode(answer), content, len(answer))
        except TimeoutError:
            self._end()
            raise _EndedError("reading it takes too long") from None
        except wire.ReadingRubbishError:
            self._end()
            raise _EndedError("what it holds made the process that reads packages answer wrongly") from None
        except OSError:
            raise self._died() from None

    def _died(self) -> _EndedError:
        """The process has hung up: how did it end?"""
        code = self._end(hung_up=True)
        if code == NO_MEMORY:
            return _EndedError("reading it takes too much memory")
        if code == -signal.SIGXCPU:
            return _EndedError("reading it takes too much processor time")
        return _EndedError("reading it ended the process that reads packages", again=code in {None, -signal.SIGKILL})

    # -- the answer --------------------------------------------------------------------------------------------------

    def _contents(self, package: Package, answer: Any, content: bytes, size: int) -> Contents:
        """Take over what was said. Raises RubbishError for what cannot be."""
        if package.kind == "folder":
            asked = package.by_name
            for listed in answer.members:
                if listed.name not in asked or listed.read is None:
                    raise wire.ReadingRubbishError("members")
                asked[listed.name].read, asked[listed.name].size = _digests(listed.read), listed.size
        else:
            alone = package.kind == "report"
            if len(answer.members) > self.rules.data["caps"]["members"]:
                raise wire.ReadingRubbishError("members")
            for listed in answer.members:
                if alone != (listed.stored is None):
                    raise wire.ReadingRubbishError("members")
                member = Member(listed.name, listed.size, Locator(package.container, listed.stored))
                member.read = _digests(listed.read) if listed.read else None
                package.members.append(member)
        package.faults += answer.faults
        package.waits += answer.waits
        package.left_out += answer.left_out
        report = self._report(package, answer.report, content) if answer.report is not None else None
        return Contents(dict(answer.wanted), answer.missing, report, answer.reasons, size + len(content))

    def _report(self, package: Package, told: Any, content: bytes) -> FoundReport:
        reader = next((r for r in sources.READERS if r.name == told.reader), None)
        member = package.members[told.member] if told.member < len(package.members) else None
        if reader is None or member is None or member.read is None:
            raise wire.ReadingRubbishError("report")
        if hashlib.sha256(content).digest() != member.read.sha256:
            raise wire.ReadingRubbishError("content")
        draft = Draft(self.rules.report.phone_region, self.rules.report.caps["original_characters"])
        for name in wire.SAME:
            setattr(draft, name, getattr(told, name))
        draft.viewed = set(told.viewed)
        self._check(draft)
        if told.masked:
            found = masking.covert(draft.personas)
            draft.covert = found.within if found else None
        member.content = content
        return FoundReport(member, reader, draft, member.sha256())

    def _check(self, draft: Draft) -> None:
        """What the types alone do not say: places that are there, words of closed lists. Raises RubbishError."""
        persons, files = len(draft.subjects), len(draft.files)
        rows = persons + files + len(draft.identifiers) + len(draft.narratives)
        sound = (
            rows <= self.rules.data["caps"]["rows"]
            and all(s["role"] in ROLES for s in draft.subjects)
            and all(i["kind"] in KIND_WORDS and _is_place(i["subject"], persons) for i in draft.identifiers)
            and all(
                f["name"] in self.rules.report.facts
                and _is_place(f["subject"], persons)
                and _is_place(f["file"], files)
                for f in draft.facts
            )
            and all(mark in draft.times for mark, value in draft.referral.items() if mark.endswith("_at") and value)
        )
        if not sound:
            raise wire.ReadingRubbishError("report")

    # -- processes ---------------------------------------------------------------------------------------------------

    def _process(self, folder: str) -> Child:
        """The process for packages of this landing folder; another when it has read those of another, or many."""
        if self._child is not None and (folder != self._folder or self._asked >= self.rules.data["reader"]["packages"]):
            self._end()
        while self._child is None:
            try:
                self._child = self._fork()
            except (ServerLostError, OSError, wire.ReadingRubbishError, msgspec.DecodeError) as error:
                self._losses += 1
                self._server = None
                if self._losses > LOSSES:
                    raise DependencyError(
                        "The process that reads packages was ended several times from outside.", "See the system's log."
                    ) from error
        self._folder = folder
        return self._child

    def _fork(self) -> Child:
        if self._server is None:
            self._server = self._start()
        child = self._server.fork()
        self._asked = 0
        hello = wire.receive(child.channel, 64, time.monotonic() + GREETING_SECONDS)
        if hello is None:
            self._server.end(child)
            raise ServerLostError
        reached = Reached(*msgspec.json.decode(hello[0][0], type=tuple[int, int]))
        self.reached = reached.common(self.reached)
        rules = self._isolation()["sandbox"]
        missing = reached.missing(rules["required"], rules["landlock_abi"])
        if self.settings.sandbox == "strict" and missing:
            self._server.end(child)
            raise DependencyError(
                f"The process that reads packages cannot be isolated as TRIAGE_SANDBOX=strict demands: {', '.join(missing)} missing.",
                "Allow it on this machine, or set TRIAGE_SANDBOX=auto, which uses what is there and records it.",
            )
        return child

    def _isolation(self) -> dict[str, Any]:
        """policy/fingerprint.yaml, which says how a process is isolated."""
        return policies.load(self.settings, "fingerprint").data

    def _start(self) -> ForkServer:
        isolation = self._isolation()
        config: dict[str, Any] = {
            "policy": {
                "limits": self.rules.data["reader"],
                "rules": self.rules.data,
                "facts": sorted(self.rules.report.facts),
            },
            "decoder": None,
            "program": PROGRAM,
        }
        server = ForkServer(
            config,
            bubblewrap=isolation["sandbox"]["bubblewrap"],
            home=self.settings.home,
            hidden=[self.settings.landing_dir.resolve(), self.settings.home.resolve()],
            stderr_bytes=isolation["limits"]["stderr_bytes"],
        )
        cputime.count_worker(server.start_cpu_seconds)
        return server

    def _end(self, *, hung_up: bool = False) -> int | None:
        """Kill and collect the process; its exit code or minus the signal, None when that cannot be known any more."""
        child, self._child = self._child, None
        if child is None or self._server is None:
            return None
        try:
            ending = self._server.end(child, hung_up=hung_up)
        except ServerLostError:
            self._server = None
            self._losses += 1
            return None
        cputime.count_worker(ending.cpu_seconds)
        self.resident_kib = max(self.resident_kib, ending.resident_kib)
        return ending.code


def _is_place(place: int | None, count: int) -> bool:
    return place is None or place < count


def _digests(read: wire.Read) -> Digests:
    return Digests(read.sha256, read.md5, read.sha1, read.size, read.sha512)
