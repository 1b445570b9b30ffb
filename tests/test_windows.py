"""The topic `{stream}/window`: what the model saw, only where it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from broker import Mosquitto, listening
from node import bundle, configuration, serving, stream

from pipeline.calibration import LEVELS, RANGE
from pipeline.wavelet import BANDS

SIMULATED = 'kind = "simulator"'


def test_windows_are_published_where_the_stream_asks(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        toml = stream("open", SIMULATED, "calibration_s = 4\nwindows = true") + stream(
            "shut", SIMULATED, "calibration_s = 4"
        )
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: len(ear.under("open/window")) >= 2 and ear.under("shut/emotion"), 60)
            await running.finish()
            assert ear.under("shut/window") == []
            montage = bundle().manifest.pipeline.montage
            for told in ear.under("open/window"):
                assert told["schema"] == "eegcopilot.window/1" and told["research_use_only"]
                assert told["method"] == "w5-energy/1" and told["levels"] == LEVELS
                assert told["bands"] == list(BANDS)
                assert set(told["codes"]) == set(told["deviations"]) <= set(montage)
                for name, codes in told["codes"].items():
                    assert len(codes) == len(BANDS) and all(0 <= code < LEVELS for code in codes)
                    # The middle of each code's interval, in spreads from rest.
                    for code, spreads in zip(codes, told["deviations"][name], strict=True):
                        assert abs(spreads - (code - LEVELS / 2 + 0.5) * 2 * RANGE / LEVELS) < 0.01
            windows = {told["window"]["end"] for told in ear.under("open/window")}
            assert windows & {told["window"]["end"] for told in ear.under("open/emotion")}
            raw = [raw for topic, _, raw in ear.heard if topic.endswith("open/window")]
            assert all(one.qos == 0 and not one.retain for one in raw)

    asyncio.run(body())
