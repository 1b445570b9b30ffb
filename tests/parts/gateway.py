"""What may stand between a node and its broker: a gateway that looks into messages and hangs up on some."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class Gateway:
    """hung_up: how often, because of a message that holds `hated`."""

    port: int = 0
    hung_up: int = 0


@contextlib.asynccontextmanager
async def gateway(broker_port: int, hated: bytes) -> AsyncIterator[Gateway]:
    told = Gateway()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", broker_port)

        async def up() -> None:
            while data := await reader.read(65536):
                if hated in data:
                    # What came before it in the same bytes goes through: it ends where the last topic begins.
                    before = data[: data.index(hated)]
                    to_broker.write(data[: max(0, before.rfind(b"eegcopilot/") - 5)])
                    await to_broker.drain()
                    await asyncio.sleep(0.05)
                    told.hung_up += 1
                    return
                to_broker.write(data)
                await to_broker.drain()

        async def down() -> None:
            while data := await from_broker.read(65536):
                writer.write(data)
                await writer.drain()

        both = [asyncio.create_task(up()), asyncio.create_task(down())]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        writer.close()
        to_broker.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()
