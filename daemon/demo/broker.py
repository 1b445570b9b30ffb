"""An MQTT broker that needs no installation, on this machine only."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from daemon.errors import ConfigError

_SETTINGS = """\
id = 0
[router]
id = 0
max_connections = 20
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""


@contextlib.contextmanager
def embedded_broker(folder: Path) -> Iterator[int]:
    """Runs a broker in a process of its own; gives the port on 127.0.0.1 where it speaks MQTT 5.

    folder: for its settings. Raises ConfigError where the demo's extra packages are not installed.
    """
    try:
        from iotcore import Broker
    except ImportError:
        raise ConfigError(
            "the demo's broker is not installed: pip install 'eeg-emotion-copilot[demo]'"
        ) from None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = folder / "broker.toml"
    settings.write_text(_SETTINGS.format(port=port))
    broker = Broker(config_path=str(settings))
    # Ctrl-C on a terminal reaches every process; the broker has to outlive the daemon's goodbye, and a
    # child inherits what is ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        broker.start()
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield port
    finally:
        broker.stop()
