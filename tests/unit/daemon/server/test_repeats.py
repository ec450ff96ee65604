"""A fault that lasts does not fill the log."""

from __future__ import annotations

import logging

from roost.daemon.server.repeats import PERIOD_SECONDS, REPEATS, RepeatLimit


def line(text: str, *args: object, level: int = logging.WARNING, name: str = "roost.x") -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, text, args, None)


def test_lines_of_one_kind_are_limited_and_the_rest_is_counted() -> None:
    now = [0.0]
    limit = RepeatLimit(lambda: now[0])
    passed = [limit.filter(line("Refused uid %d", number)) for number in range(1000)]
    assert passed == [True] * REPEATS + [False] * (1000 - REPEATS)
    assert limit.filter(line("Another fault"))
    assert limit.filter(line("Refused uid %d", 1, name="roost.other"))
    now[0] = PERIOD_SECONDS
    first = line("Refused uid %d", 7)
    assert limit.filter(first)
    assert first.getMessage() == f"Refused uid 7 (and {1000 - REPEATS} more like it before)"
    second = line("Refused uid %d", 8)
    assert limit.filter(second)
    assert second.getMessage() == "Refused uid 8"


def test_what_is_no_warning_always_passes() -> None:
    limit = RepeatLimit()
    assert all(limit.filter(line("Serving", level=logging.INFO)) for _ in range(1000))


def test_many_kinds_take_no_more_memory_than_a_thousand() -> None:
    limit = RepeatLimit()
    for number in range(5000):
        assert limit.filter(line(f"fault {number}"))
    assert len(limit._periods) <= 1000
