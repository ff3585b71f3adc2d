"""Botrix and what people would pick instead, on the same freshly started broker, in one run.

    python -m benchmarks peers [--runs N] [--peers a,b] [--json FILE]

`peers.toml` says who they are and with which settings, why, and who says so; `programs/` has what
runs in each one's own environment (`.bench-peers/`, made by `make bench-peers` from
`requirements/`); the rest measures all of them by the same code.
"""
