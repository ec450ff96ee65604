"""One request for an environment that is ready, and what it means for the builds that are running."""

from __future__ import annotations

import msgspec

from roost.daemon.caller.current import caller_variables
from roost.daemon.caller.variables import select_docker
from roost.daemon.config.ids import new_id
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.planning.planner import PlanWithFacts
from roost.model.records import BuildRecord
from roost.store.clock import utc_now
from roost.wire.plans import Action, EnvironmentSelector


def _engine_key() -> tuple[tuple[str, str], ...]:
    """Return what names the caller's Docker engine: an image in another one is of no use to him."""
    return tuple(sorted(select_docker(caller_variables()).items()))


BUILD_ACTIONS: tuple[Action, ...] = ("build-prefix", "build-image", "pull-image")
"""Actions that produce something which was not ready before."""


class BuildJob(msgspec.Struct, frozen=True, kw_only=True):
    """One request for an environment that is ready."""

    resolved: TargetedDefinition
    """The definition for the request's target."""
    request: Request
    selector: EnvironmentSelector
    push: str | None = None
    """Location of the registry that the image is for; ``None``: it is for an engine."""
    background: bool = False
    """Whether nobody waits for it (``daemon.prebuilding``): it gives way to whoever asks for the same."""

    @property
    def key(self) -> tuple[object, ...]:
        """Requests with the same key are one build."""
        request, selector = self.request, self.selector
        return (
            self.resolved.digest,
            self.resolved.generation_scope,
            request.rebuild,
            request.as_of,
            selector.generation,
            selector.lock,
            self.resolved.file_lock.digest if self.resolved.file_lock is not None else None,
            self.push,
            (project.folder, project.digest) if (project := self.resolved.project) is not None else (),
            _engine_key() if self.resolved.is_image and self.push is None else (),
        )

    @property
    def generation_key(self) -> tuple[str, str]:
        """What the generations of this job are counted under: definition digest and scope."""
        return self.resolved.digest, self.resolved.generation_scope

    @property
    def new_generation(self) -> bool:
        """Whether a new generation is requested."""
        return self.request.rebuild or self.request.as_of is not None

    @property
    def pinned(self) -> bool:
        """Whether an older generation or a lock is requested: nothing else will do."""
        return self.selector.generation is not None or self.selector.lock is not None

    def is_satisfied_by(self, planned: PlanWithFacts) -> bool:
        """Whether ``planned`` leaves nothing to build, push or record."""
        return self.push is None and planned.plan.action not in BUILD_ACTIONS and not planned.is_unrecorded

    def new_record(self) -> BuildRecord:
        """Return the record of a build of this job that begins now."""
        source = self.resolved.source
        return BuildRecord(
            id=new_id("b"),
            definition_digest=self.resolved.digest,
            platform=self.resolved.platform,
            state="solving",
            created=utc_now(),
            name=source.name,
            source=source.path,
        )
