"""Trees of lines: every package is shown in full once, and the way to each line is one of the graph."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.client.cli.inspection.tree import find_roots
from roost.client.cli.inspection.trees import CUT, CYCLE, REPEATED, render_tree

GRAPH = {"a": [("b", ">=1"), ("c", "")], "b": [("c", "<2")], "c": [("a", ""), ("d", "")], "d": []}


def render(graph: dict[str, list[tuple[str, str]]], roots: list[str], depth: int | None = None) -> list[str]:
    return list(render_tree(graph, roots, lambda node, text: f"{node} {text}".strip(), depth))


def test_cycles_and_repeated_subtrees_are_marked() -> None:
    assert render(GRAPH, ["a", "d", "c"]) == [
        "a",
        "├── b >=1",
        "│   └── c <2",
        "│       ├── a (cycle)",
        "│       └── d",
        "└── c (*)",
        "d",
        "c (*)",
    ]


def test_a_depth_cuts_and_shows_in_full_where_more_fits() -> None:
    assert render(GRAPH, ["a"], 1) == ["a", "├── b >=1 (…)", "└── c (…)"]
    assert render(GRAPH, ["a"], 0) == ["a (…)"]
    assert render({"a": [("b", "")], "b": [("c", "")], "c": [("d", "")], "d": []}, ["a", "b"], 2) == [
        "a",
        "└── b",
        "    └── c (…)",
        "b",
        "└── c",
        "    └── d",
    ]


def test_a_chain_is_longer_than_a_stack_of_calls() -> None:
    chain: dict[str, list[tuple[str, str]]] = {str(n): [(str(n + 1), "")] for n in range(1200)} | {"1200": []}
    assert len(render(chain, ["0"])) == 1201


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_edge_is_drawn_once(data: st.DataObject) -> None:
    names = [f"p{n}" for n in range(data.draw(st.integers(1, 7)))]
    graph = {
        name: [(to, "") for to in data.draw(st.lists(st.sampled_from(names), unique=True, max_size=4))]
        for name in names
    }
    asked = data.draw(st.lists(st.sampled_from(names), unique=True))
    roots = find_roots({("conda", k): [(("conda", t), x) for t, x in v] for k, v in graph.items()},
                       [("conda", name) for name in asked])  # fmt: skip
    lines = render(graph, [name for _, name in roots])
    assert len(lines) == len(roots) + sum(map(len, graph.values()))
    in_full = [line for line in lines if not line.endswith((REPEATED, CYCLE, CUT))]
    assert sorted(line.strip("│├└─ ") for line in in_full if graph[line.strip("│├└─ ")]) == sorted(
        name for name in names if graph[name]
    )
