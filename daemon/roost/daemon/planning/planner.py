"""Gathers the facts that the decision needs, and asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.unmodified import UnmodifiedBases
from roost.daemon.config.source import ConfigSource
from roost.daemon.credentials.request import request_credentials
from roost.daemon.credentials.substitution import VariableMissingError, registry_credentials, substitute_credentials
from roost.daemon.decision.decide import PREFIX_STEP_KINDS, choose_target, decide
from roost.daemon.decision.facts import IMAGE_TARGETS, Facts, Request
from roost.daemon.decision.images import follows_moved_base, is_unmodified
from roost.daemon.decision.nearest import choose_nearest
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.facts import ImageProbe
from roost.daemon.images.interpreters import ImageInterpreters, named_interpreter
from roost.daemon.images.unmodified_images import UnmodifiedImage, UnmodifiedImages
from roost.daemon.jobs.progress import Silent
from roost.daemon.launch.prepare import find_drift
from roost.daemon.locks.share import LockRegistry
from roost.daemon.locks.shared_locks import SharedLocks
from roost.daemon.locks.solve import SolveJob, solve_lock
from roost.daemon.oci.references import parse_reference
from roost.daemon.oci.target_platforms import format_platform
from roost.model.definition import Base, Defaults, Definition
from roost.model.errors import LookupFailedError
from roost.model.locks.lock import digest_lock, sum_sizes
from roost.model.records import Artifact, Generation
from roost.model.syntax.match_specs import MatchSpecError
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector, PlanView


class PlanWithFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, with the facts behind it."""

    plan: PlanView
    facts: Facts
    unmodified_image: UnmodifiedImage | None = None
    """Of a definition that is an image to be taken as it is."""

    @property
    def unrecorded(self) -> bool:
        """Whether what is ready belongs to no generation yet: an image that the engine had before roost knew it."""
        moved = self.facts.generation is None or follows_moved_base(self.facts)
        return self.unmodified_image is not None and moved


def _uses_interpreter(resolved: TargetedDefinition) -> bool:
    return resolved.definition.python.user_managed and not resolved.is_image


class Planner:
    """Plans for definitions against one store."""

    def __init__(self, store: Store, engines: Engines, config: ConfigSource, share: LockRegistry | None = None) -> None:
        self._store = store
        self.shared_locks = SharedLocks(share, self.solve_job)
        self._engines = engines
        self.bases = Bases(store, engines)
        self.image_probe = ImageProbe(store, engines, self.bases, config)
        self.interpreters = ImageInterpreters(engines)
        plain = UnmodifiedBases(store, engines, self.bases)
        self.unmodified_images = UnmodifiedImages(store, engines, plain, self.image_probe, self.interpreters)
        self._config = config

    @property
    def defaults(self) -> Defaults:
        """Values that a definition gets today for what it does not set."""
        return self._config.defaults

    async def plan(
        self, resolved: TargetedDefinition, request: Request, what: EnvironmentSelector, *, solve: bool = False
    ) -> PlanWithFacts:
        """Decide, changing nothing. With ``solve`` an unknown lock is solved for, and kept nowhere."""
        with request_credentials(registry_credentials(resolved.parsed.credentials, what.environ, all_needed=False)):
            return await self._plan(resolved, request, what, solve=solve)

    async def _plan(
        self, resolved: TargetedDefinition, request: Request, what: EnvironmentSelector, *, solve: bool
    ) -> PlanWithFacts:
        target = choose_target(request)
        facts = await self._facts(resolved, request, what)
        if target in IMAGE_TARGETS and is_unmodified(resolved.definition):
            return await self._as_it_is(target, resolved, request, what, facts)
        if solve and facts.lock_digest is None and not _uses_interpreter(resolved):
            facts = await self._solved(facts, resolved, what)
        if resolved.is_image:
            check_image(resolved.definition)
            exact = what.generation is not None or what.lock is not None
            facts = await self.image_probe.look(facts, resolved, exact=exact)
        plan = decide(request, facts)
        if plan.action == "reuse-image":
            facts = await self._with_interpreter(facts, resolved, plan)
        return PlanWithFacts(plan=plan, facts=facts)

    async def _with_interpreter(self, facts: Facts, resolved: TargetedDefinition, plan: PlanView) -> Facts:
        """Where Python is the user's, the image does not know which one this definition means. Raises
        InterpreterMissingError."""
        named, image = named_interpreter(resolved), plan.artifact.digest if plan.artifact else None
        if named is None or image is None:
            return facts
        found = await self.interpreters.find(image, named)
        return msgspec.structs.replace(facts, image=msgspec.structs.replace(facts.image, interpreter=found))

    async def _as_it_is(
        self, target: str, resolved: TargetedDefinition, request: Request, what: EnvironmentSelector, facts: Facts
    ) -> PlanWithFacts:
        exact = what.generation is not None or what.lock is not None
        plan, facts, image = await self.unmodified_images.plan(target, resolved, request, facts, exact=exact)
        return PlanWithFacts(plan=plan, facts=facts, unmodified_image=image)

    async def known(self, resolved: TargetedDefinition, request: Request, what: EnvironmentSelector) -> Facts:
        """What the index says of ``resolved``, and registries of its lock; neither engines nor bases are looked at."""
        return await self._facts(resolved, request, what)

    async def _facts(self, resolved: TargetedDefinition, request: Request, what: EnvironmentSelector) -> Facts:
        if _uses_interpreter(resolved):
            return Facts(platform=resolved.platform, interpreter=await self._interpreter(resolved, what))
        known = await self._store.index.load_facts(resolved.digest, resolved.generation_scope, PREFIX_STEP_KINDS)
        if not known.known:
            await self.check_specs(resolved)
        generation, prefix = known.generation, known.artifact
        if what.generation is not None or what.lock is not None:
            try:
                generation, prefix = await self._older(resolved, what)
            except LookupFailedError:
                bare = Facts(platform=resolved.platform, definition_known=known.known, estimates=known.estimates)
                named = await self.shared_locks.named(bare, resolved, what)
                if named is None:
                    raise
                return named
        facts = Facts(
            platform=resolved.platform,
            definition_known=known.known,
            generation=generation,
            lock_digest=generation.lock_digest if generation else None,
            prefix=prefix,
            prefix_drift=await asyncio.to_thread(find_drift, prefix) if prefix else None,
            estimates=known.estimates,
        )
        if generation is not None:
            elsewhere = self.shared_locks.remembered(generation) if generation.current else None
            return msgspec.structs.replace(facts, differs_in_registry=elsewhere)
        if not (request.rebuild or request.as_of):
            facts = await self.shared_locks.facts(facts, resolved, what)
        return await self._with_nearest(facts, resolved)

    async def check_specs(self, resolved: ResolvedDefinition) -> None:
        """Whether a match spec is one is the engine's to say. Raises MatchSpecError with its place."""
        if not resolved.definition.conda.dependencies:
            return
        conda = await self._engines.conda()
        for spec in resolved.definition.conda.dependencies:
            try:
                conda.check_specs([spec])
            except MatchSpecError as error:
                error.location = resolved.parsed.locations.get(spec)
                raise

    async def _interpreter(self, resolved: TargetedDefinition, what: EnvironmentSelector) -> dict[str, object]:
        """A bare name is looked for where the client would find it: the daemon's own PATH is that of whoever happened
        to start it."""
        from roost.daemon.engines.host_python.engine import describe_interpreter

        named = resolved.definition.python.interpreter
        if "/" not in named and "PATH" not in what.environ:
            raise VariableMissingError(
                f"The interpreter {named} is looked for on PATH, which was not sent",
                hint="Set PATH where roost is called, or name the interpreter by its path.",
                fields={"variables": ["PATH"]},
            )
        return await asyncio.to_thread(describe_interpreter, named, what.environ.get("PATH"))

    async def _older(
        self, resolved: TargetedDefinition, what: EnvironmentSelector
    ) -> tuple[Generation, Artifact | None]:
        generations = await self._store.index.generations.list_by_definition(resolved.digest)
        wanted = [
            g
            for g in generations
            if g.platform == resolved.generation_scope
            and (what.generation is None or g.number == what.generation)
            and (what.lock is None or g.lock_digest == what.lock)
        ]
        if not wanted:
            asked = f"generation {what.generation}" if what.generation is not None else f"lock {what.lock}"
            raise LookupFailedError(
                f"This definition has no {asked} for {format_platform(resolved.generation_scope)} on this machine",
                hint=f"Generations here: {_told(generations)}.",
            )
        return wanted[-1], await self._store.index.artifacts.find_ready("prefix", wanted[-1].lock_digest)

    async def _with_nearest(self, facts: Facts, resolved: TargetedDefinition) -> Facts:
        name, path = resolved.source.name, resolved.source.path
        known = await self._store.index.definitions.list_candidates(name, path)
        others = [candidate for candidate in known if candidate.digest != resolved.digest]
        nearest = await asyncio.to_thread(choose_nearest, resolved.canonical, name, path, others)
        return msgspec.structs.replace(facts, nearest=nearest)

    async def _solved(self, facts: Facts, resolved: TargetedDefinition, what: EnvironmentSelector) -> Facts:
        lock = await solve_lock(self._engines, self.solve_job(resolved, what), Silent())
        digest = digest_lock(lock)
        prefix = await self._store.index.artifacts.find_ready("prefix", digest)
        return msgspec.structs.replace(
            facts,
            lock_digest=digest,
            lock_bytes=sum_sizes(lock),
            prefix=prefix,
            prefix_drift=await asyncio.to_thread(find_drift, prefix) if prefix else None,
        )

    def solve_job(self, resolved: TargetedDefinition, what: EnvironmentSelector) -> SolveJob:
        """What the engines need to lock ``resolved``."""
        return SolveJob(
            definition=resolved.definition,
            defaults=resolved.defaults,
            platform=resolved.platform,
            credentials=substitute_credentials(resolved.parsed.credentials, what.environ),
            environ=what.environ,
            image=resolved.is_image,
        )


def _told(generations: Sequence[Generation]) -> str:
    """Numbers by platform, for each counts its own."""
    numbers: dict[str, list[str]] = {}
    for each in generations:
        numbers.setdefault(format_platform(each.platform), []).append(str(each.number))
    return "; ".join(f"{', '.join(all_of)} for {platform}" for platform, all_of in numbers.items()) or "none"


def check_image(definition: Definition) -> None:
    """What can be said of the base and the steps without asking anybody. Raises ReferenceInvalidError,
    StepInvalidError."""
    from roost.daemon.engines.docker.steps import parse_steps

    base = definition.base or Base()
    if base.image is not None:
        parse_reference(base.image)
    parse_steps(base.steps)
