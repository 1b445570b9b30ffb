"""`eeg-copilot check-config CONFIG`"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.cli import DONE
from daemon.config import load_config
from daemon.tls import tls_context
from daemon.topics import Topics
from daemon.unit import see_as_the_service
from pipeline.bundle import Bundle, bundle_folder


def run(options: argparse.Namespace) -> int:
    see_as_the_service(Path(options.config))
    config = load_config(Path(options.config))
    tls_context(config.mqtt)
    folder = bundle_folder(config.model.bundle)
    bundle = Bundle.load(folder, config.model.trusted_keys)
    mqtt = config.mqtt
    print(f"{options.config}: good")
    print(f"  broker  {mqtt.host}:{mqtt.port}, {'TLS' if mqtt.encrypted else 'plain'}")
    print(f"  topics  {Topics(mqtt.site, mqtt.node).base}/…")
    print(f"  model   {bundle.id}: {', '.join(bundle.manifest.labels)}")
    if config.model.reader == "remote":
        print(f"  reader  the pool at the broker; this node after {config.model.late_s:g} s")
    print(f"  state   {config.state_directory()}")
    for stream in config.stream:
        print(f"  stream  {stream.name}: {stream.source.__struct_config__.tag}, {stream.subject}")
    return DONE
