"""What can be said of images and compose without an engine."""

from __future__ import annotations

import re

import yaml

from tests.deployment.images import OWN, ROOT

COMPOSE = ROOT / "docker-compose.yml"


def test_both_images_are_built_by_the_same_words() -> None:
    builders = set()
    for file in OWN:
        text = (ROOT / file).read_text()
        builders.add(text[text.index("ARG PYTHON_IMAGE") : text.index("\nFROM ${PYTHON_IMAGE}\n")])
    assert len(builders) == 1


def test_every_image_can_be_named_by_a_variable() -> None:
    for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items():
        assert re.fullmatch(r"\$\{[A-Z_]+:-[a-z0-9./:-]+\}", service["image"]), name


def test_every_port_is_on_loopback() -> None:
    for service in yaml.safe_load(COMPOSE.read_text())["services"].values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), port


def test_a_worker_is_given_longer_than_its_grace() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name in ("worker", "worker-2", "worker-3"):
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > 20 + 10


def test_nothing_usable_stands_in_it() -> None:
    for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items():
        for key, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|KEY|SECRET|URL", key):
                assert key.endswith("_FILE"), f"{name}: {key}"
                assert str(value).startswith("/run/secrets/"), f"{name}: {key}"
