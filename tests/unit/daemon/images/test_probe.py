"""What a decision has to know of images, where a registry answers once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.bases.registry_images import RegistryImage
from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile, RegistriesSettings
from roost.daemon.config.source import ConfigSource
from roost.daemon.images import probe
from roost.daemon.images.probe import ImageProbe
from roost.daemon.oci.answers import Answer, Unknown, Yes
from roost.model.records import BaseLayer
from roost.wire.plans import Reason

KEY = "sha256:" + "1" * 64


async def test_a_registry_that_says_once_which_image_it_has_is_not_asked_again(monkeypatch: pytest.MonkeyPatch):
    there = RegistryImage(
        reference="reg:5000/team/images:t",
        digest="sha256:c",
        manifest_digest="sha256:m",
        labels={"org.roost.image": KEY},
        layers=(BaseLayer(diff_id="sha256:d", size=9),),
    )
    answers: list[Answer[Any]] = [Yes(there)]

    async def asked(*_: object) -> Answer[Any]:
        return answers.pop() if answers else Unknown(Reason(code="registry-unreachable", message="no"))

    monkeypatch.setattr(probe, "read_registry_image", asked)
    store: Any = SimpleNamespace(index=None, layout=None)
    engines: Any = SimpleNamespace(config=None)
    bases: Any = SimpleNamespace(resolver=None, loader=None)
    settings = ConfigFile(registries=RegistriesSettings(workspace="reg:5000/team"))
    image_probe = ImageProbe(store, engines, bases, ConfigSource(Config(settings=settings)))
    facts = await image_probe._probe_registries("sha256:" + "d" * 64, "sha256:" + "e" * 64)
    assert isinstance(facts.workspace, Yes)
    assert facts.key == KEY
