"""Leases from Python: protection of an environment from deletion, renewed while a block runs."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from types import TracebackType
from typing import Any, Literal

from roost.client.api.connection import WorkspaceConnection, path_to
from roost.client.api.environment import Environment
from roost.client.api.errors import NotFoundError, RoostError, usage_error

Json = dict[str, Any]
SECONDS = 600.0
RENEWALS = 3
"""Renewals within the time of one lease: two may fail before it ends."""
logger = logging.getLogger("roost")


class HeldLease:
    """A lease that this process holds, from ``with`` until the end of the block; a thread renews it meanwhile.

    If the process dies, the lease ends by itself within ``seconds``.
    """

    def __init__(self, workspace: WorkspaceConnection, request: Json, seconds: float) -> None:
        self._workspace = workspace
        self._request = {**request, "seconds": seconds}
        self._seconds = seconds
        self._id = f"python-{uuid.uuid4().hex}"
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._details: Json = {}

    @property
    def id(self) -> str:
        """The id of the lease, as ``roost cache df`` shows it."""
        return self._id

    def get_details(self) -> Json:
        """Return the daemon's last answer: ``subject``, ``expires``, ``protects``, …"""
        return dict(self._details)

    def renew(self) -> None:
        """Renew the lease now. The thread does so in time. Raises ``RoostError``."""
        self._details = self._workspace._request("PUT", path_to("leases", self._id), self._request)

    def release(self) -> None:
        """End the lease; a second call does nothing. Raises ``RoostError``."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            try:
                self._workspace._request("DELETE", path_to("leases", self._id))
            except NotFoundError:
                logger.warning("the lease %s had expired", self._id)

    def __enter__(self) -> HeldLease:
        self.renew()
        self._ended.clear()
        self._thread = threading.Thread(target=self._renew_until_end, name="roost-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _renew_until_end(self) -> None:
        while not self._ended.wait(self._seconds / RENEWALS):
            try:
                self.renew()
            except RoostError as error:
                logger.warning("the lease %s can't be renewed: %s", self._id, error)


def lease_request(
    subject: Environment | str,
    kind: Literal["environment", "generation", "prefix", "image"],
    generation: int | None,
    holder: str | None,
) -> Json:
    """Return the body of a request for a lease. Raises ``UsageError``."""
    if isinstance(subject, Environment):
        if subject.name is None or subject.version is None:
            raise usage_error("The environment is not registered", "Call its register(workspace) first.")
        subject = f"{subject.name}:{subject.version}"
    elif not isinstance(subject, str):
        raise usage_error(f"{subject!r} can't be leased", "Give an Environment, or a text such as 'train:1'.")
    request: Json = {"kind": kind, "subject": subject, "holder": holder or f"process {os.getpid()} (Python)"}
    return request if generation is None else {**request, "generation": generation}
