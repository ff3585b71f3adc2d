"""Webhooks: what is told, how it is signed, when it is tried again, and how it is sent."""
