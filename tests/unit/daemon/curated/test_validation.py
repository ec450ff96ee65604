"""Catalogues from elsewhere: sound ones are read, others refused with what is wrong and where."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.images.catalogues import CONTENTS, sound

from roost.daemon.curated.catalogue import CatalogueInvalidError, CatalogueNewerError, decode_catalogue
from roost.daemon.curated.validation import read_versions

HERE = "registry.example.org/team"


def read(data: bytes) -> list[str]:
    return [f"{new.name}:{new.number}" for new in read_versions(decode_catalogue(data, HERE), HERE)]


def test_what_is_sound_is_read() -> None:
    assert read(msgspec.json.encode(sound())) == ["Roost-Made:1", "Roost-Made:2"]
    assert read(b'{"format":1,"entries":[]}') == []


@pytest.mark.parametrize("fault", CONTENTS)
def test_what_is_malformed_is_refused_with_what_and_where(fault: str) -> None:
    data, said = CONTENTS[fault]
    with pytest.raises(CatalogueInvalidError) as caught:
        read(data)
    assert said in caught.value.message
    assert HERE in caught.value.message
    assert caught.value.hint
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 1000


def test_a_later_format_is_told_from_a_malformed_one() -> None:
    with pytest.raises(CatalogueNewerError) as caught:
        read(CONTENTS["a later format"][0])
    assert caught.value.hint == "Update roost."
