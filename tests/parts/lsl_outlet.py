"""An LSL outlet that can misbehave. Channel 0 carries the sample's number, the others a sine.

Prints `ready` once it can be found, and the number of samples sent when it ends.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pylsl


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="headset")
    parser.add_argument("--type", default="EEG")
    parser.add_argument("--source-id", default="headset-1")
    parser.add_argument("--labels", default="Fp1,Fp2,C3,C4")
    parser.add_argument("--unit", default="microvolts", help="empty: none is stated")
    parser.add_argument("--markers", action="store_true", help="a string stream")
    parser.add_argument("--rate", type=float, default=250.0, help="what is claimed, Hz")
    parser.add_argument("--true-rate", type=float, help="what is sent, Hz")
    parser.add_argument("--speed", type=float, default=1.0, help="stamps go on this much faster than time")
    parser.add_argument("--chunk", type=int, default=10, help="samples")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--wait", action="store_true", help="send nothing before somebody listens")
    parser.add_argument("--jump-at", type=int, help="from this sample on stamps are off by --jump seconds")
    parser.add_argument("--jump", type=float, default=0.0)
    parser.add_argument("--stamp-pace", type=float, default=1.0, help="stamps go on so many times too fast")
    parser.add_argument("--silent-at", type=int, help="from this sample on silent for --silent seconds")
    parser.add_argument("--silent", type=float, default=0.0)
    parser.add_argument("--bad-at", type=int, help="this sample is NaN, inf and -inf in channels 1 to 3")
    parser.add_argument("--flat", type=int, help="this channel is 0 throughout")
    return parser.parse_args()


def main() -> None:
    o = options()
    labels = o.labels.split(",")
    form = pylsl.cf_string if o.markers else pylsl.cf_float32
    info = pylsl.StreamInfo(o.name, o.type, len(labels), 0 if o.markers else o.rate, form, o.source_id)
    info.set_channel_labels(labels)
    if o.unit:
        info.set_channel_units(o.unit)
    outlet = pylsl.StreamOutlet(info)
    print("ready", flush=True)
    while (o.wait or o.markers) and not outlet.have_consumers():
        time.sleep(0.005)
    true_rate = o.true_rate or o.rate
    start, sent, jump, silent = time.monotonic(), 0, 0.0, 0.0
    while sent < o.samples:
        if o.silent_at is not None and sent >= o.silent_at and not silent:
            silent = o.silent
        if o.jump_at is not None and sent >= o.jump_at:
            jump = o.jump
        n = min(o.chunk, o.samples - sent)
        numbers = np.arange(sent, sent + n)
        data = np.tile(20 * np.sin(2 * np.pi * 10 / true_rate * numbers), (len(labels), 1))
        data[0] = numbers
        if o.bad_at is not None and sent <= o.bad_at < sent + n:
            data[1:4, o.bad_at - sent] = np.nan, np.inf, -np.inf
        if o.flat is not None:
            data[o.flat] = 0
        sent += n
        due = sent / true_rate
        time.sleep(max(0.0, start + silent + due / o.speed - time.monotonic()))
        outlet.push_chunk(data.T.astype(np.float32).copy(), start + silent + jump + due * o.stamp_pace)
    time.sleep(0.5)  # let liblsl drain
    print(sent, flush=True)


main()
