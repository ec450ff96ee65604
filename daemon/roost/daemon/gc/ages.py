"""Which uses count as late: the ages of the limits as times, pure.

Separate since the order of the candidates, the plan and the reasons of what stays need the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from roost.daemon.gc.values import RULES, CollectionLimits, Rule

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_LENGTH = 27


class Ages:
    """The ages of the limits at one time."""

    def __init__(self, wanted: CollectionLimits, now: str) -> None:
        prefixes, packages = subtract_days(now, wanted.prefix_days), subtract_days(now, wanted.package_days)
        self._outputs = subtract_days(now, wanted.output_days)
        self.now = now
        self._everything = wanted.everything
        self._cutoffs: dict[Rule, str] = {
            "leftovers": now,
            "bytecode": now,
            "packages": packages,
            "shared-layers": packages,
            "layers": packages,
            "built-wheels": packages,
            "abandoned-prefixes": prefixes,
            "prefixes": prefixes,
            "snapshots": prefixes,
            "outputs": self._outputs,
            "images": prefixes,
        }

    def clamp(self, last_used: str) -> str:
        """Return a time of use that is not in the future: the clock was wrong then, or is now. An unknown time is
        now."""
        return min(last_used, self.now) if last_used else self.now

    def is_late(self, rule: Rule, last_used: str) -> bool:
        """Return whether a use is so late that what was used goes for the floor only."""
        return self.clamp(last_used) > self._cutoffs[rule]

    def may_go(self, candidate: tuple[int, str, str, str], *, recent: bool) -> bool:
        """``recent``: whether what was used lately may go too; outputs of runs never do, since nothing can make them
        again."""
        rule, last_used = RULES[candidate[0]], candidate[1]
        return last_used <= (self.now if recent and rule != "outputs" else self._cutoffs[rule])


def subtract_days(now: str, days: float) -> str:
    """Return the time ``days`` before ``now``; if that can't be written, the empty text, which comes before all."""
    try:
        return (datetime.strptime(now, _FORMAT) - timedelta(days=days)).strftime(_FORMAT).rjust(_LENGTH, "0")
    except OverflowError:
        return ""


def age_seconds(last_used: str, now: str) -> float:
    """Return the seconds from a use until now; 0 if either can't be read."""
    try:  # not strptime, which takes longer than all the rest of a plan; Python 3.10 does not read the Z
        return max(0.0, (datetime.fromisoformat(now[:-1]) - datetime.fromisoformat(last_used[:-1])).total_seconds())
    except ValueError:
        return 0.0
