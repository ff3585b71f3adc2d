"""Receives webhooks of Botrix on this machine, and prints those that are genuine.

    python docs/examples/webhook_receiver.py PORT FILE

FILE: what `botrix webhook add --json` said.
"""

import base64
import contextlib
import hmac
import json
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def genuine(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    ident, sent = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(sent)) > 300:
        return False  # somebody sends an old one again
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{ident}.{sent}.".encode() + body, "sha256")
    wanted = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(wanted, one) for one in headers["webhook-signature"].split())


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        good = genuine(SECRET, self.headers, body)
        self.send_response(204 if good else 401)
        self.end_headers()
        if good:
            print(self.headers["webhook-id"], json.loads(body)["type"], flush=True)


if __name__ == "__main__":
    SECRET = json.loads(Path(sys.argv[2]).read_text())["secret"]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print("waiting for messages", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
