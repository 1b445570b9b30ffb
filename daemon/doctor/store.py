"""What must survive: room on the disk, the outbox, and the model."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from daemon.config import Config
from daemon.doctor.finding import Finding, Verdict
from daemon.doctor.machine import UPGRADE
from pipeline.bundle import Bundle, bundle_folder
from pipeline.errors import BundleError

# A stream writes some 50 MB a day; three days of four streams, and half of it again.
DISK_MIB = 1024
DISK_LEAST_MIB = 100
BACKLOG_S = 3600.0


def look_at_bundle(config: Config) -> Iterator[Finding]:
    path = bundle_folder(config.model.bundle)
    try:
        bundle = Bundle.load(path)
    except BundleError as why:
        mend = f"rm -r {path}  # and copy the bundle there anew" if config.model.bundle else UPGRADE
        yield Finding("bundle", "bad", str(why), mend)
        return
    yield Finding("bundle", "good", f"{bundle.id} is whole: {', '.join(bundle.manifest.labels)}")


def look_at_store(folder: Path, most_waiting: int) -> Iterator[Finding]:
    """folder: the state directory of the service."""
    if not folder.exists():
        yield Finding("state", "unseen", f"{folder} is not there yet: the service makes it when it starts")
        folder = next(parent for parent in folder.parents if parent.exists())
    elif not os.access(folder, os.W_OK):
        yield Finding("state", "bad", f"{folder} cannot be written", f"mount -o remount,rw {folder}")
    free = shutil.disk_usage(folder).free // 2**20
    verdict: Verdict = "bad" if free < DISK_LEAST_MIB else "warning" if free < DISK_MIB else "good"
    mend = "" if verdict == "good" else f"journalctl --vacuum-size=200M; du -xh {folder} | sort -h | tail"
    yield Finding("disk", verdict, f"{free} MiB are free under {folder}", mend)
    file = folder / "outbox.sqlite"
    if file.exists():
        yield from _outbox(file, most_waiting)


def _outbox(file: Path, most: int) -> Iterator[Finding]:
    mend = f"systemctl stop eeg-copilot && mv {file} {file}.damaged && systemctl start eeg-copilot"
    try:
        # Read only: the daemon may be writing.
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5) as db:
            sound = db.execute("pragma quick_check(1)").fetchone()[0]
            waiting, oldest = db.execute(
                "select count(*), min(created) from message where state=0"
            ).fetchone()
            refused = db.execute("select count(*) from message where state=2").fetchone()[0]
    except sqlite3.Error as why:
        yield Finding("outbox", "bad", f"{file}: {why}", mend)
        return
    finally:
        if "db" in locals():
            db.close()
    if sound != "ok":
        yield Finding("outbox", "bad", f"{file} is damaged: {sound}", mend)
        return
    age_s = time.time() - oldest if oldest else 0.0
    look = "journalctl -u eeg-copilot -n 50 -p warning"
    if waiting > 0.8 * most:
        detail = f"{waiting} messages wait and {most} is the most: then the oldest readings are dropped"
        yield Finding("outbox", "bad", detail, look)
    elif age_s > BACKLOG_S:
        detail = (
            f"{waiting} messages wait, the oldest for {age_s / 3600:.1f} h: the broker does not take them"
        )
        yield Finding("outbox", "warning", detail, look)
    else:
        yield Finding("outbox", "good", f"{waiting} messages wait")
    if refused:
        detail = f"the broker has refused {refused} messages for good: its access rules"
        yield Finding(
            "outbox-refused", "warning", detail, "compare the broker's acl_file with systemd/mosquitto/acl"
        )
