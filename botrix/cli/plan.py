"""What a plan shows."""

from __future__ import annotations

from typing import Any

import click

from botrix.cli.client import Api
from botrix.cli.render import print_rows, say

_SHOWN = 20
_TOLD = {
    "create": "would be created",
    "adopt": "would count as existing: another job made them",
    "conflict": "would fail: the name is somebody else's",
    "invalid": "were left out: their rows cannot be used",
}


def show_plan(api: Api, job: dict[str, Any]) -> None:
    """The sums, and the first accounts that would not simply be created."""
    for name, told in _TOLD.items():
        click.echo(f"{job['plan'][name]:>8}  {name:<9} {told}")
    path = f"/api/jobs/{job['id']}/accounts"
    others = [
        {**row, "prospect": name}
        for name in ("conflict", "adopt")
        for row in api.get(path, prospect=name, limit=_SHOWN)["items"]
    ]
    if others:
        print_rows(others, ("prospect", "row", "username", "email", "display_name"), as_json=False)
    if job["plan"]["moved"]:
        say(
            f"{job['plan']['moved']} of them would come out otherwise than when it was planned, "
            "so it was not applied; this is the plan as of now"
        )
