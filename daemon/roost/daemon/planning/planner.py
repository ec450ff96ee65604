"""Plans: the facts about a definition for one target, and the decision made from them. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.unmodified import UnmodifiedBases
from roost.daemon.config.source import ConfigSource
from roost.daemon.credentials.request import request_credentials
from roost.daemon.credentials.substitution import VariableMissingError, registry_credentials
from roost.daemon.decision.choices import describe_selection
from roost.daemon.decision.decide import choose_target, decide
from roost.daemon.decision.facts import IMAGE_TARGETS, Facts, ImageFacts, Request, short_digest
from roost.daemon.decision.images import follows_moved_base, is_unmodified
from roost.daemon.decision.nearest import choose_nearest
from roost.daemon.definitions.resolve import is_pinned
from roost.daemon.definitions.resolved import FileLock, ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.images.interpreters import ImageInterpreters, named_interpreter
from roost.daemon.images.layer_probe import LayerProbe
from roost.daemon.images.probe import ImageProbe
from roost.daemon.images.unmodified import UnmodifiedImage, UnmodifiedImages
from roost.daemon.jobs.progress import Silent
from roost.daemon.launch.prepare import find_drift
from roost.daemon.lock_files.applying import LockFiles
from roost.daemon.locks.former import find_former_lock, list_moves
from roost.daemon.locks.registry import LockRegistry
from roost.daemon.locks.results import LookupResult
from roost.daemon.locks.shared_locks import SharedLocks
from roost.daemon.locks.solve import create_solve_job, describe_unanswered, solve_lock
from roost.daemon.oci.references import parse_reference
from roost.daemon.oci.target_platforms import format_platform
from roost.daemon.planning.estimates import PlanEstimates
from roost.daemon.projects.lookup import find_ready_layer
from roost.model.definition import Base, Defaults, Definition
from roost.model.errors import LookupFailedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import HOST_SCOPE, Artifact, Generation, IndexFacts
from roost.store.store import Store
from roost.wire.plans import Action, EnvironmentSelector, Nearest, PackageMoveView, PlanView, Reason

READY_ACTIONS: tuple[Action, ...] = ("reuse-prefix", "reuse-image", "use-interpreter")
"""Actions that leave nothing to build."""


class PlanWithFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and the facts that it was decided from."""

    plan: PlanView
    facts: Facts
    unmodified_image: UnmodifiedImage | None = None
    """The image, if the definition is an unmodified image."""
    image_interpreter: str | None = None
    """Path of the Python in the image of the generation, if known."""

    @property
    def is_ready(self) -> bool:
        """Whether a command can start at once."""
        return self.plan.action in READY_ACTIONS and not self.is_unrecorded

    @property
    def is_unrecorded(self) -> bool:
        """Whether what is ready belongs to no generation yet: an image that was in the engine before roost knew it."""
        facts = self.facts
        is_new = facts.generation is None or follows_moved_base(facts.generation, facts.image)
        return self.unmodified_image is not None and is_new


class LockFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which lock a plan is for, and what is known about it before a target is considered."""

    generation: Generation | None = None
    digest: str | None = None
    lock: Lock | None = None
    """The lock itself, if it was read to find it."""
    prefix: Artifact | None = None
    """The ready prefix of the lock."""
    shared: Reason | None = None
    """Which registry has the lock, for a definition without a generation here."""
    registry_unknown: Reason | None = None
    """A registry that may have a lock and did not answer."""
    unfit: Reason | None = None
    """A registry has a lock that no Python of this machine fits."""
    links_unanswered: Reason | None = None
    """A place of ``--find-links`` did not answer the solve."""
    differs_in_registry: Reason | None = None
    """Another machine's lock, which a registry has for the definition."""
    changes: tuple[PackageMoveView, ...] = ()
    """For a lock that was solved for: what differs from the lock before the definition was edited."""


class Planner:
    """Plans for definitions against one store."""

    def __init__(
        self, store: Store, engines: Engines, config: ConfigSource, lock_registry: LockRegistry | None = None
    ) -> None:
        self._store = store
        self._engines = engines
        self._config = config
        self.shared_locks = SharedLocks(lock_registry)
        self.lock_files = LockFiles(store.index, engines)
        self.bases = Bases(store, engines)
        layer_probe = LayerProbe(store, engines, self.bases)
        self.estimates = PlanEstimates(store.index, layer_probe)
        self.image_probe = ImageProbe(store, engines, self.bases, config)
        self._interpreters = ImageInterpreters(engines)
        self._unmodified_images = UnmodifiedImages(
            store,
            engines,
            UnmodifiedBases(store, engines, self.bases),
            self.image_probe,
            layer_probe,
            self._interpreters,
        )

    @property
    def defaults(self) -> Defaults:
        """Values that a definition gets today for what it does not set."""
        return self._config.defaults

    async def plan(
        self, resolved: TargetedDefinition, request: Request, selector: EnvironmentSelector, *, solve: bool = False
    ) -> PlanWithFacts:
        """Decide, changing nothing. With ``solve`` an unknown lock is solved for, and stored nowhere."""
        credentials = registry_credentials(resolved.parsed.credentials, selector.environ, all_needed=False)
        with request_credentials(credentials):
            target = choose_target(request)
            if target in IMAGE_TARGETS and is_unmodified(resolved.definition):
                return await self._plan_unmodified(target, resolved, request, selector)
            facts = await self._gather_facts(resolved, request, selector, solve=solve)
            decided = decide(request, facts)
            chosen = describe_selection(resolved.parsed.selection)
            reasons = [
                *decided.reasons,
                *([chosen] if chosen is not None else []),
                *_list_file_reasons(resolved, facts),
            ]
            plan = msgspec.structs.replace(decided, changes=list(facts.changes), reasons=reasons)
            interpreter, is_user_managed = facts.image.interpreter, resolved.definition.python.user_managed
            image = plan.artifact.digest if plan.action == "reuse-image" and plan.artifact is not None else None
            if image is not None and is_user_managed:
                # Which interpreter a user-managed definition names is a setting: it is recorded with no image.
                interpreter = await self._interpreters.find(image, named_interpreter(resolved))
            return PlanWithFacts(plan=plan, facts=facts, image_interpreter=interpreter)

    async def _plan_unmodified(
        self, target: str, resolved: TargetedDefinition, request: Request, selector: EnvironmentSelector
    ) -> PlanWithFacts:
        known = await self._load_index_facts(resolved)
        lock = await self._find_lock(resolved, request, selector, known)
        plan, facts, image = await self._unmodified_images.plan(
            target,
            resolved,
            request,
            lock.generation,
            definition_known=known.known,
            pinned=is_pinned(selector),
        )
        return PlanWithFacts(plan=plan, facts=facts, unmodified_image=image)

    async def _gather_facts(
        self, resolved: TargetedDefinition, request: Request, selector: EnvironmentSelector, *, solve: bool
    ) -> Facts:
        if resolved.definition.python.user_managed and not resolved.is_image:
            return Facts(platform=resolved.platform, interpreter=await self._describe_interpreter(resolved, selector))
        pinned = is_pinned(selector)
        known = await self._load_index_facts(resolved)
        lock = await self._find_lock(resolved, request, selector, known)
        is_unknown = lock.generation is None and not pinned and resolved.file_lock is None
        nearest = await self._find_nearest(resolved) if is_unknown else None
        missing_python = await _find_missing_python(resolved) if lock.digest is None else None
        if solve and lock.digest is None:
            lock = await self._solve(resolved, selector, lock, prefers=not (request.rebuild or request.as_of))
        image, prefix = ImageFacts(), lock.prefix
        if resolved.project is not None:
            prefix = await find_ready_layer(self._store.index, lock.digest, resolved.project) if lock.digest else None
        if resolved.is_image:
            check_image(resolved.definition)
            if lock.digest is not None:
                image = await self.image_probe.probe(resolved, lock.digest, lock.generation, pinned=pinned)
        facts = Facts(
            platform=resolved.platform,
            definition_known=known.known,
            generation=lock.generation,
            lock_digest=lock.digest,
            prefix=prefix,
            project=resolved.project.name if resolved.project else None,
            has_base_prefix=lock.prefix is not None,
            prefix_drift=await asyncio.to_thread(find_drift, prefix) if prefix else None,
            shared_lock=lock.shared,
            missing_python=missing_python,
            registry_unknown=lock.registry_unknown,
            links_unanswered=lock.links_unanswered,
            unfit_lock=lock.unfit,
            differs_in_registry=lock.differs_in_registry,
            image=image,
            nearest=nearest,
            changes=lock.changes,
        )
        publishes = self.shared_locks.publishes(resolved, selector)
        return await self.estimates.complete(facts, resolved, request, lock.lock, publishes=publishes)

    async def _load_index_facts(self, resolved: TargetedDefinition) -> IndexFacts:
        """Read what the index has. The specs of an unknown definition are checked: no build did so yet."""
        stated = resolved.file_lock.digest if resolved.file_lock is not None else None
        known = await self._store.index.load_facts(resolved.digest, resolved.generation_scope, lock=stated)
        if not known.known:
            await self.check_specs(resolved)
        return known

    async def find_lock(
        self, resolved: TargetedDefinition, request: Request, selector: EnvironmentSelector
    ) -> LockFacts:
        """Return which lock a plan of ``resolved`` is for, from the index and from registries of locks.

        Raises MatchSpecError, LookupFailedError if a pinned generation or lock is unknown, LockUntrustedError.
        """
        return await self._find_lock(resolved, request, selector, await self._load_index_facts(resolved))

    async def _find_lock(
        self, resolved: TargetedDefinition, request: Request, selector: EnvironmentSelector, known: IndexFacts
    ) -> LockFacts:
        """Find the lock: 1. the pinned one, here or in a registry; 2. that of the lock file; 3. that of the current
        generation; 4. none, if a new generation is requested; 5. the first one that was published."""
        generation, prefix = known.generation, known.artifact
        if is_pinned(selector):
            try:
                generation = await self._find_generation(resolved, selector)
            except LookupFailedError:
                found = await self.shared_locks.find(resolved, selector)
                if found is None:
                    raise
                return _published_lock(LookupResult(found=found))
            prefix = await self._store.index.artifacts.find_ready("prefix", generation.lock_digest)
        if generation is not None:
            return LockFacts(
                generation=generation,
                digest=generation.lock_digest,
                prefix=prefix,
                differs_in_registry=self.shared_locks.known_difference(generation) if generation.current else None,
            )
        if request.rebuild or request.as_of:
            return LockFacts()
        if resolved.file_lock is not None:
            return _file_lock(resolved.file_lock)
        return _published_lock(await self.shared_locks.look_up(resolved, selector))

    async def _find_generation(self, resolved: TargetedDefinition, selector: EnvironmentSelector) -> Generation:
        generations = await self._store.index.generations.list_by_definition(resolved.digest)
        matching = [
            each
            for each in generations
            if each.platform == resolved.generation_scope
            and selector.generation in (None, each.number)
            and selector.lock in (None, each.lock_digest)
        ]
        if not matching:
            numbered = selector.generation is not None
            requested = f"generation {selector.generation}" if numbered else f"lock {selector.lock}"
            raise LookupFailedError(
                f"This definition has no {requested} for {resolved.generation_scope.removesuffix(HOST_SCOPE)} "
                "on this machine",
                hint=f"Generations here: {_format_generations(generations)}."
                if generations
                else "It has no generation here yet: `roost build` creates the first one.",
            )
        return matching[-1]

    async def _solve(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, looked_up: LockFacts, *, prefers: bool
    ) -> LockFacts:
        former = await find_former_lock(self._store.index, resolved) if prefers else None
        job = create_solve_job(resolved, selector, former)
        lock = await solve_lock(self._engines, job, Silent())
        digest = digest_lock(lock)
        return LockFacts(
            digest=digest,
            lock=lock,
            prefix=await self._store.index.artifacts.find_ready("prefix", digest),
            registry_unknown=looked_up.registry_unknown,
            links_unanswered=describe_unanswered(lock),
            unfit=looked_up.unfit,
            changes=tuple(await list_moves(former, lock, resolved)) if former is not None else (),
        )

    async def _find_nearest(self, resolved: TargetedDefinition) -> Nearest | None:
        name, path = resolved.source.name, resolved.source.path
        known = await self._store.index.definitions.list_candidates(name, path)
        others = [candidate for candidate in known if candidate.digest != resolved.digest]
        return await asyncio.to_thread(choose_nearest, resolved.canonical, name, path, others)

    async def check_specs(self, resolved: ResolvedDefinition) -> None:
        """Have the engine check all match specs of a definition. Raises MatchSpecError with the spec's location."""
        dependencies = resolved.definition.conda.dependencies
        if dependencies:
            await self._engines.conda_rules().check_specs(dependencies, resolved.parsed.locations)

    async def _describe_interpreter(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector
    ) -> dict[str, object]:
        """Return path, version and mtime of a user-managed interpreter. A bare name is looked up on the client's PATH:
        the daemon's own PATH is that of whoever happened to start it."""
        from roost.daemon.engines.host_python.engine import describe_interpreter

        named = resolved.definition.python.interpreter
        if "/" not in named and "PATH" not in selector.environ:
            raise VariableMissingError(
                f"The interpreter {named} is to be found on PATH, which was not sent",
                hint="Set PATH where roost is called, or name the interpreter by its path.",
                fields={"variables": ["PATH"]},
            )
        return await asyncio.to_thread(describe_interpreter, named, selector.environ.get("PATH"))


def _file_lock(found: FileLock) -> LockFacts:
    return LockFacts(digest=found.digest, lock=found.lock, shared=_file_reason(found))


def _file_reason(found: FileLock) -> Reason:
    text = f"{found.shown} has lock {short_digest(found.digest)} for this definition"
    return Reason(code="lock-file", message=text)


def _list_file_reasons(resolved: TargetedDefinition, facts: Facts) -> list[Reason]:
    """Return what a plan says of the lock file beside the decision: that it is why a generation is used, or why it is
    not used itself."""
    is_known = resolved.file_lock is not None and facts.generation is not None
    return [*([_file_reason(resolved.file_lock)] if is_known and resolved.file_lock else []), *resolved.lock_reasons]


async def _find_missing_python(resolved: TargetedDefinition) -> Reason | None:
    """Return the reason if a solve takes conda's Python because no Python of this machine fits."""
    from roost.daemon.engines.host_python.engine import find_interpreter

    if not resolved.uses_host_python:
        return None
    try:
        await find_interpreter(resolved.definition.python.requires)
    except NoInterpreterError as error:
        channels = ", ".join(resolved.definition.conda.channels or resolved.defaults.channels)
        listed = error.fields.get("found")
        found = ", ".join(map(str, listed)) if isinstance(listed, list) else ""
        wanted = resolved.definition.python.requires or "any version"
        text = f"No Python on this machine fits {wanted} (found {found or 'none'}): conda's from {channels} is taken"
        return Reason(code="python-from-conda", message=text)
    return None


def _published_lock(result: LookupResult) -> LockFacts:
    found = result.found
    if found is None:
        return LockFacts(registry_unknown=result.unknown, unfit=result.misfit)
    return LockFacts(
        digest=found.lock_digest,
        lock=found.shared.lock,
        shared=found.reason,
        registry_unknown=result.unknown,
        unfit=result.misfit,
    )


def _format_generations(generations: Sequence[Generation]) -> str:
    """Return the numbers of generations by platform: each platform has numbers of its own."""
    numbers: dict[str, list[str]] = {}
    for each in generations:
        numbers.setdefault(format_platform(each.platform), []).append(str(each.number))
    return "; ".join(f"{', '.join(all_of)} for {platform}" for platform, all_of in numbers.items())


def check_image(definition: Definition) -> None:
    """Check the base and the docker steps as far as possible without an engine or a registry.

    Raises: ReferenceInvalidError, StepInvalidError.
    """
    from roost.daemon.engines.docker.building.steps import parse_steps

    base = definition.base or Base()
    if base.image is not None:
        parse_reference(base.image)
    parse_steps(base.steps)
