"""Settings: their documentation, where each came from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.config.config import ConfigError, find_config_path, find_key_lines, load_config, parse_config
from roost.daemon.config.docs import render_markdown
from roost.daemon.config.settings import effective_settings, list_settings

REPOSITORY = Path(__file__).parents[4]

EVERYTHING = """\
[base]
image = "b"
[conda]
channels = ["a", "b"]
auth_file = "/x"
[conda.mirrors]
"https://conda.anaconda.org/conda-forge" = ["file:///srv/forge"]
[daemon]
idle_exit_seconds = 5
"""


@pytest.mark.parametrize("setting", list(list_settings()), ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting: object) -> None:
    assert len(setting.description) > 20, f"{setting.name} has no description"
    assert f"| `{setting.name}` |" in (REPOSITORY / "daemon" / "CONFIG.md").read_text()


def test_the_document_is_what_the_schema_says() -> None:
    assert (REPOSITORY / "daemon" / "CONFIG.md").read_text() == render_markdown(), (
        "write it anew: python -m roost.daemon.config.docs > daemon/CONFIG.md"
    )


def test_the_documents_own_example_is_valid() -> None:
    example = render_markdown().partition("An example:")[2]
    assert parse_config(example.encode(), "x").settings.builds.concurrency == 4


def test_origins_name_the_line() -> None:
    config = parse_config(EVERYTHING.encode(), "/c.toml")
    found = {name: (value, origin) for name, value, origin in effective_settings(config)}
    assert found["base.image"] == ("b", "/c.toml:2")
    assert found["conda.channels"] == (("a", "b"), "/c.toml:4")
    assert found["conda.mirrors"][1] == "/c.toml:7"
    assert found["daemon.idle_exit_seconds"] == (5.0, "/c.toml:9")
    assert found["pip.index_url"] == (None, "default")


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("[conda]\nchanels = []\n", 2, "chanels"),
        ("[condo]\nchannels = []\n", 2, "condo"),
        ("[conda]\n\nchannels = 3\n", 3, "array"),
        ('[conda]\nchannels = ["a",\n 3]\n', 2, "str"),
        ("[builds]\nconcurrency = 0\n", 2, ">= 1"),
        ('[conda.mirrors]\n"https://x/a" = "file:///x"\n', 2, "array"),
        ("[conda\n", 1, "TOML"),
        ("x = 1\n", 1, "`x`"),
        ("[daemon]\nidle_exit_seconds = -1\n", 2, ">= 0"),
        ("[pip]\nindex_url = true\n", 2, "bool"),
        ('[registries.credentials."r.example.org"]\nusername_variable = "U"\n', 2, "go together"),
        ('[registries.credentials."r.example.org"]\nhelper = "pass"\ndocker_config = "/x"\n', 2, "expected one of"),
        ('[registries.credentials."r.example.org"]\nhelper = "../pass"\n', 2, "regex"),
        ('[registries.credentials."r.example.org"]\npassword = "s3cret"\n', 2, "unknown field"),
        ('[credentials."h.example"]\nusername = "me"\n', 2, "expected one of password_variable"),
        ('[credentials."h.example"]\nkeyring = true\n', 2, "expected one of username"),
        ('[credentials."h.example"]\nusername_variable = "U"\nkeyring = true\n', 2, "goes with username"),
        ('[credentials."h.example"]\npassword = "s3cret"\n', 2, "unknown field"),
        ('[conda]\n\nchannels = ["conda-forge", "${CHANNEL}"]\n', 3, "`conda.channels`: ${CHANNEL} is not allowed"),
        ('[conda]\nchannels = ["https://h/$CHANNEL"]\n', 2, "$CHANNEL"),
        ('[pip]\nindex_url = "https://h/${TEAM}/simple"\n', 2, "`pip.index_url`: ${TEAM} is not allowed"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), "/c.toml")
    assert caught.value.location is not None
    assert (caught.value.location.path, caught.value.location.line) == ("/c.toml", line)
    assert word in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_status == 5


def test_credentials_of_the_defaults_may_be_variables() -> None:
    text = '[conda]\nchannels = ["https://${TOKEN}@h/c"]\n[pip]\nindex_url = "https://${ME}:${WORD}@h/simple"\n'
    assert parse_config(text.encode(), "/c.toml").conda.channels == ("https://${TOKEN}@h/c",)


def test_credentials_of_a_url_instead_of_a_host_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"https://h/simple.*expected a host"):
        parse_config(b'[credentials."https://h/simple"]\nusername = "me"\npassword_variable = "W"\n', "/c.toml")


def test_a_file_that_is_not_utf8_names_the_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(b"[conda]\n# \xff\n", "/c.toml")
    assert caught.value.location is not None
    assert caught.value.location.line == 2


def test_lines_are_not_fooled_by_strings_and_quoted_keys() -> None:
    text = 'a = """\n[b]\nc = 1\n"""\n["x.y"] # word\n"k 1".z = 2\n[q . r]\ns=[\n"t = 1",\n]\n'
    assert list(find_key_lines(text)) == [(("a",), 1), (("x.y", "k 1", "z"), 6), (("q", "r", "s"), 8)]


def test_crlf_and_a_byte_order_mark_are_taken() -> None:
    assert parse_config(b'\xef\xbb\xbf[base]\r\nimage = "x"\r\n', "c").base.image == "x"


def test_a_missing_file_is_the_defaults_unless_it_was_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="ROOST_CONFIG"):
        load_config({"ROOST_CONFIG": missing})
    assert find_config_path({"ROOST_CONFIG": missing}) == missing


def test_the_named_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(EVERYTHING)
    config = load_config({"ROOST_CONFIG": str(path)})
    assert (config.path, config.base.image) == (str(path), "b")


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_config({"ROOST_CONFIG": str(tmp_path)})
