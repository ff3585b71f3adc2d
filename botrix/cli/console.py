"""Who sits at the terminal, for the audit record."""

from __future__ import annotations

import os
import pwd

from botrix.audit import Actor


def console() -> Actor:
    """The user of this process, by number where it has no name (in a container, say)."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return Actor(f"console:{name}", os.uname().nodename)
