"""All settings, read once. The only reader of the environment; its repr shows no secret."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from botrix.errors import SettingsError

MOST_PROCESSES = 64
_SOCKET_PATH_LIMIT = 107  # sun_path of sockaddr_un, less its closing zero (unix(7))


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds, but for days, of which 0 are for ever. redis_url: as `botrix.line.url`
    reads it; ledger_url: `sqlite:///FILE`, or `postgresql://…` with the options of libpq.
    sealing_keys: a ring, in place of its file. backlog: jobs that may be open; 0 for any number.
    metrics_port: of a worker's own `/metrics`; 0 for none. processes: of one worker daemon.
    log_format: json or text; "": as it suits where it goes. The endpoints are read by the SDK of
    OpenTelemetry, with all else that it has; here they only tell whether spans are wanted.
    """

    data: Path
    ledger_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    worker_id: str = "worker-1"
    processes: int = 1
    max_retries: int = 3
    health_check_interval: float = 30.0
    lease: float = 15.0
    beat: float = 5.0
    grace: float = 20.0
    request_timeout: float = 30.0
    directory_patience: float = 86_400.0
    webhook_timeout: float = 15.0
    backoff_base: float = 1.0
    backoff_cap: float = 300.0
    capacity: int = 2000
    accept_raw: bool = True
    email_domain: str = "botrix.invalid"
    log_level: str = "INFO"
    log_format: str = ""
    traces_exporter: str = ""
    traces_endpoint: str = field(default="", repr=False)
    otlp_endpoint: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    trusted_peers: tuple[IPv4Network | IPv6Network, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    sealing_key: Path | None = None
    sealing_keys: str = field(default="", repr=False)
    password_days: int = 30
    retention_days: int = 0
    health_file: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    backlog: int = 0
    notify_socket: str = ""
    watchdog: float = 0.0
    journal_stream: str = ""
    no_color: bool = False

    @property
    def settled(self) -> float:
        """After so many seconds no call of a lease that was given up can land any more."""
        return self.lease + self.request_timeout

    @property
    def traces(self) -> str:
        """Where spans go; "" for nowhere."""
        wanted = self.traces_exporter.strip().lower()
        if not wanted and (self.traces_endpoint or self.otlp_endpoint):
            wanted = "otlp"
        return "" if wanted == "none" else wanted

    @property
    def sealing_key_file(self) -> Path:
        return self.sealing_key or self.data / "sealing.key"

    @property
    def local_directory_file(self) -> Path:
        return self.data / "local-directory.sqlite"

    @property
    def line_socket(self) -> Path:
        return line_socket(self.data)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """From `given` (those that are not None), else the environment, else the defaults.

        Raises SettingsError for a value that cannot be used.
        """
        env = os.environ if environ is None else environ
        values = {k: v for k, v in given.items() if v is not None}
        for name, (variable, convert) in _VARIABLES.items():
            text = _given(env, variable)
            if name not in values and text:
                values[name] = _converted(variable, text, convert)
        if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            values.pop("watchdog", None)  # it is a parent's (sd_watchdog_enabled(3))
        if values.get("sealing_keys") and values.get("sealing_key"):
            raise SettingsError(
                "both BOTRIX_SEALING_KEYS and BOTRIX_SEALING_KEY_FILE are set; unset one"
            )
        data = Path(values.get("data") or _default_data(env)).expanduser().absolute()
        values["data"] = data
        values.setdefault("ledger_url", f"sqlite:///{data / 'ledger.sqlite'}")
        values.setdefault("redis_url", f"unix://{line_socket(data)}")
        return cls(**values)


def in_environ(
    given: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment in which `Settings.read` needs nothing else to come to the same; for another
    process, whose command line more people see."""
    named = {_VARIABLES[name][0]: str(value) for name, value in given.items() if value is not None}
    env = os.environ if environ is None else environ
    kept = {name: value for name, value in env.items() if name.removesuffix("_FILE") not in named}
    return {**kept, **named}


def line_socket(data: Path) -> Path:
    """Where the embedded line of this data folder listens."""
    path = data / "line.sock"
    if len(str(path)) <= _SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"botrix-{os.getuid()}-{digest}" / "line.sock"


def _default_data(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_DATA_HOME") or str(Path(env.get("HOME", "~")) / ".local" / "share")
    return Path(base) / "botrix"


def _given(env: Mapping[str, str], variable: str) -> str | None:
    """The variable itself or, of those that hold a secret, the content of the file that its
    neighbour `…_FILE` names: an environment is seen by more people than a file."""
    path = env.get(f"{variable}_FILE") if variable in _SECRET else None
    if not path:
        return env.get(variable)
    if env.get(variable):
        raise SettingsError(f"both {variable} and {variable}_FILE are set; unset one")
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{variable}_FILE={path!r} cannot be read: {reason}") from None


def _flag(text: str) -> bool:
    choices = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return choices[text.strip().lower()]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").lower().split())


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(word) for word in _words(text))


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _port(text: str) -> int:
    number = _natural(text)
    if number > 65_535:
        raise ValueError(text)
    return number


def _processes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_PROCESSES:
        raise ValueError(text)
    return number


def _log_format(text: str) -> str:
    """Raises SettingsError."""
    word = text.strip().lower()
    if word not in ("json", "text"):
        raise SettingsError(f"LOG_FORMAT={text!r} cannot be used; give json or text, or unset it")
    return word


def _seconds(microseconds: str) -> float:
    return int(microseconds) / 1e6


def _converted(variable: str, text: str, convert: Any) -> Any:
    try:
        return convert(text)
    except (ValueError, KeyError):
        raise SettingsError(f"{variable}={text!r} cannot be used; correct it or unset it") from None


_SECRET = ("BOTRIX_LEDGER_URL", "REDIS_URL", "BOTRIX_API_KEY")
_VARIABLES: dict[str, tuple[str, Any]] = {
    "data": ("BOTRIX_DATA", Path),
    "ledger_url": ("BOTRIX_LEDGER_URL", str),
    "redis_url": ("REDIS_URL", str),
    "host": ("BOTRIX_HOST", str),
    "port": ("BOTRIX_PORT", int),
    "worker_id": ("WORKER_ID", str),
    "processes": ("BOTRIX_PROCESSES", _processes),
    "max_retries": ("MAX_RETRIES", int),
    "health_check_interval": ("HEALTH_CHECK_INTERVAL", float),
    "lease": ("BOTRIX_LEASE", float),
    "beat": ("BOTRIX_BEAT", float),
    "grace": ("BOTRIX_GRACE", float),
    "request_timeout": ("BOTRIX_REQUEST_TIMEOUT", float),
    "directory_patience": ("BOTRIX_DIRECTORY_PATIENCE", float),
    "webhook_timeout": ("BOTRIX_WEBHOOK_TIMEOUT", float),
    "backoff_base": ("BOTRIX_BACKOFF_BASE", float),
    "backoff_cap": ("BOTRIX_BACKOFF_CAP", float),
    "capacity": ("BOTRIX_CAPACITY", int),
    "accept_raw": ("BOTRIX_ACCEPT_RAW", _flag),
    "email_domain": ("BOTRIX_EMAIL_DOMAIN", str),
    "log_level": ("BOTRIX_LOG_LEVEL", str),
    "log_format": ("LOG_FORMAT", _log_format),
    "traces_exporter": ("OTEL_TRACES_EXPORTER", str),
    "traces_endpoint": ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", str),
    "otlp_endpoint": ("OTEL_EXPORTER_OTLP_ENDPOINT", str),
    "api_key": ("BOTRIX_API_KEY", str),
    "trusted_peers": ("BOTRIX_TRUSTED_PEERS", _networks),
    "trusted_hosts": ("BOTRIX_TRUSTED_HOSTS", _words),
    "sealing_key": ("BOTRIX_SEALING_KEY_FILE", Path),
    "sealing_keys": ("BOTRIX_SEALING_KEYS", str),
    "password_days": ("BOTRIX_PASSWORD_DAYS", _natural),
    "retention_days": ("BOTRIX_RETENTION_DAYS", _natural),
    "backlog": ("BOTRIX_BACKLOG", _natural),
    "health_file": ("BOTRIX_HEALTH_FILE", Path),
    "metrics_host": ("BOTRIX_METRICS_HOST", str),
    "metrics_port": ("BOTRIX_METRICS_PORT", _port),
    "no_color": ("NO_COLOR", bool),
    # systemd gives these; nobody sets them
    "notify_socket": ("NOTIFY_SOCKET", str),
    "watchdog": ("WATCHDOG_USEC", _seconds),
    "journal_stream": ("JOURNAL_STREAM", str),
}
