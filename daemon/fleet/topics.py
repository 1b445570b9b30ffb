"""Where nodes ask and readers answer, in one place.

The bundle is part of each topic, so that a question only ever meets readers with the same model; the node is,
so that the broker's access rules can keep nodes apart. Four levels below the site: no filter of another role
matches them (systemd/mosquitto/acl).
"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.topics import FLEET, ROOT

GROUP = "readers"
"""The shared subscription's name (MQTT 5, 4.8.2): each question goes to one member."""


@dataclass(frozen=True, slots=True)
class FleetTopics:
    """site: checked name, one level. bundle: its sha256."""

    site: str
    bundle: str

    @property
    def base(self) -> str:
        return f"{ROOT}/{self.site}/{FLEET}/{self.bundle}"

    def ask(self, node: str) -> str:
        return f"{self.base}/ask/{node}"

    def answer(self, node: str) -> str:
        return f"{self.base}/answer/{node}"

    @property
    def shared(self) -> str:
        """The filter under which readers share all nodes' questions."""
        return f"$share/{GROUP}/{self.base}/ask/+"

    def asker(self, topic: str) -> str | None:
        """The node that asks under `topic`; None if that is no question's."""
        start = f"{self.base}/ask/"
        node = topic.removeprefix(start)
        return node if topic.startswith(start) and node and "/" not in node else None
