"""The broker: whether it lets us in, keeps what it is given, and for how long."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.properties import Properties

from daemon.config_errors import one_line
from daemon.confirmed import ConfirmedClient
from daemon.doctor.finding import Finding
from daemon.errors import ConfigError
from daemon.login import Login, number
from daemon.mqtt_settings import Mqtt, is_loopback
from daemon.reasons import LOGIN_REFUSED, denied, failed
from daemon.topics import Topics
from pipeline.drafts.context import MAX_BYTES

PATIENCE_S = 8.0
MOSQUITTO = Path("/etc/mosquitto/mosquitto.conf")
# Mosquitto 2.0 writes its database every half hour unless told otherwise (mosquitto.conf(5)); a power cut
# loses what it has acknowledged since.
AUTOSAVE_S = 1800
AUTOSAVE_WANTED_S = 60
# Mosquitto's default for a subscriber that is away. A monitor that is off for a night misses what is beyond.
QUEUE = 1000
QUEUE_WANTED = 10000
CERTIFICATE_DAYS = 30


class Visitor(ConfirmedClient):
    """A client under another name than the daemon's, so that it does not throw the daemon out."""

    def __init__(self, mqtt: Mqtt, login: Login) -> None:
        super().__init__(mqtt, f"eegcopilot-doctor-{os.getpid()}", login)
        self.welcome: Properties | None = None

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None
    ) -> None:
        self.welcome = properties
        super()._on_connect(client, userdata, flags, reason_code, properties)


def look_at_broker(mqtt: Mqtt) -> Iterator[Finding]:
    where = f"{mqtt.host}:{mqtt.port}"
    local = is_loopback(mqtt.host)
    try:
        yield from asyncio.run(_visit(mqtt, where))
    except ConfigError as why:
        yield Finding("broker", "bad", str(why), "eeg-copilot check-config CONFIG")
        return
    except (aiomqtt.MqttError, OSError, TimeoutError) as why:
        reason = one_line(str(why)) or "no answer"
        if number(why) in LOGIN_REFUSED:
            mend = f"mosquitto_passwd /etc/mosquitto/passwd {mqtt.username or 'eeg'}"
            yield Finding("broker", "bad", f"{where} refuses the login: {reason}", mend)
            return
        mend = "systemctl enable --now mosquitto" if local else f"nc -vz {mqtt.host} {mqtt.port}"
        yield Finding("broker", "bad", f"{where} is not to be reached: {reason}", mend)
        return
    yield from _durable(local)


async def _visit(mqtt: Mqtt, where: str) -> list[Finding]:
    found = []
    login = Login(mqtt)
    async with asyncio.timeout(PATIENCE_S), Visitor(mqtt, login) as client:
        base = Topics(mqtt.site, mqtt.node).base
        reason = await client.send(f"{base}/doctor", b'{"research_use_only":true}', 1, False)
        granted = await client.subscribe(f"{base}/cmd/#", qos=1)
        await client.subscribe("$SYS/broker/version")
        version = ""
        try:
            async with asyncio.timeout(1.0):
                async for message in client.messages:
                    if message.topic.value == "$SYS/broker/version" and isinstance(message.payload, bytes):
                        version = message.payload.decode("utf-8", "replace")
                        break
        except TimeoutError:
            pass
        welcome = client.welcome
    found.append(Finding("broker", "good", f"{where} lets us in{version and ', ' + one_line(version)}"))
    acl = "edit the broker's acl_file: topic readwrite eegcopilot/v1/#"
    if failed(reason):
        found.append(Finding("broker-access", "bad", f"publishing under {base} is denied ({reason})", acl))
    elif denied(granted):
        found.append(Finding("broker-access", "bad", f"subscribing to {base}/cmd is denied", acl))
    else:
        found.append(Finding("broker-access", "good", f"may publish under {base} and hear commands"))
    found += _welcome(welcome)
    if login.tls is not None:
        found.append(_certificate(mqtt, login.tls))
    return found


def _welcome(welcome: Properties | None) -> Iterator[Finding]:
    """What the broker said of itself when it let us in (MQTT 5, 3.2.2.3)."""
    if getattr(welcome, "RetainAvailable", 1) == 0:
        yield Finding(
            "broker-retain",
            "bad",
            "it keeps no retained messages: who comes later sees no status",
            "sed -i 's/^retain_available.*/retain_available true/' /etc/mosquitto/mosquitto.conf",
        )
    if getattr(welcome, "MaximumQoS", 2) == 0:
        yield Finding(
            "broker-qos",
            "bad",
            "it takes QoS 0 alone: nothing is confirmed",
            "sed -i 's/^max_qos.*/max_qos 2/' /etc/mosquitto/mosquitto.conf",
        )
    largest = getattr(welcome, "MaximumPacketSize", None)
    if largest is not None and largest < 2 * MAX_BYTES:
        yield Finding(
            "broker-size",
            "bad",
            f"it takes messages of at most {largest} bytes: a draft of a record is larger",
            f'set max_packet_size {4 * MAX_BYTES} in mosquitto.conf, or send = "pointer" in [drafts]',
        )


def _certificate(mqtt: Mqtt, tls: ssl.SSLContext) -> Finding:
    import socket

    with (
        socket.create_connection((mqtt.host, mqtt.port), PATIENCE_S) as plain,
        tls.wrap_socket(plain, server_hostname=mqtt.host) as secured,
    ):
        certificate = secured.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = (ends - time.time()) / 86400
    show = f"openssl s_client -connect {mqtt.host}:{mqtt.port} </dev/null | openssl x509 -noout -dates"
    if days < CERTIFICATE_DAYS:
        return Finding("broker-certificate", "warning", f"ends in {days:.0f} days", show)
    return Finding("broker-certificate", "good", f"ends in {days:.0f} days")


def _durable(local: bool) -> Iterator[Finding]:
    """A client cannot see what a broker writes to its disk; a local Mosquitto's own settings can be read."""
    if not local or not MOSQUITTO.is_file():
        yield Finding(
            "broker-durable", "unseen", "it says to nobody whether it survives a power cut: ask who runs it"
        )
        return
    settings = mosquitto_settings(MOSQUITTO)
    conf = "/etc/mosquitto/conf.d/eeg-copilot.conf && systemctl restart mosquitto"
    if settings.get("persistence", "false") != "true":
        detail = "mosquitto keeps nothing over its restart"
        yield Finding("broker-durable", "bad", detail, f"echo 'persistence true' >> {conf}")
        return
    autosave = int(settings.get("autosave_interval", AUTOSAVE_S))
    if autosave > AUTOSAVE_WANTED_S and settings.get("autosave_on_changes") != "true":
        detail = f"a power cut loses what mosquitto has confirmed in the last {autosave} s"
        yield Finding(
            "broker-durable", "warning", detail, f"echo 'autosave_interval {AUTOSAVE_WANTED_S}' >> {conf}"
        )
    else:
        yield Finding("broker-durable", "good", f"mosquitto writes its database every {autosave} s")
    queue = int(settings.get("max_queued_messages", QUEUE))
    if 0 < queue < QUEUE_WANTED:
        detail = f"of a monitor that is away mosquitto keeps {queue} messages: more are dropped silently"
        yield Finding(
            "broker-queue", "warning", detail, f"echo 'max_queued_messages {QUEUE_WANTED * 10}' >> {conf}"
        )
    else:
        yield Finding(
            "broker-queue", "good", f"{queue or 'all'} messages are kept for a monitor that is away"
        )


def mosquitto_settings(file: Path) -> dict[str, str]:
    """Global settings of a mosquitto.conf and of the folder it includes; the last one counts, as there."""
    found: dict[str, str] = {}
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        key, _, value = line.strip().partition(" ")
        if key == "include_dir":
            for more in sorted(Path(value.strip()).glob("*.conf")):
                found |= mosquitto_settings(more)
        elif key and not key.startswith("#"):
            found[key] = value.strip()
    return found
