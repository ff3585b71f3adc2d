"""Counts that noise cannot touch: what a job costs in statements, round trips, commands, pages and
calls, compared with what is recorded in recorded.json. Nothing here measures time.

Each group of counts is made by a process of its own (`counted.py`), so that renewing and testing
see the same; `compare.py` says what may move; `python -m tests.guard.renew` records anew.
"""
