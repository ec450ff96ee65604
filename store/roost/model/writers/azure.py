"""Azure's formats: the folder of the SDK's ``save_to_directory``, and environment YAML of the CLI v2."""

from __future__ import annotations

import json

from roost.model.definition import Base, Conda, Pip, R
from roost.model.syntax.azure import (
    CONDA_FILE,
    CONDA_NAME,
    DOCKER_FILE,
    TEMPLATE,
    Json,
    parse_cran_package,
    restore_passthrough,
)
from roost.model.writers.conda import build_conda_file
from roost.model.writers.draft import (
    CONTEXT,
    Draft,
    ExportImpossibleError,
    compose_dockerfile,
    copy_context,
    dump_yaml,
    find_image,
)

SCHEMA = "https://azuremlschemas.azureedge.net/latest/environment.schema.json"
V2_CONDA_FILE = "conda.yml"
_SDK_SECTIONS = (
    *("base.image", "base.dockerfile", "base.steps", "base.platform", "conda", "pip"),
    *("python.user_managed", "python.interpreter", "spark", "r", "inference", "variables", "container", "kept.azure"),
)
_V2_SECTIONS = (
    *("kept.azure-v2", "base.image", "base.dockerfile", "base.context", "base.steps", "conda", "pip", "variables"),
)
_SYSTEMS = {"linux": "Linux", "windows": "Windows", "osx": "OSX"}


def write_azure(draft: Draft) -> None:
    """Write ``azureml_environment.json`` and, unless they would be empty, ``conda_dependencies.yml`` and
    ``BaseDockerfile``.

    Raises: ExportImpossibleError if the definition has a build context or is an explicit list of package files.
    """
    source = draft.source
    definition, passthrough = source.definition, source.settings.passthrough.get("azure", {})
    layout = passthrough.get("layout", {})
    form = restore_passthrough(
        {key: value for key, value in passthrough.items() if key != "layout"}, with_r=definition.r is not None
    )
    form["name"] = source.name
    form["python"] = _build_python(draft, form)
    form["docker"] = _build_docker(draft, form)
    form["spark"] = _build_spark(draft, form)
    form["inferencingStackVersion"] = definition.inference_stack
    form["environmentVariables"] = dict(source.settings.variables) or form["environmentVariables"]
    if definition.r is not None:
        form["r"] = {**form["r"], **_build_r(definition.r, form["r"])}
    draft.write_main(json.dumps(form, indent=4, ensure_ascii=False) + "\n")
    if definition.conda != Conda() or definition.pip != Pip():
        _write_packages(draft, layout if isinstance(layout, dict) else {})
    if dockerfile := compose_dockerfile(definition.base or Base(), source.defaults):
        draft.write_text(DOCKER_FILE, dockerfile)
    draft.warn_losses(_SDK_SECTIONS)


def write_azure_v2(draft: Draft) -> None:
    """Write ``environment.yml`` with a conda file beside it, and a build context if there is a Dockerfile.

    Raises: ExportImpossibleError if a build context is known by its digest only, or if the definition is an explicit
    list of package files.
    """
    source = draft.source
    definition = source.definition
    content: Json = {"$schema": SCHEMA, **({"name": source.name} if source.name else {})}
    content.update(_build_v2_base(draft, definition.base or Base()))
    if definition.conda != Conda() or definition.pip != Pip():
        content["conda_file"] = f"./{V2_CONDA_FILE}"
        draft.write_text(V2_CONDA_FILE, dump_yaml(build_conda_file(draft)))
    elif source.settings.variables:
        content["conda_file"] = {"variables": dict(source.settings.variables)}
    draft.write_main(dump_yaml({**content, **source.settings.passthrough.get("azure-v2", {})}))
    draft.warn_losses(_V2_SECTIONS)


def _build_v2_base(draft: Draft, base: Base) -> Json:
    """Return the ``image`` or ``build`` key of the CLI v2."""
    if text := compose_dockerfile(base, draft.source.defaults):
        draft.write_text(f"{CONTEXT}/Dockerfile", text)
        draft.warn("export-changed", f"the Dockerfile became the build context {CONTEXT}/, with a digest of its own")
        return {"build": {"path": f"./{CONTEXT}"}}
    if base.context is not None:
        if base.context_path is None:
            raise ExportImpossibleError(
                "The build context of this environment is known by its digest only",
                hint="Export it as roost's own file, or on the machine that has the context's folder.",
            )
        draft.copies[CONTEXT] = copy_context(base.context, base)
        named = {"dockerfile_path": base.dockerfile_path} if base.dockerfile_path else {}
        return {"build": {"path": f"./{CONTEXT}", **named}}
    image = find_image(base, draft.source.defaults)
    if image is None:
        image = draft.source.defaults.base_image
        draft.warn("export-base", f"Azure requires an image: the export names the default, {image}")
    return {"image": image}


def _write_packages(draft: Draft, layout: Json) -> None:
    """Write ``conda_dependencies.yml`` in the layout of the file that was imported.

    If the definition names no channel, neither does the file: Azure then uses channels of its own.
    """
    content = build_conda_file(draft, name=str(layout.get("conda_name", CONDA_NAME)), variables=False)
    members, pip_index = content["dependencies"], layout.get("pip_at")
    if isinstance(pip_index, int) and members and isinstance(members[-1], dict):
        members.insert(pip_index, members.pop())
    channels = draft.source.definition.conda.channels
    content.pop("channels", None)
    if channels:
        content["channels"] = list(channels)
    elif draft.source.definition.conda.dependencies:
        ours = ", ".join(draft.source.defaults.channels)
        draft.warn("export-channels", f"the definition names no channel: roost uses {ours}, Azure its own default")
    draft.write_text(CONDA_FILE, dump_yaml(content))


def _build_python(draft: Draft, form: Json) -> Json | None:
    """Return the ``python`` section; a key that the imported file had as null stays null while it has its default."""
    python, section = draft.source.definition.python, form["python"]
    original: Json = section if isinstance(section, dict) else {}
    if section is None and not python.user_managed and python.interpreter == "python":
        return None
    values = {"userManagedDependencies": python.user_managed, "interpreterPath": python.interpreter}
    template = TEMPLATE["python"]
    changed = {
        key: value for key, value in values.items() if original.get(key, value) is not None or value != template[key]
    }
    return {**original, **changed}


def _build_docker(draft: Draft, form: Json) -> Json | None:
    base, container = draft.source.definition.base, draft.source.settings.container
    section = form["docker"]
    if section is None and base is None and not container.arguments and container.shm_size is None:
        return None
    docker: Json = dict(section or {})
    docker["shmSize"] = container.shm_size
    docker["arguments"] = list(container.arguments) or docker.get("arguments", [])
    if base is not None:
        _set_base(draft, base, docker)
    return docker


def _set_base(draft: Draft, base: Base, docker: Json) -> None:
    """Set the image, its registry and the platform in ``docker``; the Dockerfile is a file of its own."""
    if base.context is not None:
        raise ExportImpossibleError(
            "This environment is made from a build context, which Azure's SDK stores only in its own storage",
            hint="Export it with --format azure-v2 or roost.",
        )
    if base.steps:
        draft.warn("export-changed", "the docker steps became a Dockerfile, with a digest of its own")
    registry: Json = dict(docker.get("baseImageRegistry") or {})
    address = str(registry.get("address") or "").rstrip("/")
    image = None if base.steps else find_image(base, draft.source.defaults)
    if address and (image or "").startswith(f"{address}/"):
        image = (image or "").removeprefix(f"{address}/")
    elif address:
        docker["baseImageRegistry"] = {**registry, "address": None}
    docker["baseImage"] = image
    if base.platform is not None:
        system, _, architecture = base.platform.partition("/")
        docker["platform"] = {
            "os": _SYSTEMS.get(system, system),
            **({"architecture": architecture} if architecture else {}),
        }
    elif docker.get("platform") is not None:  # without the key, Azure uses its default and roost reads no platform
        del docker["platform"]


def _build_spark(draft: Draft, form: Json) -> Json | None:
    spark, section = draft.source.definition.spark, form["spark"]
    if section is None and not spark.repositories and not spark.packages:
        return None
    original: Json = dict(section or {})
    packages = [
        dict(zip(("group", "artifact", "version"), text.split(":", 2), strict=False)) for text in spark.packages
    ]
    return {
        **original,
        "repositories": list(spark.repositories) or original.get("repositories", []),
        "packages": packages or original.get("packages", []),
    }


def _build_r(r: R, section: Json) -> Json:
    """Return the keys of the ``r`` section that the definition holds; empty ones are as in ``section``."""
    values: Json = {
        "rVersion": r.version,
        "snapshotDate": r.snapshot,
        "cranPackages": [parse_cran_package(text) for text in r.cran],
        "githubPackages": [{"repository": text, "authToken": None} for text in r.github],
        "customUrlPackages": list(r.urls),
        "bioconductorPackages": list(r.bioconductor),
    }
    return {key: value if value or isinstance(value, str) else section.get(key) for key, value in values.items()}
