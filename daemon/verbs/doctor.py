"""`eeg-copilot doctor [CONFIG] [--json]`"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from daemon.cli import DONE, FAILED
from daemon.config import Config, load_config
from daemon.doctor.broker import look_at_broker
from daemon.doctor.finding import Finding
from daemon.doctor.headsets import look_at_headsets
from daemon.doctor.machine import look_at_machine, look_at_versions
from daemon.doctor.service import look_at_service
from daemon.doctor.store import look_at_bundle, look_at_store
from daemon.errors import ConfigError
from daemon.unit import see_as_the_service, unit_of

# Where the service of this configuration keeps its state, as seen by root.
PRIVATE = Path("/var/lib/private")
_SIGNS = {"good": "ok  ", "warning": "look", "bad": "BAD ", "unseen": "?   "}


def run(options: argparse.Namespace) -> int:
    """0: nothing is bad. 1: something is."""
    see_as_the_service(Path(options.config))
    findings = []
    for finding in _all(Path(options.config)):
        findings.append(finding)
        if not options.json:
            _tell(finding)
    bad = sum(finding.verdict == "bad" for finding in findings)
    if options.json:
        sys.stdout.write(msgspec.json.encode({"bad": bad, "findings": findings}).decode() + "\n")
    else:
        look = sum(finding.verdict == "warning" for finding in findings)
        print(f"{bad} to mend, {look} to look at, {len(findings)} looked at")
    return FAILED if bad else DONE


def _all(file: Path) -> Iterator[Finding]:
    """In the order in which things are needed: what stands on something bad is looked at all the same."""
    unit = unit_of(file)
    yield from look_at_versions()
    config: Config | None = None
    try:
        config = load_config(file)
    except ConfigError as why:
        yield Finding("configuration", "bad", str(why), f"editor {file} && eeg-copilot check-config {file}")
    else:
        yield Finding("configuration", "good", f"{file} can be used")
    yield from look_at_machine(config)
    if config is not None:
        yield from look_at_bundle(config)
        yield from look_at_store(_state(config, unit), config.state.max_waiting)
        yield from look_at_broker(config.mqtt)
        yield from look_at_headsets(config)
    yield from look_at_service(unit)


def _state(config: Config, unit: str) -> Path:
    private = PRIVATE / unit.removesuffix(".service").replace("@", "-")
    return private if config.state.directory is None and private.is_dir() else config.state_directory()


def _tell(finding: Finding) -> None:
    print(f"{_SIGNS[finding.verdict]}  {finding.check:<18} {finding.detail}", flush=True)
    if finding.mend:
        print(f"{'':>24} → {finding.mend}", flush=True)
