"""Entry points that other programs and guides name."""
