"""Invented cases for sample packages: plainly synthetic people, accounts, addresses of documentation, neutral texts.

A case is the same whatever form it is written in; `sample_forms` writes it. Nothing here describes abuse: texts are
numbered neutral sentences, and what a test or the risk model needs is stated as structured facts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.sample.media import Gallery, Picture

SERVICES = ("samplechat", "examplegram", "testtok", "demodrop")
POSTCODES = ("ZZ99 1AA", "ZZ99 2BB", "ZZ99 3CC", "ZZ98 1AA", "HG1 1ZZ", "PL1 1ZZ", "CF10 1ZZ")
"""Most sample cases belong to the demonstration force (area ZZ), some to others."""
PHONES = (
    "7700 900",
    "1632 960",
    "20 7946 0",
    "113 496 0",
    "114 496 0",
    "115 496 0",
    "116 496 0",
    "117 496 0",
    "118 496 0",
    "121 496 0",
    "131 496 0",
    "141 496 0",
    "151 496 0",
    "161 496 0",
    "191 498 0",
    "29 2018 0",
    "28 9649 6",
)
"""Ranges that Ofcom keeps free for drama: none of these numbers belongs to anybody."""


@dataclass
class Person:
    """An invented person."""

    number: int
    service: str
    ip: str
    port: int

    name = property(lambda self: f"Sample Person {self.number:05d}")
    username = property(lambda self: f"sample_user_{self.number:05d}")
    user_id = property(lambda self: f"{self.number:010d}")
    email = property(lambda self: f"person{self.number:05d}@example.org")
    phone = property(lambda self: f"+44 {PHONES[self.number // 1000 % len(PHONES)]}{self.number % 1000:03d}")
    device = property(lambda self: f"DEVICE-{self.number:08X}")


@dataclass
class SampleFile:
    """A media file of a case. `sent` false: only its hash is given."""

    name: str
    picture: Picture
    viewed: bool | None
    annotations: list[str]
    sent: bool = True


@dataclass
class SampleCase:
    """Everything that a form can say."""

    number: int
    reference: str
    suspect: Person
    postcode: str
    occurred: datetime
    steps: list[datetime]
    files: list[SampleFile] = field(default_factory=list)
    chat: list[tuple[datetime, str, str]] = field(default_factory=list)
    facts: dict[str, bool | None] = field(default_factory=dict)
    prior: str | None = None
    urgent: str | None = None
    filled: float = 1.0
    """Chance that an optional field is filled."""
    flawed: bool = False
    """Whether it is written with an address, a time and a telephone number that cannot be used."""


FACTS = (
    "access_to_children",
    "lives_with_children",
    "previous_contact_conviction",
    "previous_image_conviction",
    "registered_sex_offender",
    "position_of_trust",
    "grooming",
    "contact_offer",
    "live_offending",
    "distribution",
)


def person(rng: random.Random, number: int) -> Person:
    """Person `number`; one in ten shares an address of a carrier's network with others."""
    shared = rng.random() < 0.1
    ip = "100.64.7.9" if shared else f"198.51.{rng.randrange(100, 102)}.{rng.randrange(1, 255)}"
    return Person(number, rng.choice(SERVICES), ip, rng.randrange(1024, 65536))


def age(rng: random.Random) -> timedelta:
    """How long before the night a case came: half within a day, most of the rest within two weeks, a few are a backlog."""
    days, minutes = rng.random(), rng.randrange(1440)
    return timedelta(
        days=0 if days < 0.5 else 1 + int(days * 14) if days < 0.9 else 20 + int(days * 25), minutes=minutes
    )


def case(
    rng: random.Random, gallery: Gallery, number: int, day: datetime, *, people: list[Person], files: int | None
) -> SampleCase:
    """One invented case that came to the force before `day`, most within the last days, and happened some days before
    that. `files` fixes how many files it has."""
    came = day - age(rng)
    gaps = [timedelta(hours=rng.uniform(1, 26)) for _ in range(4)]
    occurred = came - sum(gaps, timedelta())
    steps = [occurred]
    for gap in gaps:
        steps.append(steps[-1] + gap)
    again = people and rng.random() < 0.15
    suspect = rng.choice(people[-20:]) if again else person(rng, gallery.seed * 100_000 + len(people) + 1)
    if suspect not in people:
        people.append(suspect)
    made = SampleCase(
        number,
        f"{gallery.seed * 10_000_000 + number}",
        suspect,
        rng.choices(POSTCODES, weights=(8, 8, 8, 8, 1, 1, 1))[0],
        occurred.replace(microsecond=0),
        [step.replace(microsecond=0) for step in steps],
        filled=rng.choice((0.3, 0.7, 1.0, 1.0)),
    )
    count = files if files is not None else rng.choice((0, 1, 1, 2, 3, 5, 8))
    for n in range(count):
        picture = gallery.pick(rng, number * 1009 + n)
        viewed = rng.choice((True, False, None))
        marks = [m for m in ("infant", "viral", "possibleSelfProduction") if rng.random() < 0.04]
        made.files.append(SampleFile(f"file_{number:05d}_{n:03d}.jpg", picture, viewed, marks))
    if made.files and rng.random() < 0.1:
        made.files[-1].sent = False
    for n in range(rng.randrange(0, 12)):
        who = suspect.username if n % 2 else "other participant"
        when = made.occurred + timedelta(minutes=n)
        made.chat.append((when, who, f"[synthetic message {number}-{n + 1}]"))
    for name in FACTS:
        if rng.random() < 0.25:
            made.facts[name] = rng.choice((True, False, False, None))
    if rng.random() < 0.08:
        made.urgent = f"[synthetic reason for urgency {number}]"
    return made
