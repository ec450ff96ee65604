"""What Azure's files say and no definition does: under ``kept.azure`` of a document, and attributes of sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roost.client.api.sections.databricks import of_kept, to_kept

if TYPE_CHECKING:
    from roost.client.api.environment import Environment

Json = dict[str, Any]


def put_kept(document: Json, environment: Environment) -> None:
    """Add it to ``document``; what is as usual is left out."""
    r = environment.r
    said: dict[str, Json] = {
        "docker": {"enabled": environment.docker.enabled or None},
        "spark": {"precachePackages": None if environment.spark.precache_packages else False},
        "r": {} if r is None else {"userManaged": r.user_managed or None, "rscriptPath": r.rscript_path or None},
        "databricks": to_kept(environment.databricks),
    }
    azure: Json = dict(document.get("kept", {}).get("azure", {}))
    for section, values in said.items():
        if given := {key: value for key, value in values.items() if value is not None}:
            azure[section] = {**azure.get(section, {}), **given}
    if azure:
        document["kept"] = {**document.get("kept", {}), "azure": azure}


def fill_kept(environment: Environment, rest: Json) -> None:
    """Take it out of ``rest`` of a document."""
    azure: Json = rest.get("kept", {}).get("azure", {})
    environment.docker.enabled = bool(_taken(azure, "docker", "enabled", False))
    environment.spark.precache_packages = bool(_taken(azure, "spark", "precachePackages", True))
    if environment.r is not None:
        environment.r.user_managed = bool(_taken(azure, "r", "userManaged", False))
        environment.r.rscript_path = _taken(azure, "r", "rscriptPath", None)
    environment.databricks = of_kept(azure.pop("databricks", {}))
    if "kept" in rest and "azure" in rest["kept"]:
        rest["kept"]["azure"] = {key: value for key, value in azure.items() if value != {}}
        if not rest["kept"]["azure"]:
            del rest["kept"]["azure"]


def _taken(azure: Json, section: str, key: str, usual: object) -> Any:  # noqa: ANN401 - the key says which
    table = azure.get(section)
    return table.pop(key, usual) if isinstance(table, dict) else usual
