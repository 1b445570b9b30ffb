"""A ward for tests: real mosquitto, a real node and a real monitor, each in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from broker import Mosquitto, free_port
from waiting import until

from daemon.monitor.settings import FILE
from daemon.monitor.store import Store

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse {}"
USERS = (
    ("dr.lee", "clinician", "dr-1"),
    ("dr.new", "clinician", ""),
    ("wall", "viewer", ""),
    ("root", "administrator", ""),
)
NODE = """\
[mqtt]
port = {port}
site = "north"
node = "room-1"
[state]
directory = "node"
[[signer]]
id = "dr-1"
role = "neurologist"
{streams}
"""
MONITOR = """\
[broker]
port = {broker}
keepalive = 5
{way}
[web]
port = {web}
[state]
directory = "monitor"
{more}
"""


def simulated(name: str, more: str = "") -> str:
    return (
        f'[[stream]]\nname = "{name}"\nsubject = "pseudo-{name}"\ncalibration_s = 4\nwindows = true\n'
        f'source = {{kind = "simulator"{more}}}\n'
    )


class Process:
    """A verb of the daemon; what it says goes to a file. said: on its standard input."""

    def __init__(self, folder: Path, name: str, *arguments: str, said: str = "") -> None:
        self.log = folder / f"{name}.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "daemon", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=folder,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(said.encode())
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self, number: int = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(20)


class Stack:
    """streams: TOML of the node's streams, or empty for no node. more: tables of the monitor; way: of its
    `[broker]`, how it is reached."""

    def __init__(self, folder: Path, broker: Mosquitto, streams: str, more: str = "", way: str = "") -> None:
        self.folder = folder
        self.broker = broker
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "monitor" / FILE
        (folder / "node.toml").write_text(NODE.format(port=broker.port, streams=streams))
        (folder / "monitor.toml").write_text(
            MONITOR.format(broker=broker.port, web=self.port, more=more, way=way)
        )
        with Store(self.database) as store:
            for name, role, signer in USERS:
                store.accounts.put(name, role, signer, PASSWORD.format(name))
        self.node = Process(folder, "node", "run", "node.toml") if streams else None
        self.start_monitor()

    def start_monitor(self) -> None:
        """Returns when it answers."""
        self.monitor = Process(self.folder, "monitor", "monitor", "--config", "monitor.toml")
        try:
            until(self._answers, 120, "the monitor answers")
        except AssertionError:
            self.end()
            raise

    def kill_node(self) -> None:
        assert self.node is not None
        self.node.end(signal.SIGKILL)

    def start_node(self) -> None:
        self.node = Process(self.folder, "node", "run", "node.toml")

    def end(self) -> None:
        if self.node is not None:
            self.node.end()
        self.monitor.end()

    def _answers(self) -> bool:
        try:
            return Client(self.port).get("/").status == 200
        except OSError:
            return False


class Answer:
    def __init__(self, raw: http.client.HTTPResponse) -> None:
        self.status = raw.status
        self.headers = raw.headers
        self.content = raw.read()

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Speaks HTTP itself, so that tests see what the server does and not what the page hides.

    tls: whom to trust, where the server speaks TLS.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self.cookie = ""
        self.csrf = ""

    def log_in(self, name: str) -> Client:
        answer = self.post("/api/login", {"name": name, "password": PASSWORD.format(name)})
        assert answer.status == 200, answer.content
        return self

    def get(self, path: str, **headers: str) -> Answer:
        return self._send("GET", path, None, headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        answer = self._send("POST", path, body, headers)
        given = answer.headers.get("Set-Cookie", "")
        if given and "csrf" in (told := answer.json):
            self.cookie, self.csrf = given.partition(";")[0], told["csrf"]
        return answer

    @contextlib.contextmanager
    def events(self, bed: str = "") -> Iterator[http.client.HTTPResponse]:
        """The live stream."""
        connection = self._connection(30)
        try:
            connection.request("GET", f"/api/events?bed={bed}", headers={"Cookie": self.cookie})
            yield connection.getresponse()
        finally:
            connection.close()

    def whole(self, bed: str = "") -> Any:
        """The first event of the live stream: all beds as they are, with one bed's details."""
        with self.events(bed) as answer:
            while answer.readline().strip() != b"event: whole":
                pass
            return json.loads(answer.readline().removeprefix(b"data: "))

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout_s, context=self._tls)

    def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        sent = {"Cookie": self.cookie, "X-CSRF-Token": self.csrf, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self._connection(60)
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, data, {k: v for k, v in sent.items() if v})
            return Answer(connection.getresponse())
        finally:
            connection.close()
