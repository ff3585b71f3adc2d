"""Botrix creates accounts in bulk, durably, in directories that the operator administers."""

__version__ = "0.1.0"
