"""A ward for a whole module: starting one takes seconds."""

from collections.abc import Iterator

import pytest
from broker import Mosquitto

pytest.importorskip("starlette", reason="the monitor's packages come with the extra `monitor`")

from stack import Stack, simulated


@pytest.fixture(scope="module")
def ward_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto")).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def ward(ward_broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Four beds, the second of which changes its state every twelve seconds."""
    beds = (
        simulated("bed-1", ', seed = 3, states = "calm"'),
        simulated("bed-2", ", seed = 2, period_s = 12"),
        simulated("bed-3", ", seed = 4, period_s = 25"),
        simulated("bed-4", ", seed = 5, period_s = 40"),
    )
    stack = Stack(tmp_path_factory.mktemp("ward"), ward_broker, "".join(beds))
    yield stack
    stack.end()
