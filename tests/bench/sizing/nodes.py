"""Nodes that publish readings, many in one process: the daemon's own client, topics and messages.

`python -m tests.bench.sizing.nodes PORT FIRST BEDS PER_NODE RATE SECONDS` prints `ready` once all are
connected, begins at a line from standard input, and prints its account when all is confirmed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack

import aiomqtt

from daemon.confirmed import ConfirmedClient
from daemon.login import Login
from daemon.mqtt_settings import Mqtt
from daemon.topics import Topics
from tests.bench.beds import reading

SITE = "load"
# Confirmations that are still out after the last reading are waited for so long, seconds.
_SETTLE_S = 10.0


class Nodes:
    """sent, confirmed: readings. cpu_s: processor time from the first one on. rate: a second, of each bed."""

    def __init__(self, port: int, first: int, beds: int, per_node: int, rate: float) -> None:
        self.sent = self.confirmed = 0
        self.cpu_s = 0.0
        self._rate = rate
        self._beds = range(first, first + beds)
        self._settings = {
            bed // per_node: Mqtt(port=port, site=SITE, node=f"n{bed // per_node}") for bed in self._beds
        }
        self._per_node = per_node
        self._topics = {
            bed: Topics(SITE, f"n{bed // per_node}").of(f"bed-{bed}", "emotion") for bed in self._beds
        }

    async def run(self, seconds: float) -> float:
        """Returns how long it took to send what `seconds` hold, seconds."""
        async with AsyncExitStack() as whole:
            clients: dict[int, ConfirmedClient] = {}
            for node, mqtt in self._settings.items():
                will = aiomqtt.Will(Topics(SITE, mqtt.node).status, b"", 1, True)
                client = ConfirmedClient(mqtt, mqtt.identifier(), Login(mqtt), will=will)
                clients[node] = await whole.enter_async_context(client)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            self.cpu_s = -time.process_time()
            took = await self._publish(clients, seconds)
            until = time.monotonic() + _SETTLE_S
            while self.confirmed < self.sent and time.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            self.cpu_s += time.process_time()
        return took

    async def _publish(self, clients: dict[int, ConfirmedClient], seconds: float) -> float:
        began, step = time.monotonic(), 1 / (self._rate * len(self._beds))
        for number in range(round(seconds / step)):
            bed = self._beds[number % len(self._beds)]
            wait = began + number * step - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif number % 16 == 0:
                await asyncio.sleep(0)  # late: still confirmations have to be heard
            payload = reading(bed, number // len(self._beds) + 1)
            client = clients[bed // self._per_node]
            client.send(self._topics[bed], payload, 1, True).add_done_callback(self._taken)
            self.sent += 1
        return time.monotonic() - began

    def _taken(self, reason: asyncio.Future[int]) -> None:
        self.confirmed += not reason.cancelled() and reason.result() < 128


if __name__ == "__main__":
    port, first, beds, per_node, rate, seconds = sys.argv[1:]
    nodes = Nodes(int(port), int(first), int(beds), int(per_node), float(rate))
    took = asyncio.run(nodes.run(float(seconds)))
    told = {"sent": nodes.sent, "confirmed": nodes.confirmed, "took_s": took, "cpu_s": nodes.cpu_s}
    print(json.dumps(told), flush=True)
