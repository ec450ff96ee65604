"""Azure's formats: the folder of the SDK's ``save_to_directory``, and environment YAML of the CLI v2."""

from __future__ import annotations

import json
from typing import Any

from roost.model.definition import Base, Conda, Pip, R
from roost.model.forms.azure import CONDA_FILE, CONDA_NAME, DOCKER_FILE, TEMPLATE, cran_package, restored
from roost.model.writers.conda import conda_file
from roost.model.writers.parts import CONTEXT, Copy, Draft, ExportImpossibleError, as_dockerfile, dump_yaml, image_of

Json = dict[str, Any]
SCHEMA = "https://azuremlschemas.azureedge.net/latest/environment.schema.json"
V2_CONDA_FILE = "conda.yml"
_SAID = (
    *("base.image", "base.dockerfile", "base.steps", "base.platform", "conda", "pip"),
    *("python.user_managed", "python.interpreter", "spark", "r", "inference", "variables", "container", "kept.azure"),
)
_SYSTEMS = {"linux": "Linux", "windows": "Windows", "osx": "OSX"}


def write_azure(draft: Draft) -> None:
    """``azureml_environment.json`` and, where there is something to say in them, ``conda_dependencies.yml`` and
    ``BaseDockerfile``. Raises ExportImpossibleError."""
    exported = draft.exported
    definition, kept = exported.definition, exported.settings.kept.get("azure", {})
    layout = kept.get("layout", {})
    form = restored({key: value for key, value in kept.items() if key != "layout"}, with_r=definition.r is not None)
    form["name"] = exported.name
    form["python"] = _python(draft, form)
    form["docker"] = _docker(draft, form)
    form["spark"] = _spark(draft, form)
    form["inferencingStackVersion"] = definition.inference_stack
    form["environmentVariables"] = dict(exported.settings.variables) or form["environmentVariables"]
    if definition.r is not None:
        form["r"] = {**form["r"], **_r(definition.r, form["r"])}
    draft.main(json.dumps(form, indent=4, ensure_ascii=False) + "\n")
    if definition.conda != Conda() or definition.pip != Pip():
        _write_packages(draft, layout if isinstance(layout, dict) else {})
    if dockerfile := as_dockerfile(definition.base or Base(), exported.defaults):
        draft.text(DOCKER_FILE, dockerfile)
    draft.warn_losses(_SAID)


def write_azure_v2(draft: Draft) -> None:
    """``environment.yml`` with a conda file beside it, and a build context where there is a Dockerfile."""
    exported = draft.exported
    definition, base = exported.definition, exported.definition.base or Base()
    content: Json = {"$schema": SCHEMA, **({"name": exported.name} if exported.name else {})}
    content.update(_v2_base(draft, base))
    if definition.conda != Conda() or definition.pip != Pip():
        content["conda_file"] = f"./{V2_CONDA_FILE}"
        draft.text(V2_CONDA_FILE, dump_yaml(conda_file(draft)))
    elif exported.settings.variables:
        content["conda_file"] = {"variables": dict(exported.settings.variables)}
    draft.main(dump_yaml({**content, **exported.settings.kept.get("azure-v2", {})}))
    draft.warn_losses(
        ("kept.azure-v2", "base.image", "base.dockerfile", "base.context", "base.steps", "conda", "pip", "variables")
    )


def _v2_base(draft: Draft, base: Base) -> Json:
    if text := as_dockerfile(base, draft.exported.defaults):
        draft.text(f"{CONTEXT}/Dockerfile", text)
        draft.warn("export-changed", f"the Dockerfile became the build context {CONTEXT}/, with a digest of its own")
        return {"build": {"path": f"./{CONTEXT}"}}
    if base.context is not None:
        if base.context_path is None:
            raise ExportImpossibleError(
                "The build context of this environment is known by its digest only",
                hint="Export it as roost's own file, or where the context's folder is.",
            )
        draft.copies[CONTEXT] = Copy(digest=base.context, path=base.context_path, folder=True, context=True)
        return {"build": {"path": f"./{CONTEXT}"}}
    image = image_of(base, draft.exported.defaults)
    if image is None:
        image = draft.exported.defaults.base_image
        draft.warn("export-base", f"Azure wants an image to be named: it is the default one, {image}")
    return {"image": image}


def _write_packages(draft: Draft, layout: Json) -> None:
    """Azure's own channels where the definition names none, as in what was read from it."""
    content = conda_file(draft, name=str(layout.get("conda_name", CONDA_NAME)), variables=False)
    members, place = content["dependencies"], layout.get("pip_at")
    if isinstance(place, int) and members and isinstance(members[-1], dict):
        members.insert(place, members.pop())
    channels = draft.exported.definition.conda.channels
    content.pop("channels", None)
    if channels:
        content["channels"] = list(channels)
    elif draft.exported.definition.conda.dependencies:
        ours = ", ".join(draft.exported.defaults.channels)
        draft.warn("export-channels", f"the definition names no channel: here that means {ours}, to Azure its own")
    draft.text(CONDA_FILE, dump_yaml(content))


def _python(draft: Draft, form: Json) -> Json | None:
    python, section = draft.exported.definition.python, form["python"]
    own: Json = section if isinstance(section, dict) else {}
    if section is None and not python.user_managed and python.interpreter == "python":
        return None
    said = {"userManagedDependencies": python.user_managed, "interpreterPath": python.interpreter}
    usual = TEMPLATE["python"]
    return {
        **own,
        **{key: value for key, value in said.items() if own.get(key, value) is not None or value != usual[key]},
    }


def _docker(draft: Draft, form: Json) -> Json | None:
    base, container = draft.exported.definition.base, draft.exported.settings.container
    section = form["docker"]
    if section is None and base is None and not container.arguments and container.shm_size is None:
        return None
    docker: Json = dict(section or {})
    docker["shmSize"] = container.shm_size
    docker["arguments"] = list(container.arguments) or docker.get("arguments", [])
    if base is not None:
        _say_base(draft, base, docker)
    return docker


def _say_base(draft: Draft, base: Base, docker: Json) -> None:
    if base.context is not None:
        raise ExportImpossibleError(
            "This environment is made from a build context, which Azure's SDK keeps in its storage only",
            hint="Export it with --format azure-v2 or roost.",
        )
    if base.steps:
        draft.warn("export-changed", "the docker steps became a Dockerfile, with a digest of its own")
    registry: Json = dict(docker.get("baseImageRegistry") or {})
    address = str(registry.get("address") or "").rstrip("/")
    image = None if base.steps else image_of(base, draft.exported.defaults)
    if address and (image or "").startswith(f"{address}/"):
        image = (image or "").removeprefix(f"{address}/")
    elif address:
        docker["baseImageRegistry"] = {**registry, "address": None}
    docker["baseImage"] = image
    _say_platform(base.platform, docker)


def _say_platform(platform: str | None, docker: Json) -> None:
    """Without the key it is Azure's default, and no word about it to roost."""
    if platform is None:
        if docker.get("platform") is not None:
            del docker["platform"]
        return
    system, _, architecture = platform.partition("/")
    docker["platform"] = {
        "os": _SYSTEMS.get(system, system),
        **({"architecture": architecture} if architecture else {}),
    }


def _spark(draft: Draft, form: Json) -> Json | None:
    spark, section = draft.exported.definition.spark, form["spark"]
    if section is None and not spark.repositories and not spark.packages:
        return None
    own: Json = dict(section or {})
    packages = [
        dict(zip(("group", "artifact", "version"), text.split(":", 2), strict=False)) for text in spark.packages
    ]
    return {
        **own,
        "repositories": list(spark.repositories) or own.get("repositories", []),
        "packages": packages or own.get("packages", []),
    }


def _r(r: R, section: Json) -> Json:
    said: Json = {
        "rVersion": r.version,
        "snapshotDate": r.snapshot,
        "cranPackages": [cran_package(text) for text in r.cran],
        "githubPackages": [{"repository": text, "authToken": None} for text in r.github],
        "customUrlPackages": list(r.urls),
        "bioconductorPackages": list(r.bioconductor),
    }
    return {key: value if value or isinstance(value, str) else section.get(key) for key, value in said.items()}
