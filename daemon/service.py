"""The daemon: one task group, from the sources' threads to the broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import metadata

import structlog

from daemon.alarms import Alarms
from daemon.archive import Archive
from daemon.commands import Commands
from daemon.config import Config
from daemon.config import Stream as StreamSettings
from daemon.fleet.inference import FleetInference
from daemon.fleet.pool import Pool
from daemon.health import Checkup
from daemon.inference import Inference
from daemon.latency import Latencies
from daemon.lifesigns import lifeless
from daemon.logs import set_up_logs
from daemon.messages import BundleInfo, Health, Info, ModelRef, StreamInfo, iso
from daemon.metrics import MetricsServer
from daemon.notify import notify, watchdog_s
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.publisher import Publisher
from daemon.reception import Reception
from daemon.recorder import Recorder
from daemon.recorders import Recorders
from daemon.records import Records
from daemon.reloading import compare
from daemon.stream import Stream
from daemon.telling import Telling
from daemon.topics import Topics
from daemon.turns import Turns
from pipeline.bundle import Bundle
from pipeline.reader import Reader

log = structlog.get_logger("service")

HEALTH_S = 30.0
WATCH_S = 0.5  # how late a stall may be told
PURGE_S = 3600.0
# A source may sit in a driver's call that takes its time; later it is left behind.
CLOSE_S = 5.0
_PACKAGES = ("eeg-emotion-copilot", "onnxruntime", "numpy", "aiomqtt", "pylsl", "brainflow")


class Service:
    """Everything between a configuration and its end. `run` may be called once."""

    def __init__(self, config: Config, bundle: Bundle, reader: Reader) -> None:
        self._config = config
        self._bundle = bundle
        self._reader = reader
        self._started = time.time()
        self._versions = versions()
        self._streams: dict[str, Stream] = {}
        self._status = ""
        self._birth: Callable[[], None] = lambda: None
        self._publisher: Publisher | None = None
        self.last_health: Health | None = None
        """What the parts counted, when all was through."""

    async def run(self, shutdown: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Until `shutdown`, or until all sources have ended by themselves; then drains what is under way.

        ready: called when the first window is possible. Raises OutboxError, ConfigError, and in an
        exception group what ended a task: LoginError, OutboxError.
        """
        config, mqtt = self._config, self._config.mqtt
        alarms = Alarms()
        with ExitStack() as whole:
            outbox = whole.enter_context(
                Outbox(
                    config.state_directory(),
                    max_waiting=config.state.max_waiting,
                    max_bytes=config.state.max_mib * 2**20,
                    alarms=alarms,
                )
            )
            self._session = outbox.session
            turns, latencies = Turns(), Latencies()
            pool = self._pool(alarms)
            inference = FleetInference(self._reader, pool, turns) if pool else Inference(self._reader, turns)
            post = Post(outbox, Topics(mqtt.site, mqtt.node), mqtt.reading_expiry_s)
            archive = whole.enter_context(Archive(config.state_directory(), alarms))
            records = self._records(archive, post, turns)
            drafting = records.drafting if records is not None else None
            recorders = whole.enter_context(Recorders(config, alarms))
            streams = {
                s.name: self._stream(s, post, inference, latencies, records, recorders.get(s.name))
                for s in config.stream
            }
            reception = Reception(whole, config, archive, config.state_directory())
            commands = Commands(streams, post, reception.door, reception.identities)
            publisher = Publisher(mqtt, outbox, post, self._info, commands.handle, reception.trail.refused)
            checkup = Checkup(streams, outbox, publisher, commands, latencies, drafting, pool)
            self._streams, self._publisher = streams, publisher
            if config.metrics.enabled:
                whole.enter_context(MetricsServer(config.metrics, checkup.health, publisher.online.is_set))
            self._birth = lambda: post.info_anew(self._info())
            farewell = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(farewell), name="publisher")
                reading = tasks.create_task(inference.run(), name="inference")
                writing = tasks.create_task(drafting.run(), name="drafting") if drafting else None
                sources = [tasks.create_task(s.run(), name=f"stream:{s.name}") for s in streams.values()]
                chores = [
                    tasks.create_task(_every(HEALTH_S, lambda: post.health(checkup.health())), name="health"),
                    tasks.create_task(_every(WATCH_S, self._watch), name="watch"),
                    tasks.create_task(_every(PURGE_S, lambda: self._purge(outbox)), name="purge"),
                    tasks.create_task(_watchdog(streams, inference), name="watchdog"),
                    tasks.create_task(reception.follow(), name="broker-log"),
                    tasks.create_task(self._settle(outbox.session, ready), name="ready"),
                ]
                await _first(shutdown, sources)
                notify("STOPPING=1", "STATUS=stopping: reading and sending what is under way")
                await _close(streams, sources)
                inference.close()
                await reading
                if drafting is not None and writing is not None:
                    drafting.close()
                    await writing
                for chore in chores:
                    chore.cancel()
                self.last_health = checkup.health()
                post.health(self.last_health)
                farewell.set()
            log.info("stopped", **outbox.counts())

    def samples(self, stream: str) -> int:
        """Received so far; 0 before `run`."""
        found = self._streams.get(stream)
        return 0 if found is None else found.samples

    def reload(self, new: Config) -> None:
        """Takes over what of `new` can be had without a restart, and says of the rest that it waits."""
        change = compare(self._config, new)
        self._config = change.config
        if "log.level" in change.taken:
            set_up_logs(change.config.log.level, change.config.log.format)
        for settings in change.config.stream:
            if any(key.startswith(f"stream.{settings.name}.") for key in change.taken):
                self._streams[settings.name].take_over(settings)
        log.info("configuration reloaded", taken=", ".join(change.taken) or "nothing has changed")
        if change.waiting:
            log.warning("kept as it was until the next restart", keys=", ".join(change.waiting))
        if change.taken:
            self._birth()

    async def _settle(self, session: int, ready: Callable[[], None]) -> None:
        """READY once windows can flow: each headset sends, or it was found out and said why it does not."""
        for stream in self._streams.values():
            await stream.settled.wait()
        log.info("ready", streams=list(self._streams), bundle=self._bundle.id, session=session)
        self._watch()
        notify("READY=1")
        ready()

    def _records(self, archive: Archive, post: Post, turns: Turns) -> Records | None:
        if not self._config.drafts.enabled:
            return None
        return Records(self._config, self._bundle, self._reader, post, turns, archive)

    def _pool(self, alarms: Alarms) -> Pool | None:
        model = self._config.model
        if model.reader == "local":
            return None
        return Pool(self._config.mqtt, self._bundle, model.late_s, alarms)

    def _stream(
        self,
        settings: StreamSettings,
        post: Post,
        inference: Inference,
        latencies: Latencies,
        records: Records | None,
        recorder: Recorder | None,
    ) -> Stream:
        model = ModelRef(id=self._bundle.id, sha256=self._bundle.sha256)
        telling = Telling(settings.name, post, model, latencies)
        scribe = records.scribe(settings) if records is not None else None
        return Stream(settings, self._bundle.manifest.pipeline, inference, telling, scribe, recorder)

    def _info(self) -> Info:
        manifest = self._bundle.manifest
        return Info(
            session=self._session,
            started=iso(self._started),
            versions=self._versions,
            bundle=BundleInfo(
                id=self._bundle.id,
                sha256=self._bundle.sha256,
                labels=list(manifest.labels),
                label_schema=manifest.label_schema,
            ),
            config_sha256=self._config.fingerprint(),
            streams=[
                StreamInfo(name=s.name, source=str(s.source.__struct_config__.tag))
                for s in self._config.stream
            ],
        )

    def _watch(self) -> None:
        for stream in self._streams.values():
            stream.watch()
        status = ", ".join(stream.told for stream in self._streams.values())
        if self._publisher is not None and not self._publisher.online.is_set():
            status += "; no broker, messages wait on disk"
        if status != self._status:
            self._status = status
            notify(f"STATUS={status}")

    def _purge(self, outbox: Outbox) -> None:
        gone = outbox.purge(self._config.state.keep_sent_days)
        if gone:
            log.info("old messages purged", rows=gone)


def versions() -> dict[str, str]:
    """Of what matters to a reading. A package that is not installed is left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


async def _every(seconds: float, do: Callable[[], None]) -> None:
    while True:
        do()
        await asyncio.sleep(seconds)


async def _watchdog(streams: dict[str, Stream], inference: Inference) -> None:
    """Signs of life for systemd while there is life; where there is none, the reason why it will kill us."""
    interval = watchdog_s()
    said = ""
    while interval is not None:
        reason = lifeless((stream.intake for stream in streams.values()), inference.busy_s)
        if not reason:
            notify("WATCHDOG=1")
        elif reason != said:
            log.error("no sign of life is given to the watchdog", reason=reason)
        said = reason
        await asyncio.sleep(interval / 3)


async def _first(shutdown: asyncio.Event, sources: list[asyncio.Task[None]]) -> None:
    """Returns when `shutdown` is set or every source has ended."""
    asked = asyncio.create_task(shutdown.wait())
    ended = asyncio.ensure_future(asyncio.wait(sources))
    try:
        await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        ended.cancel()


async def _close(streams: dict[str, Stream], sources: list[asyncio.Task[None]]) -> None:
    """Closes the sources; what they sent before goes all the way."""
    for stream in streams.values():
        stream.stop()
    _, late = await asyncio.wait(sources, timeout=CLOSE_S)
    if late:
        log.warning("sources that do not close are left behind", tasks=[task.get_name() for task in late])
        for stream in streams.values():
            stream.abandon()
        await asyncio.wait(late)
