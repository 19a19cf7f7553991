"""Certificates made at run time: an authority and what it signs (P-256, valid for an hour)."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def build(subject, issuer, public_key, signing_key, is_authority, names=()):
    """One certificate; `issuer` is a name's text."""
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(signing_key, hashes.SHA256())


class Authority:
    NAME = "secretfs fake Azure authority"

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        certificate = build(self.NAME, self.NAME, self.key.public_key(), self.key, True)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, names):
        """The certificate and the private key, both as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = build(names[0], self.NAME, key.public_key(), self.key, False, names)
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
