"""A question that a reader holds, and the account of all that it ever held."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass

import aiomqtt

from daemon.confirmed import ConfirmedClient
from daemon.fleet.letters import read_question
from daemon.fleet.topics import FleetTopics
from pipeline.prompt import Person
from pipeline.records import CompressedWindow
from pipeline.settings import PipelineSettings

# Of correlation data; ours is 16 bytes.
_LONGEST_MARK = 64


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """client: the connection on which it came, and on which it is confirmed. mark: the correlation data.

    to: the topic of its answer. arrived, due: monotonic clock, seconds; nobody waits for it after `due`.
    """

    message: aiomqtt.Message
    client: ConfirmedClient
    node: str
    mark: bytes
    to: str
    window: CompressedWindow
    person: Person
    arrived: float
    due: float

    @property
    def key(self) -> tuple[str, bytes]:
        """The same for a question that was sent again."""
        return self.node, self.mark

    @property
    def prefix(self) -> tuple[int, str]:
        """The same for all persons whose prompts begin alike."""
        return -1 if self.person.age is None else self.person.age, self.person.gender or ""


def held_from(
    message: aiomqtt.Message, client: ConfirmedClient, topics: FleetTopics, settings: PipelineSettings
) -> Held:
    """Raises ValueError, one line, for whatever no node of ours would send."""
    node = topics.asker(message.topic.value)
    if node is None:
        raise ValueError("no topic of a question")
    to = topics.answer(node)
    # Nobody makes a reader speak anywhere else.
    if getattr(message.properties, "ResponseTopic", None) != to:
        raise ValueError("it does not ask for its answer where the node hears it")
    mark = getattr(message.properties, "CorrelationData", b"")
    if not 0 < len(mark) <= _LONGEST_MARK:
        raise ValueError("it has no correlation data, or too much")
    window, person = read_question(bytes(message.payload), settings)
    now = time.monotonic()
    fresh_s = getattr(message.properties, "MessageExpiryInterval", math.inf)
    return Held(message, client, node, mark, to, window, person, now, now + fresh_s)


@dataclass(slots=True)
class Counts:
    """heard: questions; each of them is one of the others, or held at present.

    unheard: answered, and the node was gone. cut_off: held when the connection broke.
    """

    heard: int = 0
    answered: int = 0
    unheard: int = 0
    denied: int = 0
    overdue: int = 0
    repeated: int = 0
    malformed: int = 0
    cut_off: int = 0

    def told(self) -> dict[str, int]:
        return asdict(self)
