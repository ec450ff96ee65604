"""``--as-of``: days and times, none of them yet to come."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from roost.daemon.config.dates import format_as_of, parse_as_of
from roost.model.errors import InvalidRequestError

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-07-08", datetime(2020, 7, 8, 23, 59, 59, tzinfo=timezone.utc)),
        ("2020-07-08T12:00:00Z", datetime(2020, 7, 8, 12, tzinfo=timezone.utc)),
        ("2020-07-08 12:00", datetime(2020, 7, 8, 12, tzinfo=timezone.utc)),
        ("2020-07-08T12:00:00.5+02:00", datetime(2020, 7, 8, 10, 0, 0, 500_000, tzinfo=timezone.utc)),
        ("2026-11-23", datetime(2026, 11, 23, 23, 59, 59, tzinfo=timezone.utc)),
        ("2026-11-24", datetime(2026, 11, 24, 23, 59, 59, tzinfo=timezone.utc)),  # elsewhere it has begun
    ],
)
def test_days_and_times(text: str, moment: datetime) -> None:
    assert parse_as_of(text, datetime(2026, 11, 23, 11, 0, tzinfo=timezone.utc)) == moment


@pytest.mark.parametrize("text", ["2026-11-25", "2026-11-23T11:00:01Z", "2099-01-01", "2026-11-23T12:00+00:30"])
def test_what_is_yet_to_come_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="in the future"):
        parse_as_of(text, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "20200708", "2020-7-8", "2020-13-01", "2020-02-30", "08.07.2020", "2020-W28-3",
        "2020-07-08T25:00", "2020-07-08T12:00:00+99:00",
        "2020-07-08\n", "\u0662020-07-08", "0001-01-01", "2020-07-08T", "1583020800",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"not a valid date|before the first"):
        parse_as_of(text, NOW)


def test_none_is_none() -> None:
    assert parse_as_of(None) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, None),
        ("2020-07-08", "2020-07-08T23:59:59"),
        ("2020-07-08 12:00", "2020-07-08T12:00:00"),
        ("2020-07-08T12:00:00+02:00", "2020-07-08T10:00:00"),
    ],
)
def test_what_a_generation_tells_is_in_utc(text: str | None, told: str | None) -> None:
    said = format_as_of(text)
    assert said == told or (said is not None and told is not None and said.startswith(told) and said.endswith("Z"))
