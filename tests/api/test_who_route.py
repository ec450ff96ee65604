"""``GET /v1/who`` on the real application."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel, digest_lock
from roost.model.records import NewGeneration, RunRecord

NOW = "2026-01-01T00:00:00Z"


def lock(numpy: str, wheels: tuple[Wheel, ...] = ()) -> Lock:
    package = CondaPackage(
        name="numpy", version=numpy, build="py311_0", subdir="linux-64", file_name=f"numpy-{numpy}.conda", url="u",
        sha256="",
    )  # fmt: skip
    return Lock(platform="linux-64", provider=CondaPython(), conda=(package,), wheels=wheels)


@pytest.fixture
async def filled(served: Any) -> Any:
    """Definition d with numpy 1.26.3 first and 1.26.4 now; definition e with numpy of pip beside conda's."""
    index = served.store.index
    for definition, each in (
        ("sha256:d", lock("1.26.3")),
        ("sha256:d", lock("1.26.4")),
        (
            "sha256:e",
            lock("2.0.0", (Wheel(name="numpy", version="1.24.0"), Wheel(name="typing-extensions", version="4"))),
        ),
    ):
        await index.generations.add(NewGeneration(definition_digest=definition, platform="linux-64"), each)
    await index.runs.insert(
        RunRecord(
            id="r1", state="succeeded", target="local", command=("python",), cwd="/", definition_digest="sha256:d",
            settings_digest="s", created=NOW, lock_digest=digest_lock(lock("1.26.3")), environment_name="train",
            environment_version=2,
        )
    )  # fmt: skip
    return served


async def who(served: Any, package: str, rest: str = "") -> Any:
    status, body = await served.get(f"/v1/who?package={quote(package)}{rest}")
    assert status == 200, body
    return body


async def test_counts_and_lists_by_version_and_world(filled: Any) -> None:
    old = await who(filled, "numpy<1.26.4")
    assert old["counts"] == {
        "locks": 2, "environments": 0, "generations": 2,
        "current_generations": 1, "images": 0, "prefixes": 0, "runs": 1,
    }  # fmt: skip
    assert [(row["definition_digest"], row["number"], row["current"]) for row in old["generations"]] == [
        ("sha256:e", 1, True),
        ("sha256:d", 1, False),
    ]
    assert old["generations"][0]["packages"] == [{"kind": "pip", "name": "numpy", "version": "1.24.0"}]
    assert [(row["id"], row["state"], row["environment"]) for row in old["runs"]] == [("r1", "succeeded", "train:2")]
    assert [each["version"] for each in old["others"]] == ["2.0.0", "1.26.4"]
    only = await who(filled, "numpy<1.26.4", "&kind=conda")
    assert [row["definition_digest"] for row in only["generations"]] == ["sha256:d"]
    assert (await who(filled, "numpy", "&kind=pip"))["counts"]["locks"] == 1


async def test_a_page_is_limited_and_the_counts_are_not(filled: Any) -> None:
    body = await who(filled, "numpy", "&limit=1")
    assert body["counts"]["locks"] == body["counts"]["generations"] == 3
    assert [row["definition_digest"] for row in body["generations"]] == ["sha256:e"]
    assert len(body["versions"]) == 1


async def test_what_comes_after_a_page_is_asked_for_by_kind(filled: Any) -> None:
    first = await who(filled, "numpy", "&limit=2")
    assert list(first["next"]) == ["generations"], "the one run is told"
    rest = await who(filled, "numpy", f"&limit=2&listed=generations&before={quote(first['next']['generations'])}")
    told = [row["lock_digest"] for row in (*first["generations"], *rest["generations"])]
    assert told == [row["lock_digest"] for row in (await who(filled, "numpy"))["generations"]]
    assert (len(rest["generations"]), rest["runs"], rest["counts"], rest["next"]) == (1, [], None, {})


@pytest.mark.parametrize(
    "rest",
    [
        *("listed=runs", "before=[1,2]", "listed=locks&before=[1,2]", "listed=runs&before=x", "listed=runs&before=[1]"),
        *("listed=runs&before=[1,2,3]", 'listed=runs&before=["a",2]', f"listed=runs&before=[1,{2**63}]"),
        *("listed=runs&before=[-1,2]", "listed=runs&before=[1,[2]]", "listed=runs&before=[1.5,2]"),
    ],
)
async def test_a_place_that_is_none_is_400(filled: Any, rest: str) -> None:
    status, body = await filled.get(f"/v1/who?package=numpy&{rest}")
    assert (status, bool(body["hint"])) == (400, True)


async def test_any_spelling_of_a_name_finds_it_in_both_worlds(filled: Any) -> None:
    for name in ("Typing_Extensions", "typing.extensions", "typing-extensions"):
        assert (await who(filled, name))["counts"]["locks"] == 1


async def test_nothing_found_is_an_answer_that_names_what_there_is(filled: Any) -> None:
    body = await who(filled, "numpy>=3")
    assert (body["counts"]["locks"], body["generations"], body["versions"]) == (0, [], [])
    assert {each["version"] for each in body["others"]} == {"1.26.3", "1.26.4", "2.0.0", "1.24.0"}
    assert (await who(filled, "unheard-of"))["others"] == []


@pytest.mark.parametrize("package", ["", "<1", "conda-forge::numpy", "numpy<<1", "x" * 1001])
async def test_what_is_no_package_is_400(filled: Any, package: str) -> None:
    status, body = await filled.get(f"/v1/who?package={quote(package)}")
    assert status == 400
    assert body["hint"]
    assert body["exit_status"] == 2


async def test_no_package_and_a_page_too_long_are_400(filled: Any) -> None:
    for query in ("", "?package=numpy&limit=0", "?package=numpy&limit=1001", "?package=numpy&kind=npm"):
        assert (await filled.get(f"/v1/who{query}"))[0] == 400
