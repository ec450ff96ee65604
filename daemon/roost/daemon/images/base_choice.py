"""The base of an image: the one that the generation has, or a new one if there is none or a new generation begins."""

from __future__ import annotations

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.bases.step_sharing import StepRegistry
from roost.daemon.bases.unmodified import UnmodifiedBases
from roost.daemon.decision.facts import short_digest
from roost.daemon.decision.images import has_docker_steps
from roost.daemon.images.requests import ImageJob
from roost.daemon.jobs.progress import Progress
from roost.model.errors import LookupFailedError
from roost.model.records import Generation
from roost.wire.plans import Reason


class GenerationGoneError(LookupFailedError):
    """The result of a generation's docker steps, or its base image, is no longer available anywhere."""

    code = "generation-gone"


class BaseChooser:
    """Chooses the base for the image of a job. Reasons are in the result."""

    def __init__(self, bases: Bases, unmodified_bases: UnmodifiedBases, steps: StepRegistry) -> None:
        self._resolver = bases.resolver
        self._unmodified_bases = unmodified_bases
        self._steps = steps

    async def choose(self, job: ImageJob, progress: Progress) -> ResolvedBase:
        """Return the base: 1. the unmodified image, 2. the base that the generation has, 3. a new one.

        Raises GenerationGoneError if 2. is required and no longer available, and what resolving a base raises.
        """
        if job.is_unmodified:
            return await self._choose_unmodified(job)
        generation = job.generation
        if generation is not None and generation.base_digest is not None and not job.follows_moved_base:
            recorded = await self._find_recorded(job, generation, progress)
            if recorded is not None:
                return recorded
            if job.pinned:
                raise GenerationGoneError(
                    f"The result of the docker steps of generation {generation.number} is neither on this machine "
                    "nor in a registry",
                    hint="Without --generation and --lock they run again, as a new generation. A workspace registry "
                    "([registries] workspace in roost's config) stores their results from now on.",
                )
        return await self._resolve(job, progress)

    async def _choose_unmodified(self, job: ImageJob) -> ResolvedBase:
        """Return the generation's image, whatever its tag names now; resolve the tag if a new generation begins."""
        moved, generation = job.follows_moved_base, job.generation
        if generation is not None and not moved:
            record = await self._unmodified_bases.load_recorded(generation, job.base_reference)
            return ResolvedBase(top=record, base_digest=record.digest)
        found = await self._unmodified_bases.resolve(
            job.base_reference, job.platform, job.requested_platform, fresh=moved or job.request.rebuild
        )
        return ResolvedBase(top=found.record, base_digest=found.record.digest, reasons=found.reasons)

    async def _find_recorded(self, job: ImageJob, generation: Generation, progress: Progress) -> ResolvedBase | None:
        """Return the base that the generation has, from here or from a registry; ``None`` if the result of its docker
        steps is not available. That result is published if it could not be when it was made."""
        recorded = await self._resolver.load_recorded(generation)
        if not has_docker_steps(job.resolved.definition):
            return recorded or await self._find_base(job, generation)
        recorded = recorded or await self._steps.find_recorded(generation, job.platform)
        if recorded is None:
            return None
        published = await self._steps.publish_missing(
            recorded, job.resolved.digest, job.resolved.platform, job.platform, progress
        )
        return _with_reasons(recorded, published.reason)

    async def _find_base(self, job: ImageJob, generation: Generation) -> ResolvedBase:
        """Return the base of a generation that came from a registry with its image, or whose base was lost: exactly
        that one, and not what its name stands for now.

        Raises StepsUnknownError if a registry that may have it did not answer, GenerationGoneError if none has it.
        """
        digest, text = generation.base_digest or "", job.base_reference
        unchanged = await self._resolver.find_unchanged(digest, text, job.platform)
        if unchanged is not None:
            return ResolvedBase(top=unchanged, base_digest=digest)
        recorded = await self._steps.find_recorded(generation, job.platform, stepped=False)
        if recorded is None:
            raise GenerationGoneError(
                f"Generation {generation.number} keeps the base image {short_digest(digest)}, which is neither on "
                "this machine "
                f"nor in a registry; {text} may no longer name it",
                hint="`roost build --rebuild` uses what that names now, as a new generation; or load the old one "
                "into the engine again.",
            )
        return recorded

    async def _resolve(self, job: ImageJob, progress: Progress) -> ResolvedBase:
        """Resolve the base and run its steps, unless another machine ran them for this definition and nothing newer is
        requested."""
        definition, resolved = job.resolved.definition, job.resolved
        generation = job.facts.generation
        # A generation without a base has a prefix only.
        is_first = not job.new_generation and (generation is None or generation.base_digest is None)
        if is_first and has_docker_steps(definition):
            shared = await self._steps.find_first(resolved.digest, resolved.platform, job.platform)
            if shared is not None:
                text = (
                    "The result of these docker steps is shared already: that result is used, and they do not run again"
                )
                return _with_reasons(shared, Reason(code="steps-shared", message=text))
        base = await self._resolver.resolve(definition, job.defaults, job.platform, progress, fresh=job.request.rebuild)
        if not has_docker_steps(definition):
            return base
        publish = self._steps.publish_first if is_first else self._steps.publish_rebuild
        published = await publish(base, resolved.digest, resolved.platform, job.platform, progress)
        reasons = (*base.reasons, *([published.reason] if published.reason else []))
        return msgspec.structs.replace(published.resolved, reasons=reasons)


def _with_reasons(base: ResolvedBase, reason: Reason | None) -> ResolvedBase:
    return base if reason is None else msgspec.structs.replace(base, reasons=(*base.reasons, reason))
