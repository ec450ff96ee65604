"""``roost help``: topics, commands, near misses, and the pager."""

from __future__ import annotations

import json

import pytest

from roost.client.cli.main import run
from roost.client.cli.parser import build_parser, commands_of
from roost.client.cli.reference import pager
from roost.client.cli.reference.topics import TOPICS, find_topic, find_topic_of_page, list_names


def test_without_a_word_all_topics_are_listed(capsys):
    assert run(["help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{topic.name} " in shown and topic.summary in shown for topic in TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_has_a_page(topic, capsys):
    assert run(["help", topic.name]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 10


def test_no_name_means_two_topics():
    names = list_names()
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["coming", "from", "conda"], "conda"),
        (["coming", "from", "Azure", "ML"], "azure-ml"),
        (["ROOST.TOML"], "roost.toml"),
        (["exit_status"], "exit-status"),
        (["exit", "codes"], "exit-status"),
        (["environment", "files"], "definitions"),
    ],
)
def test_topics_are_found_by_several_names(words, name):
    topic = find_topic(words)
    assert topic is not None
    assert topic.name == name


def test_links_between_pages_lead_to_topics():
    topics = [
        find_topic_of_page(path) for path in ("../daemon/CONFIG.md", "locks.md", "coming-from/uv.md", "dev/README.md")
    ]
    assert [topic and topic.name for topic in topics] == ["config", "locks", "uv", None]


def test_a_command_shows_its_own_help(capsys):
    assert run(["help", "env", "diff"]) == 0
    assert capsys.readouterr().out == commands_of(commands_of(build_parser())["env"])["diff"].format_help()


def test_a_word_that_is_both_shows_the_page_then_the_command(capsys):
    assert run(["help", "runs"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("`roost run` records every run") < shown.index("usage: roost runs")


@pytest.mark.parametrize(
    ("words", "near"),
    [(["conifg"], "config"), (["env", "dif"], "env diff"), (["biuld"], "build"), (["lokcs"], "locks")],
)
def test_a_near_miss_is_named(words, near, capsys):
    assert run(["help", *words]) == 2
    assert f"Did you mean `roost help {near}`?" in capsys.readouterr().err


def test_json_has_the_page_as_markdown(capsys):
    assert run(["help", "locks", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["topic"] == "locks"
    assert answer["text"].startswith("# roost.lock")


@pytest.mark.parametrize(
    ("variables", "command"),
    [
        ({"PAGER": "most -s"}, ["most", "-s"]),
        ({"ROOST_PAGER": "bat", "PAGER": "most"}, ["bat"]),
        ({"PAGER": "cat"}, None),
        ({"PAGER": ""}, None),
        ({"PAGER": "'unfinished"}, None),
    ],
)
def test_the_pager_is_the_callers(variables, command, monkeypatch):
    for name in ("ROOST_PAGER", "PAGER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert pager.find_pager() == command


@pytest.mark.parametrize(("command", "shown"), [(["/nonexistent/pager"], False), (["sh", "-c", "exit 127"], False)])
def test_a_pager_that_does_not_start_is_noticed(command, shown):
    assert pager._page(command, "text\n") is shown


def test_the_pager_gets_the_whole_text(tmp_path):
    path = tmp_path / "shown"
    assert pager._page(["sh", "-c", f"cat > {path}"], "one\ntwo\n") is True
    assert path.read_text() == "one\ntwo\n"


def test_a_pager_that_is_left_early_is_no_error():
    assert pager._page(["sh", "-c", "exec <&-; exit 0"], "text\n" * 100_000) is True
