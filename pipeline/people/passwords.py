"""Password hashes: argon2id with the cost that policy/cases.yaml sets."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from pipeline.errors import BusyError, IntegrityError, UsageError
from pipeline.store.rules import CaseRules

AT_ONCE = 2
"""Password hashes that a process makes at the same time: each takes 64 MiB and a processor for a while."""
OF_ONE_ADDRESS = 1
"""Of these from one address, so that one that tries many passwords leaves room for others."""
PATIENCE_SECONDS = 5.0
STEPS_BACK = 3
"""By how much hashes are less urgent than all else of the process (niceness): each is made by several threads, and at equal
rights a page would wait behind all of them. Many steps would leave sign-ins nothing beside a night that works."""
_FREE = threading.BoundedSemaphore(AT_ONCE)
_BUSY: Counter[str] = Counter()
_LOCK = threading.Condition()
_Result = TypeVar("_Result")
LONGEST = 1024
"""Characters of a password; longer ones are refused before they cost anything."""


def hash_password(policy: CaseRules, password: str) -> str:
    """Argon2id hash. Raises UsageError for a password shorter than the policy demands or longer than LONGEST."""
    least = policy.data["passwords"]["min_length"]
    if not least <= len(password) <= LONGEST:
        raise UsageError(f"A password has {least} to {LONGEST} characters.", "Three random words make a good one.")
    return _stepping_back(_hasher(policy).hash, password)


@contextmanager
def one_of_few(address: str) -> Iterator[None]:
    """Wait for one's turn to make a hash. Raises BusyError when it does not come within PATIENCE_SECONDS."""
    with _LOCK:
        if not _LOCK.wait_for(lambda: _BUSY[address] < OF_ONE_ADDRESS, PATIENCE_SECONDS):
            raise BusyError("Too many people are signing in.", "Try again in a few seconds.")
        _BUSY[address] += 1
    try:
        if not _FREE.acquire(timeout=PATIENCE_SECONDS):
            raise BusyError("Too many people are signing in.", "Try again in a few seconds.")
        try:
            yield
        finally:
            _FREE.release()
    finally:
        with _LOCK:
            _BUSY[address] -= 1
            if not _BUSY[address]:
                del _BUSY[address]
            _LOCK.notify_all()


def verify(policy: CaseRules, stored: str | None, password: str) -> bool:
    """Whether the password is right. An account without one, or none at all (`stored` None), takes as long and is wrong.

    Raises IntegrityError when the stored hash is not one.
    """
    if len(password) > LONGEST:
        return False
    hasher = _hasher(policy)
    try:
        _stepping_back(hasher.verify, stored or _nobody(hasher), password)
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError) as error:
        raise IntegrityError("A stored password hash is damaged.", "Set a new password for the account.") from error
    return stored is not None


def needs_rehash(policy: CaseRules, stored: str) -> bool:
    """Whether the hash was made with another cost than the policy's present one."""
    return _hasher(policy).check_needs_rehash(stored)


def _stepping_back(work: Callable[..., _Result], *arguments: str) -> _Result:
    """Do it in a thread of its own that gives way to others; the threads that a hash is made with inherit that."""
    return _threads().submit(work, *arguments).result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password", initializer=_step_back)


def _step_back() -> None:
    # Linux takes 0 for the calling thread, not for its process
    os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + STEPS_BACK))


def _hasher(policy: CaseRules) -> PasswordHasher:
    cost = policy.data["passwords"]
    return _cached(cost["time_cost"], cost["memory_kib"], cost["parallelism"])


@cache
def _cached(time_cost: int, memory_kib: int, parallelism: int) -> PasswordHasher:
    return PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)


@cache
def _nobody(hasher: PasswordHasher) -> str:
    return hasher.hash("nobody has this password")
