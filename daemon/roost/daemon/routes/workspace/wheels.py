"""Route that stores a wheel by its content, so that definitions can refer to it."""

from __future__ import annotations

import asyncio
import os

import msgspec

from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.daemon.workspace.local_content import store_wheel
from roost.model.errors import InvalidRequestError
from roost.model.syntax.wheel_references import format_wheel_reference


class AddWheelRequest(msgspec.Struct, kw_only=True):
    """``path``: absolute path of the wheel."""

    path: str


class WheelView(msgspec.Struct, kw_only=True):
    """``requirement``: the line that refers to the wheel, in requirements of any format."""

    requirement: str
    digest: str
    file_name: str
    name: str
    version: str


async def add_wheel(call: Call[AddWheelRequest]) -> WheelView:
    from roost.daemon.workspace.stored_wheels import read_wheel  # which imports zip archives and e-mail headers

    path = call.body.path
    if not os.path.isabs(path) or "\0" in path:
        raise InvalidRequestError(f"{path!r} is not an absolute path", hint="Send the path of the wheel's file.")
    wheel = await asyncio.to_thread(read_wheel, path)
    await store_wheel(call.app[SERVICES].store.layout, path, wheel.digest)
    return WheelView(
        requirement=format_wheel_reference(wheel.digest, wheel.file_name),
        digest=wheel.digest,
        file_name=wheel.file_name,
        name=wheel.name,
        version=wheel.version,
    )


ROUTES_WHEELS = [
    Route(
        "POST",
        "/v1/wheels",
        add_wheel,
        request=AddWheelRequest,
        response=WheelView,
        summary="Store a wheel by its content, for definitions to refer to",
    ),
]
