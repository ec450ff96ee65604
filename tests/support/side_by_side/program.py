"""Run every operation under one side: ``python -m tests.support.side_by_side.program azure|roost RESULT``.

Each one works in a folder of its own with the same files. ``RESULT`` is a JSON file: for each operation ``["value",
what it returned]`` or ``["raised", the exception's name, its text]``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from . import configurations, dependencies, documents, environments
from .sdk import load_sdk

FILES = {
    "conda.yml": "name: own\nchannels: [conda-forge]\ndependencies:\n- python=3.8\n- numpy=1.19\n"
    "- pip: [six==1.16.0, --extra-index-url https://index.example.org/simple]\n",
    "plain.yml": "dependencies: [python=3.8, scipy]\n",
    "range.yml": "dependencies: ['python>=3.6']\n",
    "prefix.yml": "name: x\nprefix: /opt/x\nchannels: [nodefaults, conda-forge]\ndependencies:\n"
    "- conda-forge::numpy=1.19=py38_0\n- pip\n- pip: [six]\n",
    "broken.yml": "dependencies: [a\n",
    "more.txt": "requests\n",
    "requirements.txt": "# said\n-r more.txt\nnumpy>=1.1\n\nsix \\\n  ==1.16.0\n",
    "Dockerfile": environments.DOCKERFILE,
    "source/train.py": "print(1)\n",
    "azures.runconfig": """\
script: train.py
arguments: [--rate, 3]
target: local
framework: Tensorflow
communicator: ParameterServer
maxRunDurationSeconds: 60
nodeCount: 4
priority: 2
environment: {name: train, version: '3', python: {condaDependencies: {dependencies: [python=3.8]}},
  docker: {baseImage: 'base:1'}}
history: {outputCollection: false, snapshotProject: true, directoriesToWatch: [logs, more]}
spark: {configuration: {spark.app.name: mine}}
hdi: {yarnDeployMode: client}
tensorflow: {workerCount: 2, parameterServerCount: 1}
mpi: {processCountPerNode: 2, nodeCount: 1}
dataReferences:
  x: {dataStoreName: s, pathOnDataStore: a, mode: download, overwrite: true, pathOnCompute: null}
amlcompute: {vmSize: D2, vmPriority: lowpriority, retainCluster: true, name: c, clusterMaxNodeCount: 3}
""",
}


def list_operations() -> dict[str, Callable[[Any], Any]]:
    """Return all operations by their names."""
    files = {f"document: {name}": partial(_read, document) for name, document in documents.DOCUMENTS.items()}
    return {**dependencies.OPERATIONS, **environments.OPERATIONS, **configurations.OPERATIONS, **files}


def _read(document: Any, sdk: Any) -> Any:
    return documents.read_document(sdk, document)


def _perform(operation: Callable[[Any], Any], sdk: Any) -> list[Any]:
    os.chdir(tempfile.mkdtemp())
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    try:
        return ["value", json.loads(json.dumps(operation(sdk), default=lambda value: f"<{type(value).__name__}>"))]
    except Exception as error:  # what it raises is its result
        return ["raised", type(error).__name__, str(error)[:300]]


def main(side: str, result: str) -> None:
    """Perform all operations under ``side``."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    path, sdk = os.path.abspath(result), load_sdk(side)
    outcomes = {name: _perform(operation, sdk) for name, operation in list_operations().items()}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(outcomes, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
