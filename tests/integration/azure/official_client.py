"""Microsoft's clients, driven by a test: one JSON command a line on standard input, one answer a line.

An answer is {"result": …}, or {"error": TEXT, "status": HTTP STATUS or null} for what a client raised.
"""

import base64
import json
import os
import sys

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.certificates import CertificateClient, CertificateContentType, CertificatePolicy
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../fakes/azure"))
import test_authority  # noqa: E402  (the fake's maker of certificates)

# Failures are to show at once.
QUICK = {"retry_total": 0}


def make_credential(how):
    kind = how["kind"]
    if kind == "secret":
        return ClientSecretCredential(how["tenant"], how["client_id"], how["secret"], authority=how["authority"])
    if kind == "certificate":
        return CertificateCredential(
            how["tenant"], how["client_id"], certificate_path=how["path"], password=how.get("password"),
            authority=how["authority"], send_certificate_chain=how.get("send_chain", False),
        )
    if kind == "workload":
        return WorkloadIdentityCredential(
            tenant_id=how["tenant"], client_id=how["client_id"], token_file_path=how["path"],
            authority=how["authority"],
        )
    return ManagedIdentityCredential(client_id=how.get("client_id"), identity_config=how.get("identity"))


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Driver:
    def __init__(self):
        self.made = {}

    def login(self, vault, credential):
        made = make_credential(credential)
        url = "https://" + vault
        self.secrets = SecretClient(url, made, **QUICK)
        self.certificates = CertificateClient(url, made, **QUICK)
        self.keys = KeyClient(url, made, **QUICK)

    def set_secret(self, name, value, content_type=None, enabled=None):
        return self.secrets.set_secret(name, value, content_type=content_type, enabled=enabled).properties.version

    def get_secret(self, name, version=None):
        secret = self.secrets.get_secret(name, version)
        return {
            "value": secret.value,
            "version": secret.properties.version,
            "content_type": secret.properties.content_type,
            "created": int(secret.properties.created_on.timestamp()),
        }

    def list_secrets(self):
        return [one.name for one in self.secrets.list_properties_of_secrets() if one.enabled]

    def list_versions(self, name):
        return [one.version for one in self.secrets.list_properties_of_secret_versions(name)]

    def enable_secret(self, name, version, enabled):
        self.secrets.update_secret_properties(name, version, enabled=enabled)

    def delete_secret(self, name):
        self.secrets.begin_delete_secret(name).result()

    def get_deleted_secret(self, name):
        return self.secrets.get_deleted_secret(name).name

    def recover_secret(self, name):
        self.secrets.begin_recover_deleted_secret(name).result()

    def purge_secret(self, name):
        self.secrets.purge_deleted_secret(name)

    def make_certificate(self, subject, kind="rsa"):
        """A leaf, an intermediate and a root; returns them as PEM, and the leaf's key."""
        root_key = ec.generate_private_key(ec.SECP256R1())
        middle_key = ec.generate_private_key(ec.SECP256R1())
        key = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
        )
        root = test_authority.build("root", "root", root_key.public_key(), root_key, True)
        middle = test_authority.build("middle", "root", middle_key.public_key(), root_key, True)
        leaf = test_authority.build(subject, "middle", key.public_key(), middle_key, False)
        self.made[subject] = (key, leaf, middle, root)
        return {
            "leaf": pem(leaf), "middle": pem(middle), "root": pem(root), "key": self.key_pem(key),
            "der": base64.b64encode(leaf.public_bytes(serialization.Encoding.DER)).decode(),
        }

    @staticmethod
    def key_pem(key):
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def import_certificate(self, name, subject, form="pkcs12"):
        key, leaf, middle, root = self.made[subject]
        if form == "pkcs12":
            # The chain in an order that no server wants.
            data = pkcs12.serialize_key_and_certificates(None, key, leaf, [root, middle], serialization.NoEncryption())
            kind = CertificateContentType.pkcs12
        else:
            data = (self.key_pem(key) + pem(leaf) + pem(middle) + pem(root)).encode()
            kind = CertificateContentType.pem
        policy = CertificatePolicy("Unknown", content_type=kind)
        imported = self.certificates.import_certificate(name, data, policy=policy)
        return imported.properties.version

    def get_certificate(self, name):
        certificate = self.certificates.get_certificate(name)
        return {"cer": base64.b64encode(bytes(certificate.cer)).decode(), "version": certificate.properties.version}

    def list_certificates(self):
        return [one.name for one in self.certificates.list_properties_of_certificates()]

    def create_key(self, name, kind, curve=None):
        if kind == "RSA":
            return self.keys.create_rsa_key(name, size=2048).properties.version
        return self.keys.create_ec_key(name, curve=curve).properties.version

    def get_key(self, name):
        """The public key as PEM, made from what the client gives by another library than ours."""
        key = self.keys.get_key(name)
        if key.key.kty.value.startswith("RSA"):
            numbers = rsa.RSAPublicNumbers(int.from_bytes(key.key.e, "big"), int.from_bytes(key.key.n, "big"))
        else:
            curve = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "P-256K": ec.SECP256K1}
            numbers = ec.EllipticCurvePublicNumbers(
                int.from_bytes(key.key.x, "big"), int.from_bytes(key.key.y, "big"), curve[key.key.crv.value]()
            )
        public = numbers.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {"pem": public.decode(), "version": key.properties.version}

    def list_keys(self):
        return [one.name for one in self.keys.list_properties_of_keys()]

    def write_client_certificate(self, path, password=None, form="pem"):
        """A self-signed client certificate with its key at `path`; returns the certificate as PEM."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = test_authority.build("client", "client", key.public_key(), key, False)
        if form == "pem":
            data = (self.key_pem(key) + pem(certificate)).encode()
        else:
            protection = (
                serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
            )
            data = pkcs12.serialize_key_and_certificates(None, key, certificate, None, protection)
        with open(path, "wb") as file:
            file.write(data)
        return pem(certificate)


def main():
    driver = Driver()
    for line in sys.stdin:
        command = json.loads(line)
        operation = command.pop("operation")
        try:
            answer = {"result": getattr(driver, operation)(**command)}
        except HttpResponseError as problem:
            answer = {"error": str(problem), "status": problem.status_code}
        except (ClientAuthenticationError, ValueError) as problem:
            answer = {"error": str(problem), "status": None}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
