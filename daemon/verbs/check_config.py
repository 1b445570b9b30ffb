"""`eeg-copilot check-config CONFIG [--for PROGRAM]`"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.cli import DONE
from daemon.config import load_config
from daemon.fleet.settings import load_reader_config
from daemon.mqtt_settings import Reach
from daemon.tls import tls_context
from daemon.topics import Topics
from daemon.unit import see_as_the_service
from daemon.verbs.monitor import require_extra
from pipeline.bundle import Bundle, bundle_folder


def run(options: argparse.Namespace) -> int:
    file = Path(options.config)
    see_as_the_service(file, options.program)
    lines = {"node": _node, "monitor": _monitor, "reader": _reader}[options.program](file)
    print("\n".join([f"{file}: good", *(f"  {line}" for line in lines)]))
    return DONE


def _node(file: Path) -> list[str]:
    config = load_config(file)
    mqtt = config.mqtt
    lines = [
        _broker(mqtt),
        f"topics  {Topics(mqtt.site, mqtt.node).base}/…",
        _model(config.model.bundle, config.model.trusted_keys),
    ]
    if config.model.reader == "remote":
        lines.append(f"reader  the pool at the broker; this node after {config.model.late_s:g} s")
    lines.append(f"state   {config.state_directory()}")
    return lines + [
        f"stream  {stream.name}: {stream.source.__struct_config__.tag}, {stream.subject}"
        for stream in config.stream
    ]


def _reader(file: Path) -> list[str]:
    config = load_reader_config(file)
    name = f"reader  {config.mqtt.node} of the pool at site {config.mqtt.site}"
    return [_broker(config.mqtt), name, _model(config.model.bundle, config.model.trusted_keys)]


def _monitor(file: Path) -> list[str]:
    require_extra()
    from daemon.monitor.settings import load_monitor_config

    config = load_monitor_config(file)
    web = config.web
    safety = "TLS" if web.cert_file else "plain, behind a proxy" if web.behind_proxy else "plain"
    page = f"page    {web.host}:{web.port}, {safety}"
    return [_broker(config.broker), page, f"state   {config.state_directory()}"]


def _broker(mqtt: Reach) -> str:
    tls_context(mqtt)
    return f"broker  {mqtt.host}:{mqtt.port}, {'TLS' if mqtt.encrypted else 'plain'}"


def _model(bundle: str | None, trusted_keys: tuple[str, ...]) -> str:
    found = Bundle.load(bundle_folder(bundle), trusted_keys)
    return f"model   {found.id}: {', '.join(found.manifest.labels)}"
