"""What ``roost doctor`` prints: faults first, and again in one line below the settings."""

from __future__ import annotations

from roost.client.cli.administration.doctor import _count_faults


def test_the_faults_are_counted_by_state_and_named_once() -> None:
    states = [("docker", "error"), ("registry", "warning"), ("registry", "warning"), ("config", "ok")]
    checks = [{"name": name, "state": state} for name, state in states]
    assert _count_faults(checks) == "1 error (docker), 2 warnings (registry)"
    assert _count_faults(checks[3:]) == ""
