"""When a lease ends."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.leases.expiry import DEFAULT_SECONDS, MAX_SECONDS, TOLERANCE_SECONDS, LeaseExpiryError, resolve_expiry

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_without_an_end_it_is_an_hour():
    assert resolve_expiry(NOW, None, None) == NOW + timedelta(seconds=DEFAULT_SECONDS)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-01-01T12:00:00Z", NOW + timedelta(hours=12)),
        ("2026-01-01T12:00:00.5Z", NOW + timedelta(hours=12, seconds=0.5)),
        ("2026-01-01T12:00:00+02:00", NOW + timedelta(hours=10)),
    ],
)
def test_an_end_is_a_time_with_a_zone(text, end):
    assert resolve_expiry(NOW, None, text) == end


@pytest.mark.parametrize(
    ("seconds", "expires"),
    [
        (0, None),
        (-1, None),
        (MAX_SECONDS + 1, None),
        (float("nan"), None),
        (float("inf"), None),
        (None, "tomorrow"),
        (None, ""),
        (None, "2026-01-01T12:00:00"),
        (None, "2025-12-31T23:59:59Z"),
        (None, "2026-02-01T00:00:00Z"),
        (None, "9999-12-31T23:59:59-23:59"),
        (60, "2026-01-01T12:00:00Z"),
    ],
)
def test_an_end_that_is_no_time_or_out_of_bounds_is_422(seconds, expires):
    with pytest.raises(LeaseExpiryError) as caught:
        resolve_expiry(NOW, seconds, expires)
    assert caught.value.http_status == 422
    assert "604800" in caught.value.hint


@given(
    st.one_of(st.none(), st.floats()),
    st.one_of(st.none(), st.text(max_size=40), st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")),
)
def test_every_lease_ends_within_a_week(seconds, expires):
    try:
        end = resolve_expiry(NOW, seconds, expires)
    except LeaseExpiryError:
        return
    assert timedelta(0) < end - NOW <= timedelta(seconds=MAX_SECONDS + TOLERANCE_SECONDS)
