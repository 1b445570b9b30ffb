"""A Ray cluster on the loopback: a head that does no work, and two nodes of one core each.

Prints the head's address, then does what it reads: `kill` ends the first node and all that runs on it, at
once, and prints how many processes that were; `add` starts another one.
"""

from __future__ import annotations

import os
import signal
import sys

# Before Ray is loaded: loopback alone, no word to its makers.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

from cluster_at_hand import children
from ray.cluster_utils import Cluster

NODE = {
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "no_monitor": True,
    "include_log_monitor": False,
    "object_store_memory": 100 << 20,
}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    nodes = [cluster.add_node(**NODE, num_cpus=1) for _ in range(2)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "add":
            nodes.append(cluster.add_node(**NODE, num_cpus=1))
            print(len(nodes), flush=True)
        if line.strip() == "kill":
            (raylet,) = nodes.pop(0).all_processes["raylet"]
            ended = [raylet.process.pid, *children(raylet.process.pid)]
            for pid in ended:
                os.kill(pid, signal.SIGKILL)
            print(len(ended), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
