"""Images that bring their own Python and are taken as they are: ``--image REF``, and definitions that name a base image
and nothing to put on top of it. The engine has the image or pulls it; its interpreter is looked for, and that is all.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager

import msgspec

from roost.client.wire import Action, ArtifactView, BuildResult, Message, PlanView, Reason, Step
from roost.daemon.build_progress import BuildProgress
from roost.daemon.decide_images import adds_python, has_steps
from roost.daemon.engine_set import Engines
from roost.daemon.flights import Flight, Flights, Listener
from roost.daemon.oci import parse_reference
from roost.daemon.resolve import IMAGE_FORMAT, Resolved
from roost.daemon.views import error_body
from roost.store.definition import Definition
from roost.store.errors import RoostError
from roost.store.records import Estimate
from roost.store.store import Store

INTERPRETERS = ("python", "python3")
"""What is looked for where nothing is named: an image without a Python may be run as well."""
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")


class UserImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the user named it, and what the engine has of it."""

    reference: str
    platform: str | None = None
    """``linux/arm64`` and the like, where the definition asks for it."""
    built_for: str | None = None
    """What the engine says it is for; ``None``: the engine lacks it."""
    id: str | None = None
    """``None``: the engine lacks it."""
    bytes: int | None = None
    interpreter: str | None = None
    """Its path in the image; ``None`` where nothing was named and nothing is there."""

    @property
    def record(self) -> dict[str, object] | None:
        """What a run keeps of the interpreter."""
        return {"path": self.interpreter, "image": self.id} if self.id else None


def is_plain(definition: Definition) -> bool:
    """Whether the base image is all there is."""
    base = definition.base
    return base is not None and base.image is not None and not has_steps(definition) and not adds_python(definition)


class UserImages:
    """Finds and pulls them."""

    def __init__(self, store: Store, engines: Engines) -> None:
        self._store = store
        self._engines = engines
        self._flights: Flights[BuildResult] = Flights()
        self._interpreters: dict[tuple[str, str], str | None] = {}
        """By image id, whose content never changes, and what was looked for."""

    async def find(self, resolved: Resolved) -> UserImage:
        """Ask the engine. Raises the engine's errors, ImagePlatformError, InterpreterMissingError."""
        from roost.daemon.engines.docker_errors import ImagePlatformError

        base = resolved.definition.base
        assert base is not None
        assert base.image is not None
        if not _ID.fullmatch(base.image):
            parse_reference(base.image)
        image = await (await self._engines.docker()).image(base.image)
        if image is None:
            return UserImage(reference=base.image, platform=base.platform)
        if base.platform and image.platform != "/".join(base.platform.split("/")[:2]):
            raise ImagePlatformError(
                f"The engine's {base.image} is for {image.platform}, and {base.platform} is asked for",
                hint=f"`docker pull --platform {base.platform} {base.image}` fetches the other.",
            )
        return UserImage(
            reference=base.image,
            platform=base.platform,
            built_for=image.platform,
            id=image.id,
            bytes=image.bytes,
            interpreter=await self._interpreter(resolved, image.id, image.variables),
        )

    async def _interpreter(self, resolved: Resolved, image: str, variables: tuple[str, ...]) -> str | None:
        named = resolved.definition.python.interpreter if _names_interpreter(resolved) else None
        key = (image, named or "")
        if key not in self._interpreters:
            engine = await self._engines.docker()
            names = (named,) if named else INTERPRETERS
            self._interpreters[key] = await engine.containers.find_in_image(image, names, variables)
        found = self._interpreters[key]
        if found is None and named:
            from roost.daemon.engines.docker_errors import InterpreterMissingError

            raise InterpreterMissingError(
                f"The image has no {named}, which the definition names as its interpreter",
                hint="Name the path that it has in the image under [python] interpreter.",
            )
        return found

    async def plan(self, target: str, resolved: Resolved) -> tuple[PlanView, UserImage]:
        """The decision: the image is there, or is pulled."""
        image = await self.find(resolved)
        past = await self._store.index.estimates(["pull"]) if image.id is None else {}
        return plan_of(target, resolved.platform, image, past.get("pull")), image

    async def stream(self, resolved: Resolved, image: UserImage, plan: PlanView) -> AsyncGenerator[Message, None]:
        """Pull it, once for all who want it; the last message is ``result`` or ``error``."""
        async with self._joined(resolved, image, plan) as (_, listener, _late):
            async for message in listener.messages():
                yield message

    async def ensure(self, resolved: Resolved, image: UserImage, plan: PlanView) -> BuildResult:
        """The same for somebody who only wants the end. Raises what the pull raises."""
        async with self._joined(resolved, image, plan) as (flight, _, _late):
            return await flight.outcome()

    def _joined(
        self, resolved: Resolved, image: UserImage, plan: PlanView
    ) -> AbstractAsyncContextManager[tuple[Flight[BuildResult], Listener, bool]]:
        async def start(flight: Flight[BuildResult]) -> BuildResult:
            flight.publish(Message(event="plan", plan=plan, source=resolved.source))
            try:
                result = await self._pull(flight, resolved, image)
            except RoostError as error:
                flight.publish(Message(event="error", error=error_body(error)))
                raise
            flight.publish(Message(event="result", result=result))
            return result

        return self._flights.join((image.reference, image.platform), start)

    async def _pull(self, flight: Flight[BuildResult], resolved: Resolved, image: UserImage) -> BuildResult:
        progress = BuildProgress(flight.publish)
        engine = await self._engines.docker()
        pulled = await engine.pull(image.reference, image.platform, progress)
        await progress.record(self._store.index)
        return BuildResult(
            id=None,
            state="succeeded",
            definition_digest=resolved.digest,
            lock_digest=None,
            generation=None,
            artifacts=[_artifact(image.reference, pulled.id, pulled.bytes)],
            seconds=0.0,
        )

    async def stop(self) -> None:
        await self._flights.cancel_all()


def _names_interpreter(resolved: Resolved) -> bool:
    return resolved.definition.python.user_managed and resolved.parsed.format != IMAGE_FORMAT


def plan_of(target: str, platform: str, image: UserImage, past: Estimate | None = None) -> PlanView:
    """Pure."""
    action: Action = "reuse-image" if image.id else "pull-image"
    seconds, size = (past.seconds, past.bytes) if past else (None, None)
    return PlanView(
        target=target,
        platform=platform,
        action=action,
        artifact=_artifact(image.reference, image.id, image.bytes) if image.id else None,
        reasons=[
            Reason(code="user-managed", message=f"The image {image.reference} is used as it is"),
            _presence(image),
        ],
        steps=[] if image.id else [Step(kind="pull", seconds=seconds, bytes=size)],
    )


def _presence(image: UserImage) -> Reason:
    if image.id:
        return Reason(code="image-ready", message=f"The engine has it as {image.id[:19]}")
    return Reason(code="image-missing", message="The engine does not have it")


def _artifact(reference: str, image_id: str, size: int | None) -> ArtifactView:
    return ArtifactView(kind="image", id=image_id, reference=reference, digest=image_id, bytes=size)
