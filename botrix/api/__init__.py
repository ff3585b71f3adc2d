"""The HTTP door: one file per noun."""
