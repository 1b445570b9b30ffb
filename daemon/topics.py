"""The names of everything that is said or heard over MQTT, in one place."""

from __future__ import annotations

from dataclasses import dataclass

ROOT = "eegcopilot/v1"
REPLAY = "replay-outbox"
# Stands where a node's name would: what nodes and the readers of a pool say to each other.
FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Topics:
    """site, node: checked names, one topic level each."""

    site: str
    node: str

    @property
    def base(self) -> str:
        return f"{ROOT}/{self.site}/{self.node}"

    @property
    def status(self) -> str:
        return f"{self.base}/status"

    @property
    def info(self) -> str:
        return f"{self.base}/info"

    @property
    def health(self) -> str:
        return f"{self.base}/health"

    @property
    def commands(self) -> str:
        """The filter under which commands arrive: `cmd/{stream}/{verb}`."""
        return f"{self.base}/cmd/+/+"

    @property
    def replay(self) -> str:
        """The one command that is the node's, not a stream's."""
        return f"{self.base}/cmd/{REPLAY}"

    @property
    def response(self) -> str:
        return f"{self.base}/cmd/response"

    def of(self, stream: str, what: str) -> str:
        """`{stream}/status`, `{stream}/emotion` and the like."""
        return f"{self.base}/{stream}/{what}"

    def command(self, stream: str, verb: str) -> str:
        return f"{self.base}/cmd/{stream}/{verb}"

    def parse_command(self, topic: str) -> tuple[str, str] | None:
        """(stream, verb) of a command's topic, ("", verb) of the node's own; None if it is none."""
        if topic == self.replay:
            return "", REPLAY
        start = f"{self.base}/cmd/"
        levels = topic.removeprefix(start).split("/")
        if not topic.startswith(start) or len(levels) != 2:
            return None
        return levels[0], levels[1]
