"""The one list of export formats, as the wire, the command line and the writers each have it."""

from __future__ import annotations

from typing import get_args

from roost.client.cli.environments import exchange
from roost.model.writers.write import EXPORT_FORMATS
from roost.wire.exchange import ExportFormat


def test_every_place_knows_the_same_formats():
    assert set(get_args(ExportFormat)) == set(exchange.FORMATS) == set(EXPORT_FORMATS)
    assert set(exchange.FOLDER_FORMATS) == {name for name, format in EXPORT_FORMATS.items() if format.folder}
    for file, format in exchange.FORMATS_BY_NAME.items():
        assert file.replace(".yaml", ".yml") == EXPORT_FORMATS[format].file
