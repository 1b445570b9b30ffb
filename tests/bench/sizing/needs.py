"""What so many beds need, from what one costs. Sums and products; every assumption is a field of `Plan`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.bench.sizing.costs import Costs

_DAY_S = 86400
# Ethernet, IP and TCP with timestamps around a small message: 14 + 20 + 32 bytes, and as much for each
# acknowledgement, of which there is at most one a message.
FRAME_BYTES = 2 * 66


@dataclass(frozen=True, slots=True)
class Plan:
    """readings_per_s: of each bed. listeners: who hear each reading, such as a ward's monitor and an archive.

    beds_per_node: that share a daemon and its connection. busy: how far a core may be used, so that a burst,
    a failed machine or a slower processor does not stop anything. keep_days, max_mib: how long, and in how
    much room, a node keeps sent messages. others: messages beside readings, as a share of them (quality,
    status, health, episodes).
    """

    readings_per_s: float = 1.0
    listeners: int = 2
    beds_per_node: int = 4
    busy: float = 0.5
    keep_days: float = 3.0
    max_mib: int = 512
    others: float = 0.6


@dataclass(frozen=True, slots=True)
class Needs:
    """nodes: daemons. edge_cores: for all nodes where each reads by itself; thin_cores: where a pool does, of
    `readers` processes. messages_in, messages_out: a second, at the broker.

    broker_cores: for one where nodes read by themselves; pool_broker_cores: with a pool. broker_mb: memory.
    network_mbit: at the broker, both ways together; pool_network_mbit: with a pool. outbox_gb: kept on all
    nodes. recordings_gb: raw samples a day, where all are recorded.
    """

    beds: int
    nodes: int
    edge_cores: float
    thin_cores: float
    readers: int
    messages_in: float
    messages_out: float
    broker_cores: float
    pool_broker_cores: float
    broker_mb: float
    network_mbit: float
    pool_network_mbit: float
    outbox_gb: float
    recordings_gb: float


def needs(beds: int, costs: Costs, plan: Plan) -> Needs:
    windows = beds * plan.readings_per_s
    # The daemon was measured at the bundle's hop; samples cost the same however often they are read.
    further = plan.readings_per_s - 1 / costs.hop_s
    edge = costs.node_cores + further * (costs.model_s + (1 + plan.others) * costs.message_s)
    thin = edge + plan.readings_per_s * (costs.pool.node_s - costs.model_s)
    messages_in = windows * (1 + plan.others)
    messages_out = messages_in * plan.listeners
    broker = messages_in * costs.broker_in_s + messages_out * costs.broker_out_s
    nodes = math.ceil(beds / plan.beds_per_node)
    wire = (messages_in + messages_out) * (costs.reading_bytes + FRAME_BYTES)
    pool_wire = windows * (costs.pool.wire_bytes + 4 * FRAME_BYTES)
    kept = min(plan.keep_days * _DAY_S * messages_in * costs.outbox_bytes, nodes * plan.max_mib * 2**20)
    return Needs(
        beds=beds,
        nodes=nodes,
        edge_cores=beds * edge / plan.busy,
        thin_cores=beds * thin / plan.busy,
        readers=math.ceil(windows * costs.pool.reader_s / plan.busy),
        messages_in=messages_in,
        messages_out=messages_out,
        broker_cores=broker / plan.busy,
        pool_broker_cores=(broker + windows * costs.pool.broker_s) / plan.busy,
        broker_mb=costs.broker_mb + costs.connection_mb * (2 * nodes + plan.listeners),
        network_mbit=wire * 8 / 1e6,
        pool_network_mbit=(wire + pool_wire) * 8 / 1e6,
        outbox_gb=kept / 1e9,
        recordings_gb=beds * costs.recording_bytes * _DAY_S / 1e9,
    )
