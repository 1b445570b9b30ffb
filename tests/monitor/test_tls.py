"""How browsers on other machines reach the monitor: TLS of its own, or behind a proxy that speaks it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from broker import free_port
from certificates import Authority
from stack import PASSWORD, Client

from daemon.monitor.serve import Monitor
from daemon.monitor.settings import FILE, load_monitor_config
from daemon.monitor.store import Store

LOGIN = {"name": "root", "password": PASSWORD.format("root")}


@contextlib.asynccontextmanager
async def serving(folder: Path, web: str) -> AsyncIterator[tuple[str, int]]:
    """A monitor that has no broker yet: its address, and the port in it."""
    file = folder / "monitor.toml"
    file.write_text(f'[broker]\nport = {free_port()}\n[state]\ndirectory = "m"\n[web]\nport = 0\n{web}')
    config = load_monitor_config(file)
    with Store(config.state_directory() / FILE) as store:
        store.accounts.put("root", "administrator", "", PASSWORD.format("root"))
        stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(Monitor(config, store).run(stop, address.set_result))
        try:
            await asyncio.wait({address, task}, return_when=asyncio.FIRST_COMPLETED)
            said = address.result()
            yield said, int(said.rpartition(":")[2])
        finally:
            stop.set()
            await task


def test_tls_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "hospital")
    pair = authority.server()
    trusting = ssl.create_default_context(cafile=str(authority.file))

    def visit(port: int) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(port, ssl.create_default_context()).get("/")
        with pytest.raises(OSError):
            Client(port).get("/")  # nothing is answered in the clear
        answer = Client(port, trusting).post("/api/login", LOGIN)
        assert answer.status == 200, answer.content
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-eeg-monitor=") and "Secure" in cookie
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"

    async def body() -> None:
        web = f'cert_file = "{pair.certificate}"\nkey_file = "{pair.key}"\n'
        async with serving(tmp_path, web) as (address, port):
            assert address == f"https://127.0.0.1:{port}"
            await asyncio.to_thread(visit, port)

    asyncio.run(body())


@pytest.mark.parametrize("proxy", [True, False], ids=["proxy", "no-proxy"])
def test_a_proxy_is_believed_only_where_there_is_one(tmp_path: Path, proxy: bool) -> None:
    """Whose address is in the trail, and is slowed down after wrong passwords."""
    names = 'behind_proxy = true\nnames = ["monitor.example"]\n' if proxy else ""
    host = "monitor.example" if proxy else "localhost"

    def visit(port: int) -> str:
        # What the proxy of docs/monitor.md adds.
        forwarded = {"Host": host, "X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https"}
        client = Client(port)
        answer = client.post("/api/login", LOGIN, Origin=f"https://{host}", **forwarded)
        assert answer.status == 200, answer.content
        assert ("Secure" in answer.headers["Set-Cookie"]) is proxy
        assert client.post("/api/logout", {}, Origin="https://evil.example", **forwarded).status == 403
        assert client.get("/", Host="another.example").status == 400
        entries = client.get("/api/audit", Host=host).json["entries"]
        return str(next(one["detail"]["address"] for one in entries if one["action"] == "login"))

    async def body() -> str:
        async with serving(tmp_path, names) as (_, port):
            return await asyncio.to_thread(visit, port)

    assert asyncio.run(body()) == ("203.0.113.9" if proxy else "127.0.0.1")
