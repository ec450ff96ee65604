"""Checks of channels and package indexes: whether they can be reached as builds reach them, and what they ask for.

A request is sent to each, without following redirects: with the caller's proxy and certificates, and with the
credentials of its host. Servers get no request that a build would not send.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

import aiohttp

from roost.daemon.caller.network import create_tls_context, describe_failure, find_proxy
from roost.daemon.credentials.auth_files import access_hint
from roost.daemon.credentials.redaction import redact
from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings, find_variables
from roost.daemon.doctor.verdicts import SourceAnswer, judge_source
from roost.daemon.engines.conda.channels import canonical_urls
from roost.daemon.engines.uv.process import ask_default_index
from roost.model.errors import CodedError
from roost.model.syntax.urls import strip_credentials

INDEX_PROJECT = "pip"
"""A project that an index of Python packages has: the list of all projects may be very long."""
_REPODATA = ("noarch/repodata.json.zst", "noarch/repodata.json")
_SECONDS = 4.0
_VARIABLE = re.compile(r"\$\{(\w+)\}")


async def check_channels(around: Surroundings) -> list[Check]:
    """Check every default channel, by its mirrors if it has any."""
    urls = [url for name in around.config.conda.channels for url in canonical_urls(name)]
    is_configured = around.is_configured("conda", "channels") or around.is_configured("conda", "mirrors")
    return list(await asyncio.gather(*(_check_channel(around, url, is_configured) for url in dict.fromkeys(urls))))


async def _check_channel(around: Surroundings, url: str, is_configured: bool) -> Check:
    shown, own = strip_credentials(url)
    places = [*_find_mirrors(around.config.conda.mirrors, url)] or [url]
    logins = {**await _find_logins(around, places), **own}
    answers = await asyncio.gather(*(_ask(around, place, _REPODATA, logins) for place in places))
    return judge_source(
        "channel",
        shown,
        answers,
        is_configured=is_configured,
        credentials_hint=access_hint(shown),
        absent="no conda channel is there",
    )


def _find_mirrors(mirrors: Mapping[str, Sequence[str]], url: str) -> list[str]:
    """Return where ``url`` is fetched from according to ``[conda.mirrors]``, by the longest prefix."""
    prefixes = sorted((canonical_urls(prefix)[0] for prefix in mirrors), key=len, reverse=True)
    by_prefix = {canonical_urls(prefix)[0]: urls for prefix, urls in mirrors.items()}
    prefix = next((each for each in prefixes if url == each or url.startswith(each + "/")), None)
    return [] if prefix is None else [mirror.rstrip("/") + url[len(prefix) :] for mirror in by_prefix[prefix]]


async def check_indexes(around: Surroundings) -> list[Check]:
    """Check the package index of definitions without one."""
    url = around.config.pip.index_url
    if url is None:
        return [await _check_default_index(around)]
    shown, own = strip_credentials(url)
    logins = {**await _find_logins(around, [url]), **own}
    answer = await _ask(around, url, (f"{INDEX_PROJECT}/", ""), logins)
    check = judge_source(
        "package-index",
        shown,
        [answer],
        is_configured=True,
        credentials_hint=access_hint(shown),
        absent="neither a list of projects nor the project pip is there",
    )
    return [check]


async def _check_default_index(around: Surroundings) -> Check:
    """Let uv find one project on its default index, whose address only uv knows."""
    name, subject = "package-index", "uv's default index"
    fault = await ask_default_index(INDEX_PROJECT, _SECONDS, around.layout.stage)
    if fault is None:
        return Check(name=name, state="ok", message=f"{subject} can be reached", subject=subject)
    answer = SourceAnswer(subject, fault=f"can't be reached: {redact(fault)}", is_tls="certificate" in fault.lower())
    return judge_source(name, subject, [answer], is_configured=False, credentials_hint="", absent="")


async def ask_any_clock(around: Surroundings) -> float | None:
    """Return the time of the first configured server that answers, in seconds since 1970; ``None`` without any."""
    channels = [url for name in around.config.conda.channels for url in canonical_urls(name)]
    for url in (around.config.pip.index_url or "", *channels):
        if url.startswith(("http://", "https://")) and not _VARIABLE.search(url):
            answer = await _ask(around, url, ("",), {})
            if answer.date is not None:
                return answer.date
    return None


async def _find_logins(around: Surroundings, urls: Sequence[str]) -> dict[str, str]:
    """Return the credentials of the hosts; those that can't be had are reported by the check of credentials."""
    try:
        return await around.engines.find_credentials(urls, around.variables)
    except CodedError:
        return {}


async def _ask(around: Surroundings, url: str, paths: Sequence[str], logins: Mapping[str, str]) -> SourceAnswer:
    """Return the answer for the first of ``paths`` below ``url`` that is there, else the last one."""
    names = [name for name in find_variables(url) if name not in around.variables]
    url = _VARIABLE.sub(lambda match: around.variables.get(match[1], ""), url)
    bare, own = strip_credentials(url)
    if names:
        return SourceAnswer(bare, fault=f"needs {' and '.join(names)}, which is not set where roost was called")
    if bare.startswith("file://"):
        return await run_apart(_ask_folder, bare, paths)
    if urlsplit(bare).scheme not in ("http", "https"):
        return SourceAnswer(bare, fault="is not an address of http or of a folder")
    try:
        return await asyncio.wait_for(_ask_paths(bare, paths, {**logins, **own}), _SECONDS)
    except asyncio.TimeoutError:
        return SourceAnswer(bare, fault=f"did not answer within {_SECONDS:.0f} s")


async def _ask_paths(bare: str, paths: Sequence[str], logins: Mapping[str, str]) -> SourceAnswer:
    answer = SourceAnswer(bare)
    for path in paths:
        answer = await _ask_server(bare, f"{bare.rstrip('/')}/{path}", logins)
        if answer.status != 404:
            break
    return answer


def _ask_folder(url: str, paths: Sequence[str]) -> SourceAnswer:
    folder = unquote(urlsplit(url).path)
    if not os.path.isdir(folder):
        return SourceAnswer(url, fault="is a folder that does not exist")
    found = any(os.path.exists(os.path.join(folder, path)) for path in paths)
    return SourceAnswer(url, status=200 if found else 404)


async def _ask_server(shown: str, url: str, logins: Mapping[str, str]) -> SourceAnswer:
    split = urlsplit(url)
    login = logins.get(f"{split.scheme}://{split.netloc}") or logins.get(f"//{split.netloc}")
    login = login or logins.get(f"//{split.hostname}")
    user, _, password = login.partition(":") if login and login[:1] not in ("/", "?") else ("", "", "")
    pair = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"} if user or password else {}
    try:
        context = await asyncio.to_thread(create_tls_context)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            for method in ("HEAD", "GET"):
                async with session.request(
                    method, url, headers=headers, proxy=find_proxy(url), allow_redirects=False
                ) as response:
                    if method == "GET" or response.status not in (403, 405, 501):
                        return SourceAnswer(shown, response.status, date=_read_date(response.headers.get("Date")))
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        return SourceAnswer(shown, fault=f"has no trusted certificate: {describe_failure(error)}", is_tls=True)
    except (aiohttp.ClientError, OSError, ValueError, asyncio.TimeoutError) as error:
        return SourceAnswer(shown, fault=f"can't be reached: {describe_failure(error)}")
    raise AssertionError("the loop returns")


def _read_date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
