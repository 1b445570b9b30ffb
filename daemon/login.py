"""Who we are to the broker, and what its refusals mean for somebody who has to mend them."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import aiomqtt
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from daemon.errors import ConfigError, LoginError
from daemon.mqtt_settings import Mqtt, read_password
from daemon.tls import meaning, tls_context

log = structlog.get_logger("publisher")

# Bad user name or password, not authorised, banned, bad authentication method (MQTT 5, 3.2.2.2).
_REFUSALS = {134, 135, 138, 140}
_TAKEN_OVER = 142


class Login:
    """password, tls: for the next connection. connects: how often the broker has let us in.

    note: enters a deed into the audit trail (actor, action, details).
    """

    def __init__(self, mqtt: Mqtt, note: Callable[..., None] = lambda *_, **__: None) -> None:
        """Raises ConfigError for certificates or a password file that cannot be used."""
        self.password = read_password(mqtt)
        self.tls: ssl.SSLContext | None = tls_context(mqtt)
        self.connects = 0
        self._mqtt = mqtt
        self._note = note
        self._unreadable = ""

    @property
    def broker(self) -> str:
        return f"{self._mqtt.host}:{self._mqtt.port}"

    def renew(self) -> None:
        """Certificates and passwords are replaced over the months: those of now, or the last good ones."""
        try:
            self.password, self.tls = read_password(self._mqtt), tls_context(self._mqtt)
            self._unreadable = ""
        except ConfigError as why:
            if str(why) != self._unreadable:
                self._unreadable = str(why)
                log.error("going on with the login as it was", reason=self._unreadable)

    def explain(self, why: aiomqtt.MqttError, said: str) -> str:
        """Logs a failure once for each run of equal ones; raises LoginError where waiting is useless.

        said: what this returned for the failure before.
        """
        code = getattr(why, "rc", None)
        number = code.value if isinstance(code, ReasonCode) else None
        reason, final = meaning(str(why))
        if number in _REFUSALS:
            reason, final = f"the login ({code}): check mqtt.username and the password", True
        if final and reason != said:
            self._note("broker", "node refused", broker=self.broker, reason=reason)
        if final and self.connects == 0:
            raise LoginError(
                f"broker {self.broker} refuses {'' if number else 'this node: '}{reason}"
            ) from None
        if number == _TAKEN_OVER:
            reason += ": another daemon has the same mqtt.site and mqtt.node, give one of them another name"
        if reason != said:
            # Neither waiting nor a new attempt mends a certificate: somebody has to be told.
            tell = log.error if final or "certificate" in reason else log.warning
            tell("no broker, trying again", broker=self.broker, reason=reason)
        return reason
