"""Code that has run: found by its content, once it is recorded."""

from __future__ import annotations

from pathlib import Path

from roost.store.store import Store


async def test_what_is_recorded_is_found_and_nothing_else(short_folder: Path) -> None:
    store = await Store.open(str(short_folder / "root"))
    try:
        runs = store.index.code_runs
        many = [f"sha256:{number}" for number in range(1200)]
        await runs.add("link-script", many[:700])
        await runs.add("build-backend", many[:10])  # recorded already
        assert await runs.find(many) == set(many[:700])
        assert await runs.find([]) == set()
        rows = await store.index.database.read(
            lambda connection: connection.execute("SELECT DISTINCT kind FROM code_runs").fetchall()
        )
        assert [row["kind"] for row in rows] == ["link-script"]
    finally:
        await store.close()
