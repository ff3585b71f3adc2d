"""The simulated directory as a SCIM server in a process of its own, which misbehaves on demand.

    python -m botrix.creators.simulated_server --port 9000 --log calls.ndjson --token T

Every call is in the append-only log before it is answered: what the log says was created, was. What
it shall do wrong is given at the start (--quirks) or later, by `PUT /_quirks`. Loopback only; it is
for tests, demonstrations and measurements.
"""
