"""What the processes of one daemon say of themselves, heard as a service manager hears it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid (unix(7))


class Hearing:
    """A socket without a file; the kernel says who sent what, so that nobody can speak for another.
    address: for NOTIFY_SOCKET. heard: told of each message, and the pid that it came from."""

    def __init__(self, heard: Callable[[int, dict[str, str]], None]) -> None:
        self._heard = heard
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("")  # the kernel chooses a free abstract name
        self.address = "@" + self._socket.getsockname()[1:].decode()
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                text, beside, _, _ = self._socket.recvmsg(
                    4096, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                return
            for _, kind, data in beside:
                if kind == socket.SCM_CREDENTIALS:
                    pid = _CREDENTIALS.unpack(data)[0]
                    lines = (
                        one.partition("=") for one in text.decode(errors="replace").split("\n")
                    )
                    self._heard(pid, {name: value for name, _, value in lines})
