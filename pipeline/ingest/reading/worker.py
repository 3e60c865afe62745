"""The limited process: reads one package after another, of one landing folder, and says what is in them.

It has no network, can open no file (what it reads comes as open descriptors) and write none, and has limits on memory,
processor time and descriptors. What is wrong with a package is part of its answer; an answer that cannot be given ends it.
"""

from __future__ import annotations

import gc
import math
import os
import resource
import socket
from typing import Any

from pipeline.fingerprint.sandbox import layers as sandbox
from pipeline.ingest import sources
from pipeline.ingest.landing import completeness, discovery
from pipeline.ingest.landing.discovery import Text
from pipeline.ingest.landing.package import Member, Package, plain_locator
from pipeline.ingest.reading import wire
from pipeline.ingest.reports import report
from pipeline.ingest.reports.report import FoundReport
from pipeline.ingest.reports.reportrules import ReportRules

MOST_ASKED = 1 << 26
NO_MEMORY = 71
"""Exit code of a process that came to its limit of memory."""


def load() -> None:
    """Before any fork: what every such process needs."""
    wire.answer_type()
    sources.of_kind("json")


def run(config: Any, outer: int, channel: int, stderr: int) -> None:
    """Take leave of the world, then serve requests until the channel closes."""
    limits = config.policy["limits"]
    reached = sandbox.confine(limits, outer=outer, keep=(channel,), stderr=stderr)
    gc.disable()  # a report makes some thousand objects and no cycles
    sock = socket.socket(fileno=channel)
    wire.send(sock, [wire.encode([reached.layers, reached.abi])])
    policy = config.policy["rules"]
    rules = ReportRules.of(policy, config.policy["facts"])
    while (asked := wire.receive(sock, MOST_ASKED)) is not None:
        [data], descriptors = asked
        used = math.ceil(sum(os.times()[:2]))
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (used + limits["cpu_seconds"], hard))
        try:
            answer, content = answered(wire.ASKED.decode(data), descriptors, policy, rules)
        except MemoryError:
            os._exit(NO_MEMORY)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        wire.send(sock, [answer, content])


def answered(ask: wire.Ask, descriptors: list[int], policy: dict[str, Any], rules: ReportRules) -> tuple[bytes, bytes]:
    """The answer about one package, and the bytes of its report."""
    package = Package(ask.landing_folder, ask.container, ask.kind, faults=list(ask.faults), waits=list(ask.waits))
    package.ready = ask.ready
    for name, size in ask.members:
        locator = plain_locator(f"{ask.container}/{name}")
        if locator is not None:
            package.members.append(Member(name, size, locator))
    discovery.fill(package, [Text(role, name, "") for role, name in ask.texts], descriptors, policy)
    wanted, missing, found, reasons = judge(package, rules, overdue=ask.overdue)
    answer = {
        "faults": package.faults[len(ask.faults) :],
        "waits": package.waits[len(ask.waits) :],
        "members": [_listed(m, wanted) for m in package.members if ask.kind != "folder" or m.read is not None],
        "left_out": package.left_out,
        "wanted": wanted,
        "missing": missing,
        "reasons": reasons,
        "report": None if found is None else _told(found, package),
    }
    content = found.member.content if found is not None else None
    return wire.encode(answer), content or b""


def judge(
    package: Package, rules: ReportRules, *, overdue: bool
) -> tuple[completeness.ListedDigests, list[str], FoundReport | None, list[str]]:
    """What the lists of a package promise, why it is not complete yet, its report, and why there is none. The report of one
    that still waits is read only when it is overdue."""
    wanted, missing = completeness.expected(package)
    waits = [*package.waits, *missing]
    if package.faults and not package.waits:
        waits = []  # waiting longer will not mend a hostile name or a link
    if package.members and (overdue or not waits):
        return wanted, missing, *report.find(package, rules)
    empty = not package.members and not package.faults and package.kind in {"folder", "archive"}
    return wanted, missing, None, ["it holds no files"] if empty else []


def _listed(member: Member, wanted: completeness.ListedDigests) -> wire.ListedMembers:
    read = None
    if member.read is not None:
        known = member.read
        long = b""
        if wanted.get(member.name, ("",))[0] == "sha512" and member.content is not None:
            long = completeness.sha512(member.content)
        read = wire.Read(known.sha256, known.md5, known.sha1, known.size, long)
    return wire.ListedMembers(member.name, member.size, member.locator.member, read)


def _told(found: FoundReport, package: Package) -> dict[str, Any]:
    draft = found.draft
    told = {name: getattr(draft, name) for name in wire.SAME}
    told |= {"member": package.members.index(found.member), "reader": found.reader.name}
    told |= {"viewed": sorted(draft.viewed), "masked": draft.covert is not None}
    return told
