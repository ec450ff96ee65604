"""Where a server must not send this machine."""

from __future__ import annotations

import pytest

from roost.daemon.caller.redirects import RedirectRefusedError, check_redirect, is_inward_address

INWARD = (
    *("127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1%eth0", "::ffff:127.0.0.1"),
    *("64:ff9b::7f00:1", "100.100.100.200", "fd00:ec2::254"),
)


@pytest.mark.parametrize("address", INWARD)
def test_addresses_that_only_this_machine_should_reach(address: str) -> None:
    assert is_inward_address(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "93.184.216.34", "2606:2800::1", "fd12::1"])
def test_addresses_that_an_own_network_may_have(address: str) -> None:
    assert not is_inward_address(address)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("https://203.0.113.5/v2/", "https://127.0.0.1:8080/x"),
        ("https://203.0.113.5/v2/", "https://localhost/x"),
        ("https://203.0.113.5/v2/", "https://2130706433/x"),
        ("https://203.0.113.5/v2/", "https://0x7f.1/x"),
        ("https://203.0.113.5/v2/", "https://[::ffff:127.0.0.1]/x"),
        ("http://203.0.113.5/v2/", "http://169.254.169.254/latest/meta-data/"),
        ("https://203.0.113.5/v2/", "https://metadata.google.internal/"),
        ("https://203.0.113.5/v2/", "http://203.0.113.6/x"),
        ("https://127.0.0.1/v2/", "http://127.0.0.1/x"),
        ("http://203.0.113.5/v2/", "file:///etc/passwd"),
    ],
)
async def test_a_redirect_inwards_or_out_of_tls_is_refused(source: str, target: str) -> None:
    with pytest.raises(RedirectRefusedError) as caught:
        await check_redirect(source, target)
    assert "redirects to" in caught.value.message


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:9/x"),
        ("http://localhost:5000/v2/", "https://203.0.113.6/x"),
        ("https://203.0.113.5/", "https://10.0.0.7/blobs"),
        ("http://203.0.113.5/", "http://203.0.113.6/"),
        ("https://203.0.113.5/", "https://no-such-host.invalid/"),
    ],
)
async def test_other_redirects_are_followed(source: str, target: str) -> None:
    await check_redirect(source, target)


async def test_a_target_behind_a_proxy_is_judged_by_its_name() -> None:
    from roost.daemon.caller.current import use_caller

    with use_caller({"HTTPS_PROXY": "http://proxy.example:3128"}):
        await check_redirect("https://203.0.113.5/", "https://any.example/")
        with pytest.raises(RedirectRefusedError):
            await check_redirect("https://203.0.113.5/", "https://169.254.169.254/")


async def test_a_download_follows_redirects_but_not_inwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the server were elsewhere: only what it redirects to is on this machine."""
    from aiohttp import web

    from roost.daemon.engines.uv import fetch
    from roost.daemon.engines.uv.secrets import Secrets

    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.host, request.headers.get("Authorization", "")))
        if request.path == "/start":
            raise web.HTTPFound(f"http://localhost:{port}/end")
        return web.Response(text="greet")

    application = web.Application()
    application.router.add_get("/{path}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    origin = f"http://127.0.0.1:{port}"
    fetcher = fetch.Fetcher(Secrets({origin: "u:p"}), 10)
    try:
        assert await fetcher.fetch_text(f"{origin}/start") == b"greet"
        assert [bool(authorization) for _, authorization in seen] == [True, False], "another host gets no credentials"

        async def refuse(source: str, target: str) -> None:
            await check_redirect("http://203.0.113.5/", target)

        monkeypatch.setattr(fetch, "check_redirect", refuse)
        with pytest.raises(RedirectRefusedError):
            await fetcher.fetch_text(f"{origin}/start")
        assert len(seen) == 3
    finally:
        await runner.cleanup()
