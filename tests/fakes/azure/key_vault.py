"""The data plane of one Key Vault: secrets, certificates (imported) and keys, with versions, pages,
soft delete, recovery and purge; the challenge; access policies or roles; and the vault's firewall.

A certificate makes a secret and a key of the same name and version, as in Azure: the secret holds
the private key and the chain, as PKCS#12 without a password (in base64) or as PEM.
"""

import base64
import subprocess
import tempfile
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

API_VERSIONS = ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
LARGEST_SECRET = 25600
PKCS12 = "application/x-pkcs12"
PEM = "application/x-pem-file"
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "P-256K": ec.SECP256K1}
SINGULAR = {"secrets": "Secret", "certificates": "Certificate", "keys": "Key"}


class Failure(Exception):
    def __init__(self, status, code, message, inner=None, headers=None):
        super().__init__(message)
        self.status, self.code, self.message, self.inner = status, code, message, inner
        self.headers = headers or {}

    def body(self):
        error = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value, size=None):
    return _base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _web_key(public_key):
    if isinstance(public_key, rsa.RSAPublicKey):
        numbers = public_key.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    numbers = public_key.public_numbers()
    name = next(name for name, curve in CURVES.items() if isinstance(numbers.curve, curve))
    size = (numbers.curve.key_size + 7) // 8
    return {"kty": "EC", "crv": name, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}


def _pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pkcs12_without_password(key, certificates):
    """As Azure exports it: encrypted under the empty password, with 3DES and SHA-1."""
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(_pem_of(key) + chain)
        file.flush()
        return subprocess.run(
            ["openssl", "pkcs12", "-export", "-in", file.name, "-passout", "pass:", "-keypbe", "PBE-SHA1-3DES",
             "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"],
            check=True, capture_output=True,
        ).stdout


class Object:
    """All versions of one secret, certificate or key; the last is the newest."""

    def __init__(self):
        self.versions = []
        self.deleted_at = None


class Vault:
    def __init__(self, host, domain, directory, now):
        self.host, self.directory, self.now = host, directory, now
        self.resource = "https://" + domain
        self.tenant = "11111111-1111-4111-8111-111111111111"
        self.authority = "https://login.windows.net"
        self.page_size = 25
        self.firewall = False
        self.denied = []  # names of secrets that nobody may read
        self.collections = {"secrets": {}, "certificates": {}, "keys": {}}

    def configure(self, body):
        for name in ("resource", "tenant", "authority", "page_size", "firewall", "denied"):
            setattr(self, name, body.get(name, getattr(self, name)))

    # --- what comes in

    def answer(self, request, Answer):
        try:
            status, body = self.dispatch(request)
            return Answer(status, body)
        except Failure as failure:
            return Answer(failure.status, failure.body(), failure.headers)

    def authenticate(self, request):
        challenge = f'Bearer authorization="{self.authority}/{self.tenant}", resource="{self.resource}"'

        def unauthorized(message, extra=""):
            return Failure(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge + extra})

        header = request.headers.get("Authorization", "")
        if not header.startswith("Bearer "):
            raise unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
        token = self.directory.tokens.get(header.removeprefix("Bearer "))
        invalid = ', error="invalid_token", error_description="the token is not accepted"'
        if token is None or token["ends"] < self.now():
            raise unauthorized("AKV10000: the token is not valid.", invalid)
        if token["audience"] != self.resource:
            raise unauthorized("AKV10022: Invalid audience.", invalid)
        if token["tenant"] != self.tenant:
            raise unauthorized("AKV10032: Invalid issuer.", invalid)
        if self.firewall:
            raise Failure(403, "Forbidden", "Client address is not authorized.", "ForbiddenByFirewall")
        return token

    def authorize(self, token, collection, action):
        permissions = token["permissions"]
        if permissions is None or action in permissions.get(collection, []):
            return
        raise Failure(
            403, "Forbidden",
            f"Caller is not authorized to perform action on resource. Action: {collection}/{action}.",
            "ForbiddenByRbac",
        )

    def dispatch(self, request):
        token = self.authenticate(request)
        if request.query.get("api-version") not in API_VERSIONS:
            raise Failure(400, "BadParameter", "The specified version is not recognized.")
        parts = [part for part in request.path.split("/") if part]
        collection = parts[0] if parts else ""
        if collection.startswith("deleted"):
            return self.deleted(request, token, collection.removeprefix("deleted"), parts[1:])
        if collection not in self.collections:
            raise Failure(404, "NotFound", "no such path")
        method, rest = request.method, parts[1:]
        if not rest and method == "GET":
            self.authorize(token, collection, "list")
            return 200, self.list_names(request, collection)
        name = rest[0]
        if not all(c.isalnum() or c == "-" for c in name) or len(name) > 127:
            raise Failure(400, "BadParameter", "The request URI contains an invalid name.")
        if method == "GET" and rest[1:] == ["versions"]:
            self.authorize(token, collection, "list")
            return 200, self.list_versions(request, collection, name)
        if method == "GET" and len(rest) <= 2:
            self.authorize(token, collection, "get")
            if name in self.denied:
                raise Failure(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac")
            return 200, self.show(collection, name, rest[1] if len(rest) == 2 else "")
        if method == "PATCH" and len(rest) == 2:
            self.authorize(token, collection, "set")
            return 200, self.update(collection, name, rest[1], request.json())
        if method == "DELETE" and len(rest) == 1:
            self.authorize(token, collection, "delete")
            return 200, self.delete(collection, name)
        self.authorize(token, collection, "set")
        if method == "PUT" and collection == "secrets" and len(rest) == 1:
            return 200, self.set_secret(name, request.json())
        if method == "POST" and collection == "certificates" and rest[1:] == ["import"]:
            return 200, self.import_certificate(name, request.json())
        if method == "POST" and collection == "keys" and rest[1:] == ["create"]:
            return 200, self.create_key(name, request.json())
        raise Failure(405, "MethodNotAllowed", "not built into the fake: " + request.path)

    # --- writing

    def id_of(self, collection, name, version=""):
        return f"https://{self.host}/{collection}/{name}" + ("/" + version if version else "")

    def place(self, collection, name):
        found = self.collections[collection].setdefault(name, Object())
        if found.deleted_at is not None:
            raise Failure(
                409, "Conflict",
                f"{SINGULAR[collection]} {name} is currently in a deleted but recoverable state.",
                "ObjectIsDeletedButRecoverable",
            )
        return found

    def new_version(self, collection, name, content, attributes, tags, version=None):
        now = int(self.now())
        made = {
            "version": version or uuid.uuid4().hex,
            "content": content,
            "tags": tags,
            "attributes": {
                "enabled": attributes.get("enabled", True),
                "created": now,
                "updated": now,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
                **{key: attributes[key] for key in ("nbf", "exp") if key in attributes},
            },
        }
        self.place(collection, name).versions.append(made)
        return made["version"]

    def set_secret(self, name, body):
        if len(body["value"].encode()) > LARGEST_SECRET:
            raise Failure(400, "BadParameter", "Secret value is too long.")
        content = {"value": body["value"]}
        if body.get("contentType"):
            content["contentType"] = body["contentType"]
        version = self.new_version("secrets", name, content, body.get("attributes") or {}, body.get("tags"))
        return self.show("secrets", name, version)

    def create_key(self, name, body):
        kind = body["kty"].removesuffix("-HSM")
        if kind == "RSA":
            private = rsa.generate_private_key(public_exponent=65537, key_size=body.get("key_size") or 2048)
        elif kind == "EC":
            private = ec.generate_private_key(CURVES[body.get("crv") or "P-256"]())
        else:
            raise Failure(400, "BadParameter", "the type of key is not built into the fake")
        key = _web_key(private.public_key()) | {"kty": body["kty"]}
        operations = body.get("key_ops") or ["sign", "verify"]
        version = self.new_version(
            "keys", name, {"key": key | {"key_ops": operations}}, body.get("attributes") or {}, body.get("tags")
        )
        return self.show("keys", name, version)

    def import_certificate(self, name, body):
        raw = base64.b64decode(body["value"])
        if raw.lstrip().startswith(b"-----BEGIN") or b"-----BEGIN" in raw:
            key = serialization.load_pem_private_key(raw, None)
            certificates = x509.load_pem_x509_certificates(raw)
            kind = PEM
        else:
            password = body.get("pwd")
            key, leaf, others = pkcs12.load_key_and_certificates(raw, password.encode() if password else None)
            certificates = [leaf] + others
            kind = PKCS12
        kind = ((body.get("policy") or {}).get("secret_props") or {}).get("contentType") or kind
        version = uuid.uuid4().hex
        leaf = certificates[0]
        if kind == PEM:
            chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
            value = (_pem_of(key) + chain).decode()
        else:
            value = base64.b64encode(_pkcs12_without_password(key, certificates)).decode()
        attributes = body.get("attributes") or {}
        certificate = {
            "cer": base64.b64encode(leaf.public_bytes(serialization.Encoding.DER)).decode(),
            "x5t": _base64url(leaf.fingerprint(hashes.SHA1())),
            "kid": self.id_of("keys", name, version),
            "sid": self.id_of("secrets", name, version),
            "contentType": kind,
            "policy": {
                "id": self.id_of("certificates", name) + "/policy",
                "key_props": {"exportable": True, "kty": _web_key(key.public_key())["kty"], "reuse_key": False},
                "secret_props": {"contentType": kind},
                "x509_props": {"subject": leaf.subject.rfc4514_string(), "validity_months": 12},
                "issuer": {"name": "Unknown"},
                "attributes": {"enabled": True},
            },
        }
        self.new_version("certificates", name, certificate, attributes, body.get("tags"), version)
        secret = {"value": value, "contentType": kind, "kid": self.id_of("keys", name, version), "managed": True}
        self.new_version("secrets", name, secret, attributes, None, version)
        key_content = {"key": _web_key(key.public_key()) | {"key_ops": ["sign", "verify"]}, "managed": True}
        self.new_version("keys", name, key_content, attributes, None, version)
        return self.show("certificates", name, version)

    def update(self, collection, name, version, body):
        found = self.find_version(collection, name, version)
        found["attributes"] |= {k: v for k, v in (body.get("attributes") or {}).items() if v is not None}
        found["attributes"]["updated"] = int(self.now())
        if body.get("contentType"):
            found["content"]["contentType"] = body["contentType"]
        if body.get("tags") is not None:
            found["tags"] = body["tags"]
        return self.render(collection, name, found)

    # --- deleting

    def delete(self, collection, name):
        found = self.find(collection, name)
        found.deleted_at = int(self.now())
        if collection == "certificates":
            for other in ("secrets", "keys"):
                self.collections[other].pop(name, None)
        return self.show_deleted(collection, name)

    def show_deleted(self, collection, name):
        found = self.collections[collection].get(name)
        if found is None or found.deleted_at is None:
            raise Failure(404, SINGULAR[collection] + "NotFound", "Deleted object not found.")
        shown = self.render(collection, name, found.versions[-1])
        shown.pop("value", None)
        return shown | {
            "recoveryId": f"https://{self.host}/deleted{collection}/{name}",
            "deletedDate": found.deleted_at,
            "scheduledPurgeDate": found.deleted_at + 90 * 86400,
        }

    def deleted(self, request, token, collection, rest):
        if collection not in self.collections or not rest:
            raise Failure(404, "NotFound", "no such path")
        name = rest[0]
        if request.method == "GET" and len(rest) == 1:
            self.authorize(token, collection, "get")
            return 200, self.show_deleted(collection, name)
        self.authorize(token, collection, "delete")
        self.show_deleted(collection, name)
        if request.method == "DELETE":
            del self.collections[collection][name]
            return 204, b""
        if request.method == "POST" and rest[1:] == ["recover"]:
            self.collections[collection][name].deleted_at = None
            return 200, self.render(collection, name, self.collections[collection][name].versions[-1])
        raise Failure(405, "MethodNotAllowed", "not built into the fake: " + request.path)

    # --- reading

    def find(self, collection, name):
        found = self.collections[collection].get(name)
        if found is None or found.deleted_at is not None or not found.versions:
            kind = SINGULAR[collection]
            raise Failure(
                404, kind + "NotFound",
                f"A {kind.lower()} with (name/id) {name} was not found in this key vault. If you recently deleted "
                f"this {kind.lower()} you may be able to recover it using the correct recovery command.",
            )
        return found

    def find_version(self, collection, name, version):
        versions = self.find(collection, name).versions
        if not version:
            return versions[-1]
        for found in versions:
            if found["version"] == version:
                return found
        kind = SINGULAR[collection]
        raise Failure(404, kind + "NotFound", f"A {kind.lower()} with (name/id) {name}/{version} was not found.")

    def render(self, collection, name, found):
        identifier = self.id_of(collection, name, found["version"])
        shown = {"attributes": found["attributes"]} | found["content"]
        if found["tags"]:
            shown["tags"] = found["tags"]
        if collection == "keys":
            shown["key"] = {"kid": identifier} | shown["key"]
        else:
            shown["id"] = identifier
        return shown

    def show(self, collection, name, version):
        found = self.find_version(collection, name, version)
        if collection == "secrets" and not found["attributes"]["enabled"]:
            raise Failure(
                403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"
            )
        return self.render(collection, name, found)

    def item(self, collection, name, found, with_version):
        identifier = self.id_of(collection, name, found["version"] if with_version else "")
        shown = {"kid" if collection == "keys" else "id": identifier, "attributes": found["attributes"]}
        for member in ("contentType", "managed", "x5t"):
            if member in found["content"] and not (member == "contentType" and collection == "certificates"):
                shown[member] = found["content"][member]
        if found["tags"]:
            shown["tags"] = found["tags"]
        return shown

    def page(self, request, path, items):
        wanted = int(request.query.get("maxresults", self.page_size))
        if not 1 <= wanted <= 25:
            raise Failure(400, "BadParameter", "maxresults is out of range.")
        size = min(wanted, self.page_size)
        # The token names the last item given, so that what is added meanwhile does not shift pages.
        token = request.query.get("$skiptoken", "")
        after = base64.urlsafe_b64decode(token).decode() if token else ""
        rest = [(key, item) for key, item in items if key > after]
        body = {"value": [item for _, item in rest[:size]], "nextLink": None}
        if len(rest) > size:
            skip = base64.urlsafe_b64encode(rest[size - 1][0].encode()).decode()
            version = request.query["api-version"]
            body["nextLink"] = (
                f"{request.base}/{path}?api-version={version}&$skiptoken={skip}&maxresults={wanted}"
            )
        return body

    def list_names(self, request, collection):
        alive = [
            (name, self.item(collection, name, found.versions[-1], False))
            for name, found in sorted(self.collections[collection].items())
            if found.deleted_at is None and found.versions
        ]
        return self.page(request, collection, alive)

    def list_versions(self, request, collection, name):
        found = self.find(collection, name)
        items = sorted((one["version"], self.item(collection, name, one, True)) for one in found.versions)
        return self.page(request, f"{collection}/{name}/versions", items)
