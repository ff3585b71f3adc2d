"""What to do about a database that cannot be reached, by what it says."""

from __future__ import annotations

_REMEDIES = {
    "rejected SSL upgrade": "let the server speak TLS (ssl = on), or change sslmode in its url",
    "mismatch, certificate is not valid": "use a name in its url that is in its certificate",
    "CERTIFICATE_VERIFY_FAILED": "let sslrootcert in its url name the file of its CA",
    "No such file": "correct the files or the socket that its url names",
    "`sslmode` parameter": "correct its url",
    "unrecognized configuration parameter": "correct the options in its url",
}


def first_line(error: BaseException) -> str:
    """What an error says, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def remedy(error: BaseException, otherwise: str) -> str:
    """otherwise: where nothing better is known."""
    said = str(error)
    return next((what for part, what in _REMEDIES.items() if part in said), otherwise)
