"""The monitor whole: MQTT client, ward, store and web server in one task group."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Generator

import structlog
import uvicorn

from daemon.decoding import AnyMessage
from daemon.errors import CommandError, ConfigError
from daemon.monitor.app import application
from daemon.monitor.bed import Bed
from daemon.monitor.hub import Hub
from daemon.monitor.listener import Listener
from daemon.monitor.sealing import Sealer
from daemon.monitor.sessions import Sessions
from daemon.monitor.settings import MonitorConfig, Web
from daemon.monitor.store import Store
from daemon.monitor.ward import Ward
from daemon.notify import notify
from daemon.record_messages import DraftMessage, SignedMessage

log = structlog.get_logger("monitor")

# For requests under way when the monitor stops, seconds.
_FAREWELL_S = 3


class Monitor:
    """`run` may be called once."""

    def __init__(self, config: MonitorConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._ward = Ward(config.ward, time.time())
        self._hub = Hub(self._ward)
        self._listener = Listener(config.broker, self._hear, self._state)
        web = config.web
        self.sessions = Sessions(web.idle_minutes * 60, web.session_hours * 3600, store.accounts.get)
        self._before = {heard.bed: heard for heard in store.newest()}

    async def run(self, shutdown: asyncio.Event, ready: Callable[[str], None] = lambda _: None) -> None:
        """Until `shutdown`. ready: called with its address once it answers.

        Raises ConfigError where the port cannot be had.
        """
        web = self._config.web
        listening = _socket(web)
        port = int(listening.getsockname()[1])
        host = f"[{web.host}]" if ":" in web.host else web.host
        address = f"{'https' if web.cert_file else 'http'}://{host}:{port}"

        def answering() -> None:
            log.info("monitor ready", address=address)
            notify("READY=1")
            ready(address)

        server = _Server(
            uvicorn.Config(
                application(
                    web,
                    self._store,
                    self._ward,
                    self._hub,
                    self._listener,
                    Sealer(self._config.keys),
                    self.sessions,
                ),
                ssl_certfile=web.cert_file,
                ssl_keyfile=web.key_file,
                proxy_headers=web.behind_proxy,
                forwarded_allow_ips="127.0.0.1,::1",
                server_header=False,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=_FAREWELL_S,
            ),
            answering,
        )
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve([listening]), name="web")
            others = [
                tasks.create_task(self._listener.run(), name="mqtt"),
                tasks.create_task(self._hub.run(), name="hub"),
            ]
            await shutdown.wait()
            notify("STOPPING=1")
            self._hub.close()
            server.should_exit = True
            await serving
            for task in others:
                task.cancel()
        log.info("monitor stopped")

    def _hear(self, topic: str, message: AnyMessage, retained: bool) -> None:
        bed = self._ward.hear(topic, message, retained, time.time())
        if bed is not None:
            before = self._before.get(bed.key)
            if before is not None and bed.subject:
                del self._before[bed.key]
                if before.subject == bed.subject:
                    bed.remember(before.id, before.version, before.status, before.told)
            if isinstance(message, DraftMessage | SignedMessage):
                self._keep(bed, message)
        self._hub.wake()

    def _keep(self, bed: Bed, message: DraftMessage | SignedMessage) -> None:
        draft = message.draft.id
        try:
            self._store.keep(bed.key, message)
        except CommandError as why:
            node = f"node {bed.site}/{bed.node}"
            if self._store.refusals.enter(node, bed.key, "record refused", record=draft, why=str(why)):
                log.error("a record is not taken", bed=bed.key, draft=draft, reason=str(why))

    def _state(self, online: bool) -> None:
        self._ward.broker(online, time.time())
        self._hub.wake()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs us, and says when it answers."""

    def __init__(self, config: uvicorn.Config, answering: Callable[[], None]) -> None:
        super().__init__(config)
        self._answering = answering

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._answering()


def _socket(web: Web) -> socket.socket:
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((web.host, web.port))
    except OSError as why:
        listening.close()
        raise ConfigError(
            f"web.port: {web.host}:{web.port} cannot be listened on: {why.strerror or why}: choose another"
        ) from None
    return listening
