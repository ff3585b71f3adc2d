"""The waiting line in Valkey or Redis: a hint of what to do next, never the only copy."""
