"""Operations on ``CondaDependencies``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .sdk import content, dependencies_of

Operation = Callable[[Any], Any]
INDEX = "https://index.example.org/simple"


def _edited(*calls: tuple[Any, ...], pip: tuple[str, ...] = (), conda: tuple[str, ...] = ()) -> Operation:
    """The operation that makes ``calls`` (a method and its arguments) on dependencies with these packages."""

    def operation(sdk: Any) -> Any:
        dependencies = dependencies_of(sdk, *pip, conda=conda)
        for method, *arguments in calls:
            getattr(dependencies, method)(*arguments)
        return content(dependencies)

    return operation


def _created(**arguments: Any) -> Operation:
    return lambda sdk: content(sdk.CondaDependencies.create(**arguments))


def _read(name: str, *calls: tuple[Any, ...]) -> Operation:
    def operation(sdk: Any) -> Any:
        dependencies = sdk.CondaDependencies(name)
        for method, *arguments in calls:
            getattr(dependencies, method)(*arguments)
        lists = ("conda_channels", "conda_packages", "pip_packages", "pip_options")
        return [content(dependencies), *(list(getattr(dependencies, each)) for each in lists)]

    return operation


def _python_of_a_range(sdk: Any) -> Any:
    dependencies = sdk.CondaDependencies.create(python_version="3.8", pip_packages=[])
    dependencies.set_python_version("3.7.1")
    changed = dependencies.get_python_version()
    read = sdk.CondaDependencies("range.yml")
    return [changed, read.get_python_version()]


def _saved_to(*path: str, into: str = "save") -> Operation:
    def operation(sdk: Any) -> Any:
        os.makedirs("there", exist_ok=True)
        answer = getattr(dependencies_of(sdk, "six"), into)(*path)
        return [answer, content(sdk.CondaDependencies(os.path.join(*path)))]

    return operation


def _saved_unnamed(sdk: Any) -> Any:
    os.makedirs(".azureml")
    path = dependencies_of(sdk, "six").save_to_file(".")
    return [path, content(sdk.CondaDependencies(path))]


def _text(sdk: Any) -> Any:
    text = dependencies_of(sdk, "six", conda=("numpy",)).serialize_to_string()
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith("- ")]


def _copy(sdk: Any) -> Any:
    dependencies = dependencies_of(sdk)
    dependencies.as_dict()["dependencies"].append("lost")
    return list(dependencies.conda_packages)


def _merged(*requirements: str) -> Operation:
    return lambda sdk: sdk.CondaDependencies.merge_requirements([*requirements])


OPERATIONS: dict[str, Operation] = {
    "dependencies: new": lambda sdk: content(sdk.CondaDependencies()),
    "dependencies: number of defaults": lambda sdk: sdk.CondaDependencies().get_default_number_of_packages(),
    "dependencies: created of nothing": _created(),
    "dependencies: created of lists": _created(
        python_version="3.8", pip_packages=["six", "flask==1"], conda_packages=["numpy=1"]
    ),
    "dependencies: created with an index": _created(python_version="3.8", pip_indexurl=INDEX, pip_packages=["six"]),
    "dependencies: created with a patch level": _created(python_version="3.6.2", pip_packages=[]),
    "dependencies: created with a number": _created(python_version=3.8, pip_packages=[]),
    "dependencies: created with a string of packages": _created(python_version="3.8", pip_packages="42"),
    "dependencies: created with Azure's package": _created(python_version="3.8", pip_packages=["azureml-defaults"]),
    "conda: twice the same": _edited(("add_conda_package", "numpy"), ("add_conda_package", "numpy")),
    "conda: two versions": _edited(("add_conda_package", "numpy"), ("add_conda_package", "numpy=1.2")),
    "conda: another Python": _edited(("add_conda_package", "python=3.7")),
    "conda: removed by name": _edited(("remove_conda_package", "numpy"), conda=("numpy=1.2",)),
    "conda: removed as written": _edited(("remove_conda_package", "numpy=1.2"), conda=("numpy=1.2",)),
    "conda: Python removed": _edited(("remove_conda_package", "python=3.8")),
    "conda: removed what is not there": _edited(("remove_conda_package", "absent")),
    "conda: channels": _edited(
        *(("add_channel", "a"), ("add_channel", "b"), ("add_channel", "a"), ("remove_channel", "a")),
        ("remove_channel", "absent"),
    ),
    "python: set, and read of a range": _python_of_a_range,
    "pip: two versions": _edited(("add_pip_package", "six"), ("add_pip_package", "six==1.2")),
    "pip: a name that begins another": _edited(("remove_pip_package", "six"), pip=("six-more==1", "six==1.2")),
    "pip: another case": _edited(("add_pip_package", "six==1.2"), pip=("Six",)),
    "pip: removed": _edited(("remove_pip_package", "six"), pip=("six==1.2", "flask")),
    "pip: the last one removed": _edited(("remove_pip_package", "six"), pip=("six==1.2",)),
    "pip: removed with extras": _edited(("remove_pip_package", "six"), pip=("six[more]", "flask")),
    "pip: removed by another version": _edited(("remove_pip_package", "six==1.9"), pip=("six", "flask")),
    "pip: an option as a package": _edited(("add_pip_package", f"--index-url {INDEX}")),
    "pip: by a URL": _edited(
        ("add_pip_package", "https://x.example/a-1.0-py3-none-any.whl"),
        ("add_pip_package", "git+https://git.example/a.git"),
    ),
    "pip: Azure's packages": _edited(
        ("add_pip_package", "azureml-defaults"), ("add_pip_package", "azureml-core==1.20")
    ),
    "pip: None as a package": _edited(("add_pip_package", None)),
    "options: set twice": _edited(
        ("set_pip_option", f"--extra-index-url {INDEX}"), ("set_pip_option", "--extra-index-url https://other.example")
    ),
    "options: what is none": _edited(("set_pip_option", "none")),
    "options: an index by its URL": _edited(("set_pip_index_url", INDEX)),
    "options: an index by its option": _edited(("set_pip_index_url", f"--index-url {INDEX}")),
    "options: removed": _edited(("set_pip_option", "--pre"), ("remove_pip_option", "--pre"), pip=("flask",)),
    "requirements: replaced": _edited(("set_pip_requirements", ["a", "--pre", "b>1"]), pip=("old",)),
    "tensorflow: by conda and by pip": _edited(
        ("add_tensorflow_conda_package", "gpu", "1.15"), ("add_tensorflow_pip_package", "cpu")
    ),
    "tensorflow: for what is none": _edited(("add_tensorflow_conda_package", "tpu")),
    "cntk": _edited(("add_cntk_package", "gpu")),
    "merged: ranges of one package": _merged("a>=1", "b", "a<2"),
    "merged: names of another case": _merged("a>=1", "A==1"),
    "file: read": _read("conda.yml"),
    "file: without a pip section": _read("plain.yml", ("add_pip_package", "six")),
    "file: with a prefix": _read("prefix.yml"),
    "file: not YAML": _read("broken.yml"),
    "file: not there": _read("absent.yml"),
    "saved: to a file": _saved_to("out.yml"),
    "saved: to a folder": _saved_to("there"),
    "saved: beside a folder": _saved_to("there", "own.yml", into="save_to_file"),
    "saved: beside a folder, without a name": _saved_unnamed,
    "text": _text,
    "copy": _copy,
}
"""By what they are about."""
