"""Pieces on a Ray cluster, each of which leaves a line: ADDRESS LOG PIECES. Prints each as it is done."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

from pipeline.cluster import cluster

_begun: list[int] = []


def begin(number: int) -> None:
    _begun.append(number)


def piece(item: int, log: Path) -> tuple[int, list[int], str | None]:
    with log.open("a") as file:
        file.write(f"{item} {os.getpid()}\n")
    time.sleep(0.2)
    return item * item, _begun, os.environ.get("SET_FOR_PIECES")


def keep(item: int, told: tuple[int, list[int], str | None]) -> None:
    assert told == (item * item, [7], "yes")
    print(item, flush=True)


if __name__ == "__main__":
    address, log, pieces = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    # What the main program holds would travel by value, each function with a world of its own.
    import ray_pieces

    items = list(range(pieces))
    with cluster(address, 0, {"SET_FOR_PIECES": "yes"}, ray_pieces.begin, 7) as there:
        places = []
        for place, told in there.results(partial(ray_pieces.piece, log=log), items):
            keep(items[place], told)
            places.append(place)
    assert sorted(places) == items
    print("all", flush=True)
