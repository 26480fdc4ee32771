"""What TLS needs: our side's context, and in words why a handshake failed.  No I/O beyond reading certificate files."""

from __future__ import annotations

import ssl

from bus_amqp.errors import SettingsError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import Address

_NO_TLS = b"\x15\x03"  # how a TLS alert begins, which is what a TLS port says to a plain client

# OpenSSL's X509_V_ERR_*: Python has no names for them.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _OTHER_HOST, _OTHER_IP = 9, 10, 18, 62, 64
_UNKNOWN_AUTHORITY = frozenset({2, 19, 20, 21})

_NAME_CERTIFICATE = "name one in connection.certificate_file (and its key in connection.key_file)"
_ALERTS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": f"the broker demands a client certificate: {_NAME_CERTIFICATE}",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the broker says that our certificate has expired: renew it",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the broker says that our certificate was revoked: get another",
    "TLSV1_ALERT_UNKNOWN_CA": "the broker does not trust the authority of our certificate (connection.certificate_file)"
    ": use one of an authority that its ssl_options.cacertfile names",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the broker speaks only versions of TLS that this machine refuses (or newer ones)",
    "UNSUPPORTED_PROTOCOL": "the broker speaks only versions of TLS that this machine refuses",
}
_OUR_CERTIFICATE = frozenset(
    {"SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
     "TLSV1_ALERT_DECRYPT_ERROR", "TLSV1_ALERT_ACCESS_DENIED"}
)  # fmt: skip
_PLAIN_PORT = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_MESSAGE"})


def client_context(settings: ConnectionSettings) -> ssl.SSLContext:
    """Return a context that verifies chain and host name.  Raises ``SettingsError`` for a file that cannot be used.

    Made anew for each connection, so that certificates may be renewed while the process runs.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as exc:  # of which SSLError is one
        raise SettingsError(f"connection.ca_file {settings.ca_file}: {_why(exc, 'no certificate in PEM')}") from exc
    if settings.certificate_file is None:
        return context
    key_file = settings.key_file or settings.certificate_file
    try:
        context.load_cert_chain(settings.certificate_file, key_file, password=_refuse_passphrase)
    except OSError as exc:
        for name, path in (("certificate_file", settings.certificate_file), ("key_file", key_file)):
            if not path.is_file():
                raise SettingsError(f"connection.{name} {path}: {_why(exc, 'no such file')}") from exc
        what = "the key is not the certificate's" if _reason(exc) == "KEY_VALUES_MISMATCH" else "no certificate and key"
        raise SettingsError(
            f"connection.certificate_file {settings.certificate_file} with key {key_file}: {_why(exc, what)}"
        ) from exc
    return context


def _refuse_passphrase() -> str:
    # Without this, OpenSSL would ask for it on the terminal, and a service would wait for ever.
    raise SettingsError("connection.key_file is encrypted: store it without a passphrase, readable by its user only")


def verification_failure(exc: ssl.SSLCertVerificationError) -> str:
    """Say what is wrong with the broker's certificate, and what to do."""
    match exc.verify_code:
        case code if code == _EXPIRED:
            return "its certificate has expired: have it renewed (and see whether this machine's clock is right)"
        case code if code == _NOT_YET_VALID:
            return "its certificate is not valid yet: see when it begins and whether this machine's clock is right"
        case code if code in (_OTHER_HOST, _OTHER_IP):
            told = exc.verify_message.rstrip(".")
            return f"its certificate is for another host: {told}: write the name that it bears into the url"
        case code if code == _SELF_SIGNED:
            return "its certificate signed itself: if you trust it, name it in connection.ca_file"
        case code if code in _UNKNOWN_AUTHORITY:
            return (
                "its certificate's authority is unknown here: name that authority's certificate in "
                "connection.ca_file (or SSL_CERT_FILE)"
            )
        case _:
            return f"its certificate is not accepted: {exc.verify_message}"


def handshake_failure(exc: ssl.SSLError, settings: ConnectionSettings) -> str | None:
    """Say why TLS cannot work with this peer, and what to do.  None: no cause that somebody would have to mend."""
    reason = _reason(exc)
    if reason == "SSLV3_ALERT_HANDSHAKE_FAILURE":  # TLS 1.2 knows no word for "certificate required"
        if settings.certificate_file is None:
            return f"the broker refused the handshake; if it demands a client certificate, {_NAME_CERTIFICATE}"
        return "the broker refused the handshake: no cipher in common, or it does not take our certificate"
    if reason in _OUR_CERTIFICATE:
        if settings.certificate_file is None:
            return f"the broker demands a client certificate: {_NAME_CERTIFICATE}"
        return f"the broker does not accept our certificate {settings.certificate_file} ({reason})"
    if reason in _PLAIN_PORT:
        return "that port does not speak TLS: write amqp:// for it, or the port of the TLS listener (5671, as a rule)"
    return _ALERTS.get(reason)


def is_tls_port(address: Address, greeting: bytes) -> bool:
    """Whether a peer that was spoken to without TLS has answered with a TLS alert."""
    return not address.is_tls and greeting.startswith(_NO_TLS)


def _reason(exc: OSError) -> str:
    return getattr(exc, "reason", None) or ""


def _why(exc: OSError, else_say: str) -> str:
    if isinstance(exc, ssl.SSLError):
        return f"{else_say} ({exc.reason or exc})"
    return exc.strerror or else_say
