"""One engine, and one composed system, for all tests that need them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.deployment import images
from tests.deployment.composed import Composed, compose_command
from tests.deployment.engine import engine


@pytest.fixture(scope="session")
def docker() -> Iterator[None]:
    with engine() as why:
        if why:
            pytest.skip(f"NOT CHECKED: images, compose and units; {why}")
        yield


@pytest.fixture(scope="session")
def built(docker: None) -> dict[str, str]:
    """The variables of docker-compose.yml; both images are built."""
    bases = images.bases()
    for variable, name in bases.items():
        print(f"{variable} is a stand-in: {name}")
    for file in images.OWN:
        images.build(file, bases.get("PYTHON_IMAGE"))
    return bases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def composed(built: dict[str, str]) -> AsyncIterator[Composed]:
    """With three workers."""
    command = compose_command()
    if command is None:
        pytest.skip("NOT CHECKED: docker-compose.yml; neither docker compose nor docker-compose")
    made = Composed(command, built)
    try:
        seconds = await made.up()
        print(f"healthy {seconds:.1f} s after up")
        await made.up("--profile", "scale")
        yield made
    finally:
        made.down()
