"""Everything that can go wrong and has a name.

BotrixError            one line for people: what happened, to which thing, what to do next
├── SettingsError      a setting is missing or cannot be used
├── InvalidInput       a request, a row or an entry cannot be used as it is
├── NotFound           no such job, account or directory
├── Conflict           the thing is in a state that does not allow this
├── Gone               it was there, and will not be again
├── LedgerError
│   ├── LedgerDown     the database does not answer, or refuses writes for now
│   │   └── OutcomeUnknown  a commit was sent and its answer was lost
│   └── SessionLost    this worker's session was declared lost; nothing was written
├── LineDown           the line does not answer, or refuses writes
├── AddressRefused     an address must not be called from here
└── DirectoryError     a directory cannot be used (its creator says why)
"""


class BotrixError(Exception):
    """Base of all errors that are shown to people as one line."""


class SettingsError(BotrixError):
    """A setting is missing or cannot be used."""


class InvalidInput(BotrixError):
    """A request, a roster row or a line entry cannot be used as it is."""


class NotFound(BotrixError):
    """There is no such job, account or directory (or it belongs to another tenant)."""


class Conflict(BotrixError):
    """The thing is in a state that does not allow this."""


class Gone(BotrixError):
    """It was there, and will not be again."""


class LedgerError(BotrixError):
    """The ledger could not do what was asked."""


class LedgerDown(LedgerError):
    """The database does not answer, or refuses writes for now; ask again later."""


class OutcomeUnknown(LedgerDown):
    """A commit was sent and its answer was lost: it may or may not have happened."""


class SessionLost(LedgerError):
    """The session that asks was declared lost; nothing was written."""


class LineDown(BotrixError):
    """The line does not answer, or refuses writes."""


class AddressRefused(BotrixError):
    """An address must not be called from here; the message says what about it."""


class DirectoryError(BotrixError):
    """A directory cannot be used; the message says why."""
