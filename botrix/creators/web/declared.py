"""The settings that directories behind HTTP share."""

from __future__ import annotations

from botrix.creators.declared import From, Setting, Type

TOKEN_WAY, USER_WAY, CLIENT_WAY = "token", "user and password", "client of OAuth 2.0"
NETWORKS = Setting(
    "networks", "Those besides public ones that may be called, like 10.0.0.0/8.",
    Type.LIST, default=[], entered=From.DEFAULT_TENANT,
)  # fmt: skip
TLS = (
    Setting(
        "ca_file", "PEM with the only authorities to trust, instead of the system's.", Type.FILE,
        entered=From.DEFAULT_TENANT,
    ),
    Setting(
        "client_cert_file", "PEM, the operator's certificate.", Type.FILE,
        entered=From.DEFAULT_TENANT,
    ),
    Setting(
        "client_key_file", "PEM, its key, without a password.", Type.FILE,
        entered=From.DEFAULT_TENANT,
    ),
)  # fmt: skip
TOKEN = Setting("token", "The operator's bearer token.", required=True, secret=True)
USERNAME = Setting("username", "The operator's user name.", required=True, ways=(USER_WAY,))
PASSWORD = Setting(
    "password", "The operator's password.", required=True, secret=True, ways=(USER_WAY,)
)
CLIENT = (
    Setting(
        "token_url", "Where tokens are had, like https://HOST/oauth/token.", Type.URL,
        required=True, ways=(CLIENT_WAY,),
    ),
    Setting("client_id", "Of the operator's client.", required=True, ways=(CLIENT_WAY,)),
    Setting(
        "client_secret", "Of the operator's client.", required=True, secret=True,
        ways=(CLIENT_WAY,),
    ),
    Setting("scope", "What a token is asked for, if the server wants it said.", ways=(CLIENT_WAY,)),
    Setting(
        "client_auth", "How the client shows its secret: basic, as most servers have it, or body.",
        default="basic", choices=("basic", "body"), ways=(CLIENT_WAY,),
    ),
)  # fmt: skip


def reached(of: str) -> tuple[Setting, ...]:
    """The url, and what may be reached by it. of: what it is the url of, and how it looks."""
    return (
        Setting("url", of, Type.URL, required=True),
        Setting(
            "allow_http", "Whether passwords may travel in the clear, off this machine too.",
            Type.BOOLEAN, default=False, entered=From.DEFAULT_TENANT,
        ),
        NETWORKS,
        Setting(
            "traceparent", "Whether it is told the trace of each request (W3C Trace Context).",
            Type.BOOLEAN, default=False,
        ),
    )  # fmt: skip


URL = reached("Of its interface, like https://HOST/path.")
