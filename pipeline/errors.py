"""Every error that a user can meet, each with what happened, what to do, and an exit code.

TriageError                 1  something failed that is not the user's doing
├── UsageError              2  the command, a path or a value given to it is wrong
│   └── SettingsError       2  an environment variable or a policy file is wrong
├── DependencyError         3  a database, a library or a kernel feature is missing
│   └── BusyError           3  it is there and has no room at this moment: try again in a few seconds
├── IntegrityError          4  stored data is not what was written: refuse to use it
│   └── CanaryError         4  the matching core missed or invented a canary
├── ReconciliationError     5  what went in is not what came out
├── InputError              6  a file from outside cannot be read; it is reported or quarantined
├── ConflictError           7  somebody else changed or holds it
└── PermissionDeniedError   8  the signed-in person may not do this
"""


class TriageError(Exception):
    """Base of all. `message` says what happened, `remedy` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(TriageError):
    exit_code = 2


class SettingsError(UsageError):
    exit_code = 2


class DependencyError(TriageError):
    exit_code = 3


class BusyError(DependencyError):
    exit_code = 3


class IntegrityError(TriageError):
    exit_code = 4


class CanaryError(IntegrityError):
    exit_code = 4


class ReconciliationError(TriageError):
    exit_code = 5


class InputError(TriageError):
    exit_code = 6


class ConflictError(TriageError):
    exit_code = 7


class PermissionDeniedError(TriageError):
    exit_code = 8
