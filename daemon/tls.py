"""TLS towards the broker, and what its failures mean for somebody who has to mend them."""

from __future__ import annotations

import ssl

from daemon.config_errors import one_line
from daemon.errors import ConfigError
from daemon.mqtt_settings import Reach

# How a TLS failure reads in OpenSSL's words, and what it means; the first that fits; {table}: of the
# configuration. True where it is the broker's verdict on our certificate: waiting changes nothing, unless
# that certificate just lapsed.
_MEANINGS: tuple[tuple[str, str, bool], ...] = (
    ("certificate verify failed: certificate has expired", "the broker's certificate has expired", False),
    (
        "certificate verify failed: certificate is not yet valid",
        "the broker's certificate is not valid yet: look at this machine's clock",
        False,
    ),
    (
        "certificate verify failed: hostname mismatch",
        "the broker's certificate is for another name than {table}.host",
        False,
    ),
    (
        "certificate verify failed: ip address mismatch",
        "the broker's certificate is for another address than {table}.host",
        False,
    ),
    (
        "certificate verify failed",
        "the broker's certificate is from a CA that is not trusted here: see {table}.ca_file",
        False,
    ),
    ("alert certificate expired", "our own certificate has expired: renew {table}.cert_file", False),
    ("alert certificate revoked", "our own certificate was revoked", True),
    (
        "alert certificate required",
        "the broker wants a certificate: set {table}.cert_file, {table}.key_file",
        True,
    ),
    ("alert unknown ca", "the broker does not know the CA of {table}.cert_file", True),
    ("alert bad certificate", "the broker does not accept {table}.cert_file", True),
    ("alert certificate unknown", "the broker does not accept {table}.cert_file", True),
    ("alert unsupported certificate", "the broker does not accept {table}.cert_file", True),
    ("alert access denied", "the broker does not accept {table}.cert_file", True),
    ("wrong version number", "the broker's port does not speak TLS: see {table}.port", False),
)


def tls_context(reach: Reach) -> ssl.SSLContext | None:
    """None for a plain connection. Raises ConfigError for certificates that cannot be used."""
    if not reach.encrypted:
        return None
    key = f"{reach.table}.ca_file"
    try:
        context = ssl.create_default_context(cafile=reach.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = reach.check_server_name
        if reach.cert_file is not None:
            key = f"{reach.table}.cert_file, {reach.table}.key_file"
            # An encrypted key would ask at the terminal; under systemd nobody answers.
            context.load_cert_chain(reach.cert_file, reach.key_file, password=_no_password)
    except (OSError, ValueError) as why:  # SSLError is an OSError
        raise ConfigError(f"{key}: cannot be used: {one_line(str(why))}") from None
    return context


def meaning(failure: str, reach: Reach) -> tuple[str, bool]:
    """What a connection's failure means, and whether it is the broker's verdict on our certificate.

    failure: as OpenSSL or the socket said it; given back where it is not about certificates.
    """
    said = failure.lower().replace("_", " ")
    for part, means, final in _MEANINGS:
        if part in said:
            return means.format(table=reach.table), final
    return one_line(failure), False


def _no_password() -> str:
    raise ValueError("the key is encrypted: give it without a passphrase, readable by this service alone")
