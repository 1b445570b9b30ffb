"""`eeg-copilot record [CONFIG]`: its last line is one JSON object with what was recorded."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from msgspec import ValidationError, convert, structs

from daemon.alarms import Alarms
from daemon.cli import DONE, FAILED
from daemon.config import Config, load_config
from daemon.errors import ConfigError
from daemon.heap import steady
from daemon.logs import set_up_logs
from daemon.pseudonym import Pseudonym
from daemon.recorder import Recorder
from daemon.recorders import Recorders
from daemon.sources import make_source
from daemon.sources.base import SourceEvent
from daemon.sources.feed import Feed
from daemon.sources.settings import SourceSettings
from daemon.stopping import stop_by_signal


def run(options: argparse.Namespace) -> int:
    steady()
    config = _config(options)
    set_up_logs("warning", config.log.format)
    stop = stop_by_signal()
    with ExitStack() as whole:
        recorders = whole.enter_context(Recorders(config, Alarms()))
        threads = []
        for stream in config.stream:
            recorder = recorders.get(stream.name)
            assert recorder is not None, "each stream is recorded here"
            feed = _feed(stream.name, recorder, stream.source)
            threads.append(threading.Thread(target=feed.run, args=(stop,), name=stream.name))
        for thread in threads:
            thread.start()
        _wait(threads, stop, options.seconds)
    told = [recorders.get(stream.name) for stream in config.stream]
    recorded = sum(one.recorded for one in told if one)
    unrecorded = sum(one.unrecorded for one in told if one)
    files = sum(one.files for one in told if one)
    summary = {"folder": str(config.recordings()), "files": files}
    print(json.dumps(summary | {"samples": recorded, "unrecorded": unrecorded}), flush=True)
    return DONE if recorded and not unrecorded else FAILED


def _config(options: argparse.Namespace) -> Config:
    """The given configuration with everything in it recorded, or one for the stream that is named."""
    if (options.config is None) == (options.lsl is None):
        raise ConfigError("record: give either a configuration or --lsl NAME")
    if options.config is not None:
        config = load_config(Path(options.config))
    else:
        source = {"kind": "lsl", "name": options.lsl}
        config = convert({"stream": [{"name": "lsl", "source": source}]}, Config)
    wanted = [structs.replace(s, record=True) for s in config.stream if options.stream in (None, s.name)]
    if not wanted:
        names = ", ".join(stream.name for stream in config.stream)
        raise ConfigError(f"record: no stream {options.stream!r} in the configuration; there are {names}")
    if options.subject is not None:
        try:
            subject = convert(options.subject, Pseudonym)
        except ValidationError:
            raise ConfigError(f"record: {options.subject!r} is no pseudonym: write pseudo-NAME") from None
        wanted = [structs.replace(stream, subject=subject) for stream in wanted]
    directory = config.recording.directory
    if options.out is not None or options.lsl is not None:
        directory = options.out or "recordings"
    recording = structs.replace(config.recording, directory=directory)
    return structs.replace(config, stream=wanted, recording=recording)


def _feed(name: str, recorder: Recorder, source: SourceSettings) -> Feed:
    def report(event: SourceEvent) -> None:
        print(f"{name}: {event.state} {event.detail}".rstrip(), file=sys.stderr, flush=True)
        recorder.note("source", event.at, state=event.state, detail=event.detail)

    return Feed(make_source(source), recorder.put, report, source.stall_s)


def _wait(threads: list[threading.Thread], stop: threading.Event, seconds: float | None) -> None:
    """Until `stop`, the time is over or all sources have ended."""
    end = time.monotonic() + (seconds or float("inf"))
    for thread in threads:
        while thread.is_alive():
            thread.join(0.1)
            if time.monotonic() >= end:
                stop.set()
