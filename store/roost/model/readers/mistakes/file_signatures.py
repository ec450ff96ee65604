"""Keys by which YAML and JSON files of other tools are recognised. Data, so that a kind is one line.

Separate from ``other_files`` because it grows by kinds and not by decisions.
"""

from __future__ import annotations

from typing import NamedTuple


class FileSignature(NamedTuple):
    """A kind of file: it has all keys of ``every`` and, if there are any, one of ``some``."""

    what: str
    every: frozenset[str] = frozenset()
    some: frozenset[str] = frozenset()
    hint: str = ""
    """What to do instead; empty: the usual advice."""


def _sign(what: str, every: str = "", some: str = "", hint: str = "") -> FileSignature:
    return FileSignature(what, frozenset(every.split()), frozenset(some.split()), hint)


_IMAGE = "Name the image with --image, or the folder of its Dockerfile with -f."
_LONG_CONDARC = (
    "channel_priority channel_alias default_channels custom_channels envs_dirs pkgs_dirs ssl_verify always_yes "
    "auto_activate auto_activate_base solver proxy_servers show_channel_urls report_errors create_default_packages"
)
SIGNATURES = (
    _sign("a compose file", "services", hint=_IMAGE),
    _sign("a GitHub Actions workflow", "jobs on"),
    _sign("a GitHub Actions workflow", "runs", "inputs outputs"),
    _sign("an Azure Pipelines definition", some="trigger pr pool steps", every="variables"),
    _sign("an Azure Pipelines definition", "trigger", "pool stages steps jobs"),
    _sign("an Azure Pipelines definition", "pool", "stages steps jobs"),
    _sign("a GitLab CI file", "stages", "script before_script include workflow default image variables cache"),
    _sign("a GitLab CI file", "before_script"),
    _sign("a DVC pipeline", "stages"),
    _sign("a Kubernetes manifest", "apiVersion kind", hint=_IMAGE),
    _sign("a Helm chart", "apiVersion name version"),
    _sign("a Helm values file", "image", "replicaCount ingress serviceAccount nodeSelector", _IMAGE),
    _sign("a dev container configuration", "", "customizations features postCreateCommand remoteUser runArgs", _IMAGE),
    _sign("a conda recipe", "package", "requirements test about source"),
    _sign("a conda recipe", "requirements build"),
    _sign("a conda recipe", "recipe", "context outputs build"),
    _sign("a conda configuration file (.condarc)", "", _LONG_CONDARC),
    _sign("an Anaconda project", "", "env_specs"),
    _sign("a Spack environment", "spack"),
    _sign("an MLflow project", "", "entry_points conda_env python_env docker_env"),
    _sign("an MLflow model", "flavors"),
    _sign("a Kubeflow component", "implementation", "inputs outputs metadata name", _IMAGE),
    _sign("a pre-commit configuration", "repos"),
    _sign("a Read the Docs configuration", "version", "sphinx mkdocs formats"),
    _sign("an MkDocs configuration", "site_name"),
    _sign("an OpenAPI description", "", "openapi swagger"),
    _sign("a citation file", "cff-version"),
    _sign("a pnpm lock file", "lockfileVersion"),
    _sign("a package.json of npm", "", "devDependencies peerDependencies scripts"),
    _sign("a Dart package", "environment", "flutter dev_dependencies"),
    _sign("a Jupyter notebook", "cells nbformat"),
    _sign("a Conan recipe", "", "conandata generators"),
)
"""In the order in which they are tried."""

PACKAGE_KEYS = (
    *("packages", "package", "requirements", "requires", "requirement", "deps", "depends", "libraries", "pip", "conda"),
    *("install", "modules", "conda_dependencies", "pip_dependencies", "pip_requirements", "condaDependencies"),
)
"""Keys under which people write packages where conda has ``dependencies``."""
