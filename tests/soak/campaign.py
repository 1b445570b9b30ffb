"""The order of events: faults in seeded order, one at a time or, in the short form, in lanes side by side."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.soak import broker_faults, node_faults, source_faults
from tests.soak.ears import Heard
from tests.soak.faults import Fault
from tests.soak.laboratory import CYTON, LSL, Laboratory

FAULTS = {f.name: f for f in (*broker_faults.FAULTS, *source_faults.FAULTS, *node_faults.FAULTS)}
_CALM_S = (1.0, 3.0)  # between two faults of a lane, in the short and in the long form
_HEAL_S = 120.0
_WARM_S = 120.0
_STREAMS = (*LSL, CYTON)


@dataclass(frozen=True, slots=True)
class Inflicted:
    """began: UTC seconds. recovery_s: from the healing to its sign; None where it did not come."""

    fault: Fault
    began: float
    lasted_s: float
    recovery_s: float | None


@dataclass
class Campaign:
    """done: in the order of their ends."""

    lab: Laboratory
    seed: int
    done: list[Inflicted] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    def warm_up(self) -> None:
        """Until every stream has been read: what follows is not to be taken for a slow start."""
        self.lab.node.start()
        end = time.monotonic() + _WARM_S
        for stream in _STREAMS:
            kind = "quality" if stream == CYTON else "emotion"
            found = self.lab.ears.wait(
                # What the Cyton sends is no EEG: its windows are judged and not read.
                lambda h: h.kind == kind and h.stream == stream,  # noqa: B023
                0,
                end - time.monotonic(),
            )
            if found is None:
                self.lab.problems.append(f"{stream}: no reading within {_WARM_S:g} s of the start")

    def together(self, names: Sequence[str]) -> None:
        """Each once: headsets and broker at the same time, then the daemon."""
        lanes: dict[str, list[Fault]] = {}
        for fault in self._possible(names):
            lanes.setdefault(fault.lane, []).append(fault)
        last = lanes.pop("node", [])
        threads = [threading.Thread(target=self._lane, args=(faults, 0)) for faults in lanes.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._lane(last, 0)

    def rounds(self, names: Sequence[str], until: float) -> None:
        """One after the other, in another order each round; until: monotonic seconds.

        From the second round on without those that end the daemon: memory and descriptors can only be judged
        over a long life.
        """
        order = random.Random(self.seed)
        faults = self._possible(names)
        first = True
        while True:
            order.shuffle(faults)
            if first:  # all that ends the daemon comes first, so that the rest of the time is one life
                faults.sort(key=lambda fault: not fault.ends_node)
            for fault in faults:
                if time.monotonic() > until:
                    for missed in {f.name for f in faults} - {d.fault.name for d in self.done}:
                        self.not_run[missed] = "the time was over"
                    return
                self._one(fault, 1, until)
            faults = [fault for fault in faults if not fault.ends_node] or faults
            first = False

    def _possible(self, names: Sequence[str]) -> list[Fault]:
        for name in names:
            if why := FAULTS[name].impossible(self.lab):
                self.not_run[name] = why
        return [FAULTS[name] for name in names if name not in self.not_run]

    def _lane(self, faults: Sequence[Fault], form: int) -> None:
        for fault in faults:
            self._one(fault, form, None)

    def _one(self, fault: Fault, form: int, until: float | None) -> None:
        """form: 0 the short one, 1 the long one."""
        began = time.time()
        try:
            with fault.inflict(self.lab):
                time.sleep(fault.lasts_s[form])
        except Exception as why:  # the ledger of all others is not to be lost
            traceback.print_exc()
            self.lab.problems.append(f"{fault.name}: could not be inflicted: {why!r}")
        healed, since = time.time(), len(self.lab.ears.heard)
        sign: Heard | None = self.lab.ears.wait(lambda h: fault.healed(h, healed), since, _HEAL_S)
        if sign is None:
            self.lab.problems.append(f"{fault.name}: not recovered within {_HEAL_S:g} s")
        recovery = None if sign is None else max(0.0, sign.at - healed)
        one = Inflicted(fault, began, healed - began, recovery)
        self.done.append(one)
        self._say(one, until)
        time.sleep(_CALM_S[form])

    def _say(self, last: Inflicted, until: float | None) -> None:
        took = "did not recover" if last.recovery_s is None else f"recovered in {last.recovery_s:.1f} s"
        left = "" if until is None else f", {max(0.0, until - time.monotonic()) / 60:.1f} min left"
        print(f"{last.fault.name}: {took} ({len(self.done)} faults so far{left})", flush=True)
