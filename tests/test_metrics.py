"""`/metrics`: served by a running daemon, read as Prometheus reads it; and all that the dashboard asks."""

import asyncio
import json
import re
import urllib.request
from pathlib import Path

import pytest
from broker import Mosquitto, free_port, listening
from node import configuration, serving, stream
from prometheus_client.parser import text_string_to_metric_families

from daemon.errors import ConfigError
from daemon.messages import StreamHealth
from daemon.metrics import _WHAT

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "systemd" / "grafana" / "eeg-copilot.json"


def scrape(port: int) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Values by the name of the sample and its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def expressions() -> list[str]:
    """Every query of the dashboard, of its panels and of its variables."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for top in dashboard["panels"] for panel in [top, *top.get("panels", [])]]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return queries + [
        variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]


def test_served_and_shown(mosquitto: Mosquitto, tmp_path: Path) -> None:
    port = free_port()

    async def body() -> None:
        beds = stream("bed-1", 'kind = "simulator"', "calibration_s = 4") + stream(
            "bed-2", 'kind = "lsl", name = "nobody"'
        )
        file = configuration(tmp_path, mosquitto.port, f"[metrics]\nenabled = true\nport = {port}\n{beds}")
        async with listening(mosquitto.port) as ear, serving(file) as running:
            await ear.until(lambda: len(ear.under("bed-1/emotion")) >= 2, 60)
            found = await asyncio.to_thread(scrape, port)
            assert found["eegcopilot_stream_state"][("state", "online"), ("stream", "bed-1")] == 1
            assert found["eegcopilot_stream_state"][("state", "offline"), ("stream", "bed-2")] == 1
            assert found["eegcopilot_broker_connected"][()] == 1
            bed = (("stream", "bed-1"),)
            read = (
                found["eegcopilot_stream_labels_total"][bed] + found["eegcopilot_stream_abstained_total"][bed]
            )
            assert read >= 2
            assert found["eegcopilot_stream_samples_total"][bed] >= 250 * 14
            total = (("quantile", "0.99"), ("stage", "total"))
            assert 0 < found["eegcopilot_latency_seconds"][total] < 2
            assert found["eegcopilot_outbox_bytes"][()] > 0
            whys = {dict(labels)["why"] for labels in found["eegcopilot_outbox_gone_total"]}
            assert {"dropped", "expired"} <= whys and not whys & {"kib", "in_memory", "waiting"}
            assert not any("pseudo" in str(labels) for series in found.values() for labels in series)

            names = {name for query in expressions() for name in re.findall(r"\beegcopilot_\w+", query)}
            assert len(names) > 10
            assert names <= set(found), names - set(found)
            asked = {label for query in expressions() for label in re.findall(r"[{,]\s*(\w+)\s*=", query)}
            known = {key for series in found.values() for labels in series for key, _ in labels}
            assert asked <= known | {"instance", "job"}, asked
            await running.finish()
            health = running.service.last_health
            assert health is not None
            assert {f"eegcopilot_mqtt_{name}_total" for name in health.mqtt} <= set(found)
        with pytest.raises(OSError):
            await asyncio.to_thread(scrape, port)

    asyncio.run(body())


def test_nothing_that_a_stream_counts_is_left_out() -> None:
    assert set(_WHAT) == set(StreamHealth.__struct_fields__) - {"state"}


def test_off_by_default_and_loopback(tmp_path: Path) -> None:
    from daemon.config import Metrics

    assert (Metrics().enabled, Metrics().host) == (False, "127.0.0.1")


def test_port_taken_is_said(mosquitto: Mosquitto, tmp_path: Path) -> None:
    text = f"[metrics]\nenabled = true\nport = {mosquitto.port}\n" + stream("bed", 'kind = "simulator"')

    async def body() -> None:
        async with serving(configuration(tmp_path, mosquitto.port, text)) as running:
            with pytest.raises(ConfigError, match=r"metrics\.port"):
                await running.task

    asyncio.run(body())
