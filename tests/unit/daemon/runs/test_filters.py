"""Filters of `runs list` as people write them."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.config.dates import parse_since
from roost.daemon.runs.filters import check_tag, parse_filter
from roost.daemon.runs.records import check_experiment
from roost.model.errors import InvalidRequestError
from roost.model.history import RunFilter, find_name_fault, find_note_fault, find_tag_fault
from roost.model.names import NameInvalidError
from roost.wire.runs import RunsQuery

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("5min", NOW - timedelta(minutes=5)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=timezone.utc)),
        ("2026-11-23T07:30:00Z", datetime(2026, 11, 23, 7, 30, tzinfo=timezone.utc)),
        ("2026-11-23T07:30:00.5+02:00", datetime(2026, 11, 23, 5, 30, 0, 500000, tzinfo=timezone.utc)),
        ("2026-11-23 07:30", datetime(2026, 11, 23, 7, 30, tzinfo=timezone.utc)),
    ],
)
def test_since_is_an_age_a_day_or_a_time(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "3", "d", "3x", "-3d", "3 d", "٣d", "2026-13-01", "2026-02-30", "2027-01-01", "now"]
)
def test_what_is_no_time_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_since(text, NOW)
    assert caught.value.fields == {"field": "since"}
    assert "3d" in caught.value.hint


@given(st.text())
def test_no_text_breaks_the_parser_of_times(text: str) -> None:
    with contextlib.suppress(InvalidRequestError):
        assert parse_since(text, NOW) <= NOW


FIELDS = ("env", "experiment", "state", "since", "command", "target", "cwd", "tag")


@given(st.dictionaries(st.sampled_from(FIELDS), st.text()))
def test_no_filter_breaks_the_parser(texts: dict[str, str]) -> None:
    with contextlib.suppress(InvalidRequestError, NameInvalidError):
        assert isinstance(parse_filter(RunsQuery(**texts), NOW), RunFilter)  # type: ignore[arg-type]


def test_all_filters_are_parsed() -> None:
    query = RunsQuery(
        env="train:3", experiment="sweep", state="failed,lost", since="1h", command="--lr", cwd="/home/me/", tag="a,b"
    )
    assert parse_filter(query, NOW) == RunFilter(
        environment="train",
        version=3,
        experiment="sweep",
        states=("failed", "lost"),
        since="2026-11-23T11:30:00.000000Z",
        command="--lr",
        folder="/home/me",
        tags=("a", "b"),
    )


@pytest.mark.parametrize(
    "query", [RunsQuery(state="done"), RunsQuery(cwd="here"), RunsQuery(tag="a,,b"), RunsQuery(command="")]
)
def test_what_no_run_can_have_is_refused(query: RunsQuery) -> None:
    with pytest.raises(InvalidRequestError):
        parse_filter(query, NOW)


def test_a_label_is_refused_since_no_run_records_it() -> None:
    with pytest.raises(NameInvalidError, match="label"):
        parse_filter(RunsQuery(env="train@best"), NOW)


@pytest.mark.parametrize("tag", ["best", "lr=0.1", "größe", "a" * 100])
def test_tags(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", "a b", "a\tb", "a\x1b[31m", "a,b", "--all", "a" * 101, "\ud800", "a\u200e"])
def test_what_is_no_tag(tag: str) -> None:
    assert find_tag_fault(tag) is not None
    with pytest.raises(InvalidRequestError):
        check_tag(tag)


@pytest.mark.parametrize("text", ["https://u:s3cr3t@h/x", "at=https://s3cr3t@h", "x=hf_" + "s3cr3t" * 4])
def test_no_tag_and_no_name_of_an_experiment_has_a_credential(text: str) -> None:
    for check in (check_tag, check_experiment):
        with pytest.raises(InvalidRequestError, match="credential") as refused:
            check(text)
        assert "s3cr3t" not in str(refused.value)
    check_experiment("https://h.example/x")


def test_names_and_notes_have_no_control_characters() -> None:
    assert find_name_fault("sweep 1") is None
    assert find_note_fault("two\n\tlines, ünd") is None
    for text in ("a\x1b[2J", "a\0b", "a\u2028b", "\ud800"):
        assert find_name_fault(text) is not None
        assert find_note_fault(text) is not None
    assert find_note_fault("a" * 5000) is not None
