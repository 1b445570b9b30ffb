"""A listener to all beds: `python -m tests.bench.sizing.listener PORT` prints its account when it is told."""

from __future__ import annotations

import json
import sys
import time

from daemon.latency import percentile
from tests.bench.beds import PUBLISHED_MS
from tests.bench.sizing.nodes import SITE
from tests.bench.subscriber import Subscriber

_QUIET_S = 1.0

if __name__ == "__main__":
    subscriber = Subscriber(int(sys.argv[1]), f"eegcopilot/v1/{SITE}/+/+/emotion")
    print("ready", flush=True)
    sys.stdin.readline()
    heard = -1
    while len(subscriber.heard) > heard:  # what is still on its way
        heard = len(subscriber.heard)
        time.sleep(_QUIET_S)
    subscriber.close()
    ages = [one.age_ms - PUBLISHED_MS for one in subscriber.heard]
    told = {
        "heard": heard,
        "missed": subscriber.missed,
        "p50_ms": percentile(ages, 0.5),
        "p99_ms": percentile(ages, 0.99),
        "cpu_s": time.process_time(),
    }
    print(json.dumps(told), flush=True)
