"""With what somebody comes to a broker, and what it means where that is refused."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import aiomqtt
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from daemon.errors import ConfigError, LoginError
from daemon.mqtt_settings import Mqtt, Reach, read_password
from daemon.reasons import LOGIN_REFUSED, TAKEN_OVER
from daemon.tls import meaning, tls_context

log = structlog.get_logger("login")


class Login:
    """password, tls: those of now, or the last good ones. Raises ConfigError where they were never good."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.password: str | None = read_password(reach)
        self.tls: ssl.SSLContext | None = tls_context(reach)
        self._unreadable = ""

    def renew(self) -> None:
        """Certificates and passwords are replaced over the months: to be called at every connection."""
        try:
            self.password, self.tls = read_password(self._reach), tls_context(self._reach)
            self._unreadable = ""
        except ConfigError as why:
            if str(why) != self._unreadable:
                self._unreadable = str(why)
                log.error("going on with the login as it was", reason=self._unreadable)


def number(why: Exception) -> int | None:
    """The reason code that the broker gave, where it gave one."""
    code = getattr(why, "rc", None)
    return int(code.value) if isinstance(code, ReasonCode) else None


def explain(why: aiomqtt.MqttError, reach: Reach) -> tuple[str, bool]:
    """Why a connection failed, and whether the broker will not have us as we come."""
    if number(why) in LOGIN_REFUSED:
        return f"the login ({why.rc}): check {reach.table}.username and the password", True  # type: ignore[attr-defined]
    return meaning(str(why), reach)


class NodeLogin(Login):
    """A node's, which tells its operator what fails. connects: how often the broker has let us in.

    note: enters a deed into the audit trail (actor, action, details).
    """

    def __init__(self, mqtt: Mqtt, note: Callable[..., None] = lambda *_, **__: None) -> None:
        """Raises ConfigError for certificates or a password file that cannot be used."""
        super().__init__(mqtt)
        self.connects = 0
        self._mqtt = mqtt
        self._note = note

    def failed(self, why: aiomqtt.MqttError, said: str) -> str:
        """Logs a failure once for each run of equal ones; raises LoginError where waiting is useless.

        said: what this returned for the failure before.
        """
        code, where = number(why), self._mqtt.where
        reason, final = explain(why, self._mqtt)
        if final and reason != said:
            self._note("broker", "node refused", broker=where, reason=reason)
        if final and self.connects == 0:
            raise LoginError(f"broker {where} refuses {'' if code else 'this node: '}{reason}") from None
        if code == TAKEN_OVER:
            reason += ": another daemon has the same mqtt.site and mqtt.node, give one of them another name"
        if reason != said:
            # Neither waiting nor a new attempt mends a certificate: somebody has to be told.
            tell = log.error if final or "certificate" in reason else log.warning
            tell("no broker, trying again", broker=where, reason=reason)
        return reason
