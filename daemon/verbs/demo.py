"""`eeg-copilot demo`: broker, headset, daemon, subscriber and monitor together, on this machine alone."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.cli import DONE, FAILED, NOTICE
from daemon.config import load_config
from daemon.demo.broker import embedded_broker
from daemon.demo.headset import Headset
from daemon.demo.screen import Screen
from daemon.demo.subscriber import Subscriber
from daemon.demo.ward import BEDS, invitation, ward
from daemon.latency import percentile
from daemon.logs import set_up_logs
from daemon.messages import Health
from daemon.service import Service
from daemon.stopping import shutdown_by_signal
from pipeline.bundle import Bundle, bundle_folder
from pipeline.reader import Reader

if TYPE_CHECKING:
    from daemon.monitor.serve import Monitor

CALIBRATION_S = 15
# For samples that are still under way when the headset stops, seconds.
_ARRIVE_S = 3.0
_POLL_S = 0.02

# Keeps the demo's stream on this machine, and other people's streams out of it.
_LSL = """\
[ports]
IPv6 = disable
ListenAddress = 127.0.0.1
[multicast]
ResolveScope = machine
AddressesOverride = {{127.0.0.1}}
[lab]
KnownPeers = {{127.0.0.1}}
SessionID = {name}
[log]
level = -3
"""

_CONFIG = """\
[mqtt]
port = {port}
site = "demo"
node = "{name}"
[state]
directory = "state"
[[stream]]
name = "you"
subject = "pseudo-demo"
calibration_s = {calibration}
windows = true
[stream.source]
kind = "lsl"
name = "{name}"
"""
_STREAM = "you"


def run(options: argparse.Namespace) -> int:
    set_up_logs("error")
    recording = Path(options.recording).resolve() if options.recording else None
    bundle = Bundle.load(bundle_folder(options.bundle))
    reader = Reader(bundle)
    name = f"demo-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-") as temporary:
        folder = Path(temporary)
        lsl = folder / "lsl.cfg"
        lsl.write_text(_LSL.format(name=name))
        os.environ["LSLAPICFG"] = str(lsl)  # read when liblsl is first used, here and in the headset
        with embedded_broker(folder) as port:
            file = folder / "demo.toml"
            file.write_text((_CONFIG + BEDS).format(port=port, name=name, calibration=CALIBRATION_S))
            screen = Screen(bundle.manifest.labels)
            screen.say(f"EEG Emotion Copilot, demo. {NOTICE}")
            screen.say(f"Listen along: MQTT 5 on 127.0.0.1:{port}, topic eegcopilot/v1/demo/{name}/#")
            what = f"recording {recording.name}" if recording else "simulated headset"
            screen.say(f"Model {bundle.id}; {what} over LSL from a process of its own. Ctrl-C ends it.")
            screen.say(
                f"Calibration is shortened to {CALIBRATION_S} s for the demo "
                f"({bundle.manifest.pipeline.calibration:g} s otherwise)."
            )
            service = Service(load_config(file), bundle, reader)
            with ward(folder, port, screen.say) as opened:
                return asyncio.run(_demo(service, screen, port, name, recording, options.seconds, opened))


async def _demo(
    service: Service,
    screen: Screen,
    port: int,
    name: str,
    recording: Path | None,
    seconds: float | None,
    opened: tuple[Monitor, str] | None,
) -> int:
    interrupted, shutdown = shutdown_by_signal(), asyncio.Event()
    headset = await Headset.start(name, recording)
    subscriber = Subscriber(screen, headset)
    try:
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(headset.listen(), name="headset")
            hearing = tasks.create_task(
                subscriber.run(port, f"eegcopilot/v1/demo/{name}", _STREAM), name="subscriber"
            )
            closing = asyncio.Event()
            if opened is not None:
                monitor, password = opened
                tasks.create_task(
                    monitor.run(closing, lambda address: screen.say(invitation(monitor, password, address))),
                    name="monitor",
                )
            await subscriber.subscribed.wait()
            running = tasks.create_task(service.run(shutdown), name="service")
            asked = tasks.create_task(interrupted.wait(), name="interrupt")
            await asyncio.wait({asked, listening}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            screen.ending = True
            headset.stop()
            await listening
            await _arrived(service, headset.sent)
            shutdown.set()
            await running
            await asyncio.wait({hearing}, timeout=_ARRIVE_S)
            hearing.cancel()
            asked.cancel()
            closing.set()
    finally:
        headset.stop()
    if headset.error:
        print(f"eeg-copilot: {headset.error}", file=sys.stderr)
        return FAILED
    assert service.last_health is not None
    _summary(screen, service.last_health, headset, subscriber)
    return DONE


async def _arrived(service: Service, sent: int | None) -> None:
    """Waits for the last samples of the headset, which are under way through LSL."""
    for _ in range(round(_ARRIVE_S / _POLL_S)):
        if not sent or service.samples(_STREAM) >= sent:
            return
        await asyncio.sleep(_POLL_S)  # they are counted in another thread


def _summary(screen: Screen, health: Health, headset: Headset, subscriber: Subscriber) -> None:
    stream = health.streams[_STREAM]
    sent = headset.sent or 0
    if stream.samples == sent:
        screen.say(f"All {sent} samples that the headset sent were received.")
    else:
        missing = sent - stream.samples
        screen.say(f"The headset sent {sent} samples, {stream.samples} were received: {missing} missing.")
    if not subscriber.labels:
        screen.say(f"No labels: they begin after {CALIBRATION_S} s of calibration.")
    latencies = subscriber.latencies_ms
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    summary = {
        "samples": stream.samples,
        "samples_sent": sent,
        "windows": stream.windows - stream.windows_calibrating,
        "windows_calibrating": stream.windows_calibrating,
        "labels": subscriber.labels,
        "abstained": subscriber.abstained,
        "drops": stream.samples_dropped + stream.windows_dropped + subscriber.missed,
        "gaps": stream.gaps,
        "latency_ms_p50": None if p50 is None else round(p50, 1),
        "latency_ms_p99": None if p99 is None else round(p99, 1),
    }
    screen.say(json.dumps(summary))
