"""The demo's headset: a simulated one or a recording, as an LSL stream from a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

# For the daemon to find the stream; samples before that would reach nobody.
_WAIT_S = 30
_PERIOD_S = 20


class Headset:
    """The process and what it says of itself.

    sent: samples, known once it has ended. states: (UTC seconds, what the simulated person does since).
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.sent: int | None = None
        self.states: list[tuple[float, str]] = []
        self.error = ""

    @classmethod
    async def start(cls, stream: str, recording: Path | None) -> Headset:
        """stream: its LSL name."""
        if recording is None:
            what = ["daemon.headset", "--name", stream, "--period", str(_PERIOD_S)]
        else:
            what = ["daemon", "replay", str(recording), "--name", stream]
        # This very program, whatever folder named `daemon` the user may stand beside.
        here = str(Path(__file__).parents[2])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            *what,
            "--wait",
            str(_WAIT_S),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": here},
            start_new_session=True,  # Ctrl-C is for the demo, which then ends it in order
        )
        return cls(process)

    async def listen(self) -> None:
        """Until the process has ended."""
        assert self.process.stdout is not None and self.process.stderr is not None
        complaints = asyncio.create_task(self.process.stderr.read())
        async for line in self.process.stdout:
            said = json.loads(line)
            if "state" in said:
                self.states.append((said["at"], said["state"]))
            elif "samples" in said:
                self.sent = said["samples"]
        lines = (await complaints).decode(errors="replace").strip().splitlines()
        if await self.process.wait() != 0:
            self.error = lines[-1] if lines else "the headset's process failed"

    def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()

    def doing(self, start: float, end: float) -> str:
        """What the person did between two moments (UTC seconds), e.g. `calm` or `calm → stress`."""
        done: list[str] = []
        for number, (at, state) in enumerate(self.states):
            until = self.states[number + 1][0] if number + 1 < len(self.states) else float("inf")
            if at < end and until > start:
                done.append(state)
        return " → ".join(done)
