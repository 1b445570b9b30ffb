"""A broker as `systemd/mosquitto` sets it up, and people who come to it with certificates of their own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import Listener, Mosquitto, hearing
from certificates import DAY, Authority, Pair

from daemon.archive import FILE
from daemon.confirmed import ConfirmedClient
from daemon.login import Login
from daemon.mqtt_settings import Mqtt
from pipeline.keys import new_key, public_text

TEMPLATE = Path(__file__).parents[2] / "systemd" / "mosquitto"
BASE = "eegcopilot/v1/home/bedside-1"


class Hospital:
    """ca: signs everybody's certificate. keys: private Ed25519 keys of people, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = Authority(folder, "hospital")
        self.broker = Mosquitto(folder)
        self.serve(self.ca.server())
        self.doctor = new_key(folder / "dr-1.key")
        self._pairs: dict[str, Pair] = {}

    def serve(self, pair: Pair) -> None:
        """The broker's certificate from its next start on."""
        lines = (TEMPLATE / "eeg-copilot.conf").read_text().splitlines()
        settings = "\n".join(
            line
            for line in lines
            # The listener is the test's own, and what it says goes to a file of the test's.
            if line and not line.startswith(("#", "listener", "log_dest", "persistence", "autosave"))
        )
        for name, path in (
            ("ca.pem", self.ca.file),
            ("server.pem", pair.certificate),
            ("server.key", pair.key),
            ("acl", TEMPLATE / "acl"),
        ):
            settings = settings.replace(f"/etc/mosquitto/eeg-copilot/{name}", str(path))
        assert "/etc/" not in settings
        self.broker.configure(settings)

    def pair(self, name: str) -> Pair:
        return self._pairs.setdefault(name, self.ca.client(name))

    def node(self, pair: Pair | None = None, more: str = "", source: str = "") -> Path:
        """The daemon's configuration, with the hospital's doctor as its one signer.

        more: keys of its stream, and tables. source: of its simulator.
        """
        pair = pair or self.pair("bedside-1")
        file = self.folder / "node.toml"
        file.write_text(
            f'[mqtt]\nport = {self.broker.port}\nsite = "home"\nnode = "bedside-1"\n'
            f'ca_file = "{self.ca.file}"\ncert_file = "{pair.certificate}"\nkey_file = "{pair.key}"\n'
            'broker_log = "mosquitto.log"\n'
            '[state]\ndirectory = "state"\n[log]\nformat = "json"\n'
            f'[[signer]]\nid = "dr-1"\nrole = "neurologist"\npublic_key = "{public_text(self.doctor)}"\n'
            'may = ["calibrate", "patient", "sign", "ask"]\n'
            f'[[stream]]\nname = "bed-1"\ncalibration_s = 4\nsource = {{kind = "simulator"{source}}}\n{more}'
        )
        return file

    @contextlib.asynccontextmanager
    async def person(self, name: str, *topics: str) -> AsyncIterator[Listener]:
        """Connected with their own certificate, subscribed to `topics`; `client.send` tells reason codes."""
        pair = self.pair(name)
        mqtt = Mqtt(
            port=self.broker.port,
            ca_file=str(self.ca.file),
            cert_file=str(pair.certificate),
            key_file=str(pair.key),
        )
        async with (
            ConfirmedClient(mqtt, f"eegcopilot-home-{name}", Login(mqtt)) as client,
            hearing(client, *topics) as ear,
        ):
            yield ear

    def trail(self) -> list[dict[str, Any]]:
        """The entries of the node's audit trail."""
        db = sqlite3.connect(self.folder / "state" / FILE)
        try:
            return [json.loads(row[0]) for row in db.execute("select entry from audit order by number")]
        finally:
            db.close()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    """Its broker is not started yet."""
    made = Hospital(tmp_path)
    yield made
    made.broker.stop()


__all__ = ["BASE", "DAY", "Hospital", "hospital"]
