"""Lets people into a JupyterHub by the passwords that Botrix gave them. README.md tells how.

Botrix keeps a hash of each password in the user's auth_state, which the hub encrypts. Put this file
beside jupyterhub_config.py; it needs nothing but JupyterHub.
"""

import asyncio
import hashlib
import hmac
import os

from jupyterhub.auth import Authenticator
from traitlets import default


class SeatAuthenticator(Authenticator):
    """Whoever knows the password of a user that Botrix created; nobody else."""

    @default("allow_all")
    def _everybody_who_has_a_password(self):
        return True

    @default("enable_auth_state")
    def _hashes_are_there(self):
        return True

    async def authenticate(self, handler, data):
        """None where the two do not belong together."""
        name = self.normalize_username(data.get("username", ""))
        user = handler.find_user(name)
        state = await user.get_auth_state() if user else None
        # A name that is not there takes as long as one that is.
        wanted = _hash(state) or f"scrypt:16384:8:5:{os.urandom(16).hex()}:{'00' * 64}"
        if not await asyncio.to_thread(_fits, wanted, data.get("password", "")):
            return None
        return {"name": name, "auth_state": await user.get_auth_state()}

    async def refresh_user(self, user, handler=None):
        """Whose password was taken away is asked for it again, after auth_refresh_age."""
        return bool(_hash(await user.get_auth_state()))


def _hash(state):
    ours = (state or {}).get("botrix") or {}
    return ours.get("password") or ""


def _fits(wanted, password):
    _, n, r, p, salt, made = wanted.split(":")
    n, r, p, salt = int(n), int(r), int(p), bytes.fromhex(salt)
    found = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=1 << 26)
    return hmac.compare_digest(found, bytes.fromhex(made))
