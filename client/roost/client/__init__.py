"""roost's client. For notebooks and scripts it is a library: ``from roost.client import Workspace, Environment, …``.

The names are those that users of Azure ML environments know. They are defined in ``api``; the module of a name is
imported when the name is first used: the command line's fast path imports this package too, and must not pay for it.

Read in this order, lowest first: ``errors`` and ``paths``; ``transport`` (requests to the daemon),
``terminal`` (output for people) and ``export_files``; ``launch`` (running commands in an environment); ``cli`` (the
command line) and ``api`` (the Python API), neither of which knows the other; ``main``. The client imports
``roost.wire`` and nothing else of roost's.

Doors: errors, export_files, paths.
"""

TYPE_CHECKING = False  # importing typing would cost more than everything else here
if TYPE_CHECKING:
    from roost.client.api.builds import ImageBuildDetails as ImageBuildDetails
    from roost.client.api.configurations.parts import AmlComputeConfiguration as AmlComputeConfiguration
    from roost.client.api.configurations.parts import (
        ApplicationEndpointConfiguration as ApplicationEndpointConfiguration,
    )
    from roost.client.api.configurations.parts import DataReferenceConfiguration as DataReferenceConfiguration
    from roost.client.api.configurations.parts import DockerConfiguration as DockerConfiguration
    from roost.client.api.configurations.parts import HdiConfiguration as HdiConfiguration
    from roost.client.api.configurations.parts import HistoryConfiguration as HistoryConfiguration
    from roost.client.api.configurations.parts import KubernetesComputeConfiguration as KubernetesComputeConfiguration
    from roost.client.api.configurations.parts import MpiConfiguration as MpiConfiguration
    from roost.client.api.configurations.parts import ParallelTaskConfiguration as ParallelTaskConfiguration
    from roost.client.api.configurations.parts import PyTorchConfiguration as PyTorchConfiguration
    from roost.client.api.configurations.parts import SparkConfiguration as SparkConfiguration
    from roost.client.api.configurations.parts import TensorflowConfiguration as TensorflowConfiguration
    from roost.client.api.configurations.run_config import RunConfiguration as RunConfig
    from roost.client.api.configurations.run_config import RunConfiguration as RunConfiguration
    from roost.client.api.configurations.script_run_config import ScriptRunConfig as ScriptRunConfig
    from roost.client.api.environment import Environment as Environment
    from roost.client.api.environment import Environment as EnvironmentDefinition
    from roost.client.api.errors import BuildFailedError as BuildFailedError
    from roost.client.api.errors import DaemonUnreachableError as DaemonUnreachableError
    from roost.client.api.errors import DefinitionError as DefinitionError
    from roost.client.api.errors import EnvironmentNotFoundError as EnvironmentNotFoundError
    from roost.client.api.errors import NotFoundError as NotFoundError
    from roost.client.api.errors import RoostError as RoostError
    from roost.client.api.errors import RunFailedError as RunFailedError
    from roost.client.api.errors import UnreachableError as UnreachableError
    from roost.client.api.errors import UnsupportedError as UnsupportedError
    from roost.client.api.errors import UsageError as UsageError
    from roost.client.api.image_details import DockerImageDetails as DockerImageDetails
    from roost.client.api.references import EnvironmentReference as EnvironmentReference
    from roost.client.api.sections.conda_dependencies import CondaDependencies as CondaDependencies
    from roost.client.api.sections.docker import DEFAULT_CPU_IMAGE as DEFAULT_CPU_IMAGE
    from roost.client.api.sections.docker import DEFAULT_GPU_IMAGE as DEFAULT_GPU_IMAGE
    from roost.client.api.sections.docker import ContainerRegistry as AzureContainerRegistry
    from roost.client.api.sections.docker import ContainerRegistry as ContainerRegistry
    from roost.client.api.sections.docker import DockerBuildContext as DockerBuildContext
    from roost.client.api.sections.docker import DockerImagePlatform as DockerImagePlatform
    from roost.client.api.sections.docker import DockerSection as DockerEnvironment
    from roost.client.api.sections.docker import DockerSection as DockerSection
    from roost.client.api.sections.python import PythonSection as PythonEnvironment
    from roost.client.api.sections.python import PythonSection as PythonSection
    from roost.client.api.sections.r import RCranPackage as RCranPackage
    from roost.client.api.sections.r import RGitHubPackage as RGitHubPackage
    from roost.client.api.sections.r import RSection as RSection
    from roost.client.api.sections.spark import DatabricksSection as DatabricksSection
    from roost.client.api.sections.spark import EggLibrary as EggLibrary
    from roost.client.api.sections.spark import JarLibrary as JarLibrary
    from roost.client.api.sections.spark import MavenLibrary as MavenLibrary
    from roost.client.api.sections.spark import PyPiLibrary as PyPiLibrary
    from roost.client.api.sections.spark import RCranLibrary as RCranLibrary
    from roost.client.api.sections.spark import SparkPackage as SparkPackage
    from roost.client.api.sections.spark import SparkSection as SparkEnvironment
    from roost.client.api.sections.spark import SparkSection as SparkSection
    from roost.client.api.workspace import Experiment as Experiment
    from roost.client.api.workspace import Run as Run
    from roost.client.api.workspace import Workspace as Workspace

_MODULES = {
    "builds": ("ImageBuildDetails",),
    "configurations.parts": (
        "AmlComputeConfiguration",
        "ApplicationEndpointConfiguration",
        "DataReferenceConfiguration",
        "DockerConfiguration",
        "HdiConfiguration",
        "HistoryConfiguration",
        "KubernetesComputeConfiguration",
        "MpiConfiguration",
        "ParallelTaskConfiguration",
        "PyTorchConfiguration",
        "SparkConfiguration",
        "TensorflowConfiguration",
    ),
    "configurations.run_config": ("RunConfiguration",),
    "configurations.script_run_config": ("ScriptRunConfig",),
    "environment": ("Environment",),
    "errors": (
        "BuildFailedError",
        "DaemonUnreachableError",
        "DefinitionError",
        "EnvironmentNotFoundError",
        "NotFoundError",
        "RoostError",
        "RunFailedError",
        "UnreachableError",
        "UnsupportedError",
        "UsageError",
    ),
    "image_details": ("DockerImageDetails",),
    "references": ("EnvironmentReference",),
    "sections.conda_dependencies": ("CondaDependencies",),
    "sections.docker": (
        "DEFAULT_CPU_IMAGE",
        "DEFAULT_GPU_IMAGE",
        "ContainerRegistry",
        "DockerBuildContext",
        "DockerImagePlatform",
        "DockerSection",
    ),
    "sections.python": ("PythonSection",),
    "sections.r": ("RCranPackage", "RGitHubPackage", "RSection"),
    "sections.spark": (
        "DatabricksSection",
        "EggLibrary",
        "JarLibrary",
        "MavenLibrary",
        "PyPiLibrary",
        "RCranLibrary",
        "SparkPackage",
        "SparkSection",
    ),
    "workspace": ("Experiment", "Run", "Workspace"),
}
"""Module of ``roost.client.api`` to the names that it defines."""
_ALIASES = {
    "AzureContainerRegistry": "ContainerRegistry",
    "DockerEnvironment": "DockerSection",
    "EnvironmentDefinition": "Environment",
    "PythonEnvironment": "PythonSection",
    "RunConfig": "RunConfiguration",
    "SparkEnvironment": "SparkSection",
}
"""Other names: a short one, and older ones of Azure's SDK."""

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "AmlComputeConfiguration",
    "ApplicationEndpointConfiguration",
    "AzureContainerRegistry",
    "BuildFailedError",
    "CondaDependencies",
    "ContainerRegistry",
    "DaemonUnreachableError",
    "DataReferenceConfiguration",
    "DatabricksSection",
    "DefinitionError",
    "DockerBuildContext",
    "DockerConfiguration",
    "DockerEnvironment",
    "DockerImageDetails",
    "DockerImagePlatform",
    "DockerSection",
    "EggLibrary",
    "Environment",
    "EnvironmentDefinition",
    "EnvironmentNotFoundError",
    "EnvironmentReference",
    "Experiment",
    "HdiConfiguration",
    "HistoryConfiguration",
    "ImageBuildDetails",
    "JarLibrary",
    "KubernetesComputeConfiguration",
    "MavenLibrary",
    "MpiConfiguration",
    "NotFoundError",
    "ParallelTaskConfiguration",
    "PyPiLibrary",
    "PyTorchConfiguration",
    "PythonEnvironment",
    "PythonSection",
    "RCranLibrary",
    "RCranPackage",
    "RGitHubPackage",
    "RSection",
    "RoostError",
    "Run",
    "RunConfig",
    "RunConfiguration",
    "RunFailedError",
    "ScriptRunConfig",
    "SparkConfiguration",
    "SparkEnvironment",
    "SparkPackage",
    "SparkSection",
    "TensorflowConfiguration",
    "UnreachableError",
    "UnsupportedError",
    "UsageError",
    "Workspace",
]


def __getattr__(name: str) -> object:
    defined_name = _ALIASES.get(name, name)
    for module, names in _MODULES.items():
        if defined_name in names:
            from importlib import import_module

            value: object = getattr(import_module(f"roost.client.api.{module}"), defined_name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
