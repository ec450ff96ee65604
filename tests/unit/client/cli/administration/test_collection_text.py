"""Collections as people see them."""

from __future__ import annotations

from roost.client.cli.administration.collection_text import collection_lines

LIMITS = {
    "budget_bytes": 100, "min_free_bytes": 0, "image_bytes": 50, "prefix_days": 14.0, "package_days": 7.0,
    "output_days": 30.0,
}  # fmt: skip
STEP = {
    "rule": "layers", "kind": "layer", "id": f"layers/{'ab' * 32}.tar.gz", "bytes": 7_000_000,
    "last_used": "2026-01-01T00:00:00.000000Z", "reason": "it is written again", "state": "removed",
}  # fmt: skip


def view(**fields):
    return {
        "dry_run": False, "limits": LIMITS, "used_bytes": 90, "image_bytes": 0, "free_bytes": 5, "disk_bytes": 1000,
        "steps": [], "kept": [], "freed_bytes": 0, "freed_image_bytes": 0, "missing_bytes": 0, "missing_image_bytes": 0,
        "next": {"at": None, "idle_seconds": 30.0, "begins": None}, **fields,
    }  # fmt: skip


def test_nothing_has_to_go():
    assert collection_lines(view(), False) == ["Nothing has to go: 90 B in use, 100 B allowed"]
    free = view(limits={**LIMITS, "budget_bytes": 0})
    assert collection_lines(free, False) == ["Nothing has to go: 90 B in use, no limit"]


def test_steps_have_rules_sizes_and_reasons_and_digests_are_cut():
    used = {**STEP, "id": "p-1", "kind": "prefix", "reason": "used by process 7", "state": "kept", "bytes": 0}
    heads, first, second, result = collection_lines(view(steps=[STEP, used], freed_bytes=7_000_000), False)
    assert heads.split() == ["RULE", "KIND", "ID", "FREES", "AGE", "REASON"]
    assert "layers/abababababab….tar.gz  7.0 MB" in first
    assert second.endswith("stays: used by process 7")
    assert result == "7.0 MB freed by 1 removal"


def test_many_steps_are_counted_unless_they_are_asked_for():
    many = view(steps=[STEP] * 50, freed_bytes=1)
    assert "… and 10 further steps (--explain shows all)" in collection_lines(many, False)
    assert sum(line.startswith("layers ") for line in collection_lines(many, True)) == 50


def test_an_explanation_begins_without_an_empty_line():
    lines = collection_lines(view(), True)
    assert (lines[0].split()[0], lines[-3]) == ("NUMBER", "")


def test_what_could_not_be_met_is_said():
    lines = collection_lines(view(missing_bytes=4000, missing_image_bytes=5000, steps=[], freed_bytes=0), False)
    assert lines == [
        "Nothing can go",
        "4.0 kB more should go, but all that is left is needed or was used lately",
        "Images exceed their limit by 5.0 kB, but all that are left are needed or were used lately",
    ]


def test_a_dry_run_says_when_the_next_one_comes():
    upcoming = {"at": "2026-01-02T00:00:00.5Z", "idle_seconds": 30.0, "begins": "2026-01-08T00:00:00.0Z"}
    line = collection_lines(view(dry_run=True, next=upcoming), False)[-1]
    assert line == (
        "Next by itself: after a build that exceeds a limit, or after 2026-01-02T00:00:00Z, once the daemon was idle "
        "for 30.0 s; until 2026-01-08T00:00:00Z it only reports, since an older version made this root"
    )
