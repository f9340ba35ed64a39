"""The fleet's certificates: one CA, the server's, the devices', and the list of revoked ones.

X.509 with ECDSA. `not before` lies `BACKDATED` in the past, so that a device whose clock is a day
slow can use a new certificate at once; a clock that is fast shows as an expired certificate
`RENEW_BEFORE` earlier at the most, since certificates are renewed that long before their end.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import UsageError, WorkError

BACKDATED: Final = timedelta(days=2)
RENEW_BEFORE: Final = timedelta(days=60)
CA_LIFE: Final = timedelta(days=3650)
SERVER_LIFE: Final = timedelta(days=397)
DEVICE_LIFE: Final = timedelta(days=365)
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_DNS: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_HASH: Final = hashes.SHA384()

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


def authority_certificate(key: PrivateKey, fleet: str, now: datetime) -> x509.Certificate:
    """The CA's own certificate; it signs certificates of servers and devices, and revocations."""
    name = _name(f"Mien fleet {fleet}", fleet)
    usage = _usage(key_cert_sign=True, crl_sign=True)
    return (
        _builder(name, name, key.public_key(), now, now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, _HASH)
    )


def server_certificate(
    ca: x509.Certificate,
    ca_key: PrivateKey,
    public_key: PublicKey,
    hosts: Sequence[str],
    now: datetime,
) -> x509.Certificate:
    """The server's certificate for names and addresses (at least one).

    Raises:
        UsageError: a host that is neither; none at all.
        WorkError: the CA has ended.
    """
    if not hosts:
        raise UsageError("the server's certificate needs a host name or address; give --host")
    names = [general_name(host) for host in dict.fromkeys(hosts)]
    subject = _name(str(names[0].value), _fleet_of(ca))
    return (
        _leaf(ca, subject, public_key, now, SERVER_LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, _HASH)
    )


def device_certificate(
    ca: x509.Certificate,
    ca_key: PrivateKey,
    public_key: PublicKey,
    name: str,
    now: datetime,
    life: timedelta = DEVICE_LIFE,
) -> x509.Certificate:
    """A device's client certificate.

    Raises:
        WorkError: the CA has ended.
    """
    return (
        _leaf(ca, _name(name, _fleet_of(ca)), public_key, now, life)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca_key, _HASH)
    )


def revocation_list(
    ca: x509.Certificate, ca_key: PrivateKey, revoked: Sequence[tuple[int, datetime]], now: datetime
) -> x509.CertificateRevocationList:
    """All serial numbers that no longer count, with the times from which they don't.

    It is good until the CA ends: whoever reads it gets a new one at each revocation, and an old
    list that ran out would lock every device out.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(_whole(now - BACKDATED))
        .next_update(ca.not_valid_after_utc)
        .add_extension(x509.CRLNumber(len(revoked) + 1), critical=False)
        .add_extension(_issuer_key(ca), critical=False)
    )
    for serial, when in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(entry.revocation_date(_whole(when)).build())
    return builder.sign(ca_key, _HASH)


def general_name(host: str) -> x509.DNSName | x509.IPAddress:
    """A host name or an IP address as it stands in a certificate.

    Raises:
        UsageError: it is neither.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if len(host) > 253 or not _DNS.fullmatch(host):
            raise UsageError(
                f"host {host!r} is neither a name nor an IP address; give one without a port"
            ) from None
    return x509.DNSName(host.lower())


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses of a server's certificate."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate ends within `RENEW_BEFORE`, or has ended."""
    return certificate.not_valid_after_utc - RENEW_BEFORE <= now


def _leaf(
    ca: x509.Certificate, subject: x509.Name, key: PublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    end = min(now + life, ca.not_valid_after_utc)
    if end <= now:
        raise WorkError(
            f"the fleet's CA ended on {ca.not_valid_after_utc:%Y-%m-%d}; start a new fleet with "
            "`mien server init`, or set this machine's clock"
        )
    return (
        _builder(subject, ca.subject, key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(_issuer_key(ca), critical=False)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_whole(now - BACKDATED))
        .not_valid_after(_whole(end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _issuer_key(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str, fleet: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, fleet),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
        ]
    )


def _fleet_of(ca: x509.Certificate) -> str:
    return str(ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)


def _whole(time: datetime) -> datetime:
    return time.replace(microsecond=0)
