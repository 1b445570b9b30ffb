"""A recorder for each stream that wants one, in one folder."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from daemon.alarms import Alarms
from daemon.config import Config
from daemon.errors import ConfigError
from daemon.recorder import Recorder
from daemon.shelf import Shelf


class Recorders(AbstractContextManager["Recorders"]):
    """Leaving it ends the recordings properly."""

    def __init__(self, config: Config, alarms: Alarms) -> None:
        """Raises ConfigError where the folder cannot be had."""
        self._all = ExitStack()
        self._by_stream: dict[str, Recorder] = {}
        wanted = [stream for stream in config.stream if stream.record]
        if not wanted:
            return
        try:
            shelf = Shelf(config.recordings(), config.recording)
        except OSError as why:
            raise ConfigError(f"recording.directory: {config.recordings()}: {why.strerror}") from None
        for stream in wanted:
            recorder = Recorder(stream.name, stream.subject, shelf, alarms)
            self._by_stream[stream.name] = self._all.enter_context(recorder)

    def get(self, stream: str) -> Recorder | None:
        return self._by_stream.get(stream)

    def __exit__(self, *exc: object) -> None:
        self._all.close()
