"""All real parts, put together: headsets, daemon, cable, broker, and monitors that write all down."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from pipeline.bundle import shipped_bundle
from tests.parts.broker import Mosquitto
from tests.parts.machine import lsl_settings
from tests.soak.clock import Clock
from tests.soak.disk import Disk
from tests.soak.ears import Ears
from tests.soak.headsets import Cyton, LslHeadset
from tests.soak.line import Line
from tests.soak.node import Node

TOPICS = "eegcopilot/v1/soak/node"
LSL = ("lsl-1", "lsl-2")
CYTON = "cyton"
_USERS = {"node": "node's secret", "ear": "ear's secret"}
# What the broker takes, to be "full": most readings, and nothing longer.
FULL_BYTES = 800
_FREE_MIB = 4


class Laboratory:
    """A context manager: on leaving everything ends, and nothing is left but the files in `folder`."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """What was wrong and is none of the ledger's numbers, one line each."""
        self._parts = ExitStack()
        self._minutes = minutes

    def __enter__(self) -> Laboratory:
        with self._parts as parts:
            self._build(parts)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    @property
    def state(self) -> Path:
        return self.disk.folder / "state"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    def deny(self, denied: bool) -> None:
        """The broker's access rules, for its next start or SIGHUP: may the daemon publish?"""
        node = "read" if denied else "readwrite"
        rules = [("node", node), ("ear", "readwrite")]
        self._acl.write_text("".join(f"user {user}\ntopic {may} eegcopilot/#\n" for user, may in rules))

    def broker_settings(self, *, full: bool = False) -> str:
        kept = "persistence true\nautosave_interval 1\nautosave_on_changes true\nmax_queued_messages 100000\n"
        room = f"message_size_limit {FULL_BYTES}\nmax_inflight_messages 1\n" if full else ""
        access = f"allow_anonymous false\npassword_file {self._passwords}\nacl_file {self._acl}\n"
        return f"{access}{kept}{room}persistence_location {self.broker.folder}/"

    def _build(self, parts: ExitStack) -> None:
        folder = self.folder
        self._acl, self._passwords = folder / "acl", folder / "passwords"
        self.clock = Clock(folder)
        self.disk = Disk(folder / "disk", 64 + int(10 * self._minutes))
        parts.callback(self.disk.close)
        self.broker = self._broker()
        parts.callback(self.broker.stop)
        self.line = Line(self.broker.port)
        parts.callback(self.line.close)
        self.ears = Ears(self.broker.port, f"{TOPICS}/#", "ear", _USERS["ear"])
        parts.callback(self.ears.close)
        lsl = lsl_settings(folder)
        self.headsets = {name: LslHeadset(folder, name) for name in LSL}
        for headset in self.headsets.values():
            parts.callback(headset.end)
            headset.start()
        self.cyton = Cyton(folder)
        parts.callback(self.cyton.end)
        shutil.copytree(shipped_bundle(), self.bundle)
        self.node = Node(self._configuration(), LSLAPICFG=str(lsl), **self.clock.environment)
        parts.callback(self.node.close)

    def _broker(self) -> Mosquitto:
        folder = self.folder / "broker"
        folder.mkdir()
        for user, password in _USERS.items():
            create = [] if self._passwords.exists() else ["-c"]
            command = ["mosquitto_passwd", "-b", *create, str(self._passwords), user, password]
            subprocess.run(command, check=True, capture_output=True)
        self.broker = Mosquitto(folder)
        self.deny(False)
        self.broker.configure(self.broker_settings())
        return self.broker.start()

    def _configuration(self) -> Path:
        password = self.folder / "mqtt-password"
        password.write_text(_USERS["node"])
        password.chmod(0o600)
        sources = {name: f'kind = "lsl", name = "{name}"' for name in LSL}
        sources[CYTON] = (
            f'kind = "brainflow", board = "cyton", serial_port = "{self.cyton.link}", timeout_s = 3'
        )
        streams = "".join(
            f'[[stream]]\nname = "{name}"\nsubject = "pseudo-{name}"\ncalibration_s = 4\nrecord = true\n'
            f"source = {{{source}}}\n"
            for name, source in sources.items()
        )
        file = self.folder / "soak.toml"
        file.write_text(
            f'[mqtt]\nport = {self.line.port}\nsite = "soak"\nnode = "node"\nkeepalive = 5\n'
            f'username = "node"\npassword_file = "{password}"\n'
            f'[model]\nbundle = "{self.bundle}"\n[state]\ndirectory = "{self.state}"\n'
            # The disk is small, and it is the recordings that have to be looked at in the end.
            f"[recording]\nmin_free_mib = {_FREE_MIB}\n"
            f"[drafts]\non_change = true\nevery_min = 0.25\n{streams}"
        )
        return file
