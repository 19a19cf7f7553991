"""Entra (Azure AD): the token endpoint for client credentials, and the discovery that MSAL does.

Applications prove themselves by a secret, by an assertion signed with a registered certificate, or
by a token of a trusted issuer. Tokens are opaque to clients; the fake keeps what they are for.
"""

import base64
import hashlib
import secrets
import urllib.parse

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"


class Refused(Exception):
    def __init__(self, status, error, number, text):
        super().__init__(text)
        self.status, self.error, self.number, self.text = status, error, number, text


class Directory:
    def __init__(self, now):
        self.now = now
        self.token_life = 3599
        self.applications = {}  # (tenant, client id) -> description
        self.tokens = {}  # token -> what it is for
        self.seen_assertions = set()
        # The issuer of a cluster, for workload identities.
        self.issuer = "https://oidc.cluster.test/"
        self.issuer_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def add_application(self, description):
        """tenant, client_id; secret, secret_expired, certificate (PEM), subject; permissions."""
        self.applications[(description["tenant"], description["client_id"])] = description
        return {}

    def federated_token(self, wanted):
        now = int(self.now())
        claims = {
            "iss": wanted.get("issuer", self.issuer),
            "sub": wanted["subject"],
            "aud": [wanted.get("audience", FEDERATED_AUDIENCE)],
            "iat": now,
            "nbf": now,
            "exp": now + wanted.get("life", 3600),
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self.issuer_key, algorithm="RS256", headers={"kid": "cluster-1"})

    def make_token(self, tenant, client_id, audience, permissions, life=None):
        life = self.token_life if life is None else life
        # Looks like the token that it stands for.
        token = "eyJ0eXAiOiJKV1QifQ." + base64.urlsafe_b64encode(secrets.token_bytes(300)).decode() + ".x"
        self.tokens[token] = {
            "tenant": tenant,
            "client_id": client_id,
            "audience": audience,
            "permissions": permissions,
            "ends": self.now() + life,
        }
        return token, life

    def revoke(self, client_id=None):
        """All tokens, or those of one application."""
        self.tokens = {
            token: what for token, what in self.tokens.items() if client_id not in (None, what["client_id"])
        }

    def _check_certificate(self, application, assertion, audience):
        try:
            header = jwt.get_unverified_header(assertion)
            certificate = x509.load_pem_x509_certificate(application["certificate"].encode())
        except (KeyError, ValueError, jwt.InvalidTokenError):
            raise Refused(401, "invalid_client", 50027, "Invalid JWT token.")
        named = {
            "x5t": base64.urlsafe_b64encode(certificate.fingerprint(SHA1())).rstrip(b"=").decode(),
            "x5t#S256": base64.urlsafe_b64encode(certificate.fingerprint(SHA256())).rstrip(b"=").decode(),
        }
        if not any(header.get(name, "").rstrip("=") == print_ for name, print_ in named.items()):
            raise Refused(401, "invalid_client", 700027, "The key was not found.")
        if "x5c" in header:
            leaf = base64.b64decode(header["x5c"][0])
            if hashlib.sha1(leaf).digest() != certificate.fingerprint(SHA1()):
                raise Refused(401, "invalid_client", 700027, "The x5c does not fit.")
        try:
            claims = jwt.decode(
                assertion,
                certificate.public_key(),
                algorithms=["PS256", "RS256"],
                audience=audience,
                issuer=application["client_id"],
                options={"require": ["exp", "jti", "sub"], "verify_exp": False, "verify_nbf": False,
                         "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            raise Refused(401, "invalid_client", 700027, "Signature validation failed.")
        except jwt.InvalidTokenError as problem:
            raise Refused(401, "invalid_client", 50027, str(problem))
        if claims["sub"] != application["client_id"]:
            raise Refused(401, "invalid_client", 700021, "iss and sub differ.")
        self._check_time(claims)
        if claims["jti"] in self.seen_assertions:
            raise Refused(401, "invalid_client", 700025, "The assertion was used before.")
        self.seen_assertions.add(claims["jti"])

    def _check_time(self, claims):
        if not claims.get("nbf", 0) - 300 <= self.now() <= claims["exp"]:
            raise Refused(401, "invalid_client", 700024, "The assertion is not within its time range.")

    def _check_federated(self, application, assertion):
        try:
            claims = jwt.decode(
                assertion,
                self.issuer_key.public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            raise Refused(401, "invalid_client", 50027, "Invalid JWT token.")
        if claims["iss"] != self.issuer:
            raise Refused(401, "invalid_client", 700211, "No matching federated identity: issuer.")
        if FEDERATED_AUDIENCE not in claims["aud"]:
            raise Refused(401, "invalid_client", 700212, "No matching federated identity: audience.")
        if claims["sub"] != application["subject"]:
            raise Refused(401, "invalid_client", 700213, "No matching federated identity: subject.")
        self._check_time(claims)

    def log_in(self, tenant, form, url):
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, "unsupported_grant_type", 70003, "Unsupported grant.")
        if not any(known == tenant for known, _ in self.applications):
            raise Refused(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        application = self.applications.get((tenant, form.get("client_id")))
        if application is None:
            raise Refused(400, "unauthorized_client", 700016, "Application was not found in the directory.")
        scope = form.get("scope", "").split()
        scope = [one for one in scope if one not in ("openid", "profile", "offline_access")]
        if len(scope) != 1 or not scope[0].endswith("/.default"):
            raise Refused(400, "invalid_scope", 70011, "The scope is not valid.")
        if "client_secret" in form:
            if application.get("secret_expired"):
                raise Refused(401, "invalid_client", 7000222, "The provided client secret keys are expired.")
            if form["client_secret"] != application.get("secret"):
                raise Refused(401, "invalid_client", 7000215, "Invalid client secret provided.")
        elif form.get("client_assertion_type") == ASSERTION_TYPE:
            assertion = form.get("client_assertion", "")
            if "subject" in application:
                self._check_federated(application, assertion)
            else:
                self._check_certificate(application, assertion, url)
        else:
            raise Refused(401, "invalid_client", 7000216, "client_assertion or client_secret is required.")
        return self.make_token(
            tenant, form["client_id"], scope[0].removesuffix("/.default").rstrip("/"), application.get("permissions")
        )


def answer(directory, request, Answer):
    tenant, _, rest = request.path.lstrip("/").partition("/")
    base = f"https://{request.host}/{tenant}"
    if rest == "v2.0/.well-known/openid-configuration":
        return Answer(200, {
            "token_endpoint": base + "/oauth2/v2.0/token",
            "authorization_endpoint": base + "/oauth2/v2.0/authorize",
            "issuer": base + "/v2.0",
        })
    if request.path == "/common/discovery/instance":
        wanted = urllib.parse.urlsplit(request.query["authorization_endpoint"])
        tenant = wanted.path.split("/")[1]
        return Answer(200, {
            "tenant_discovery_endpoint":
                f"https://{wanted.hostname}/{tenant}/v2.0/.well-known/openid-configuration",
            "metadata": [],
        })
    if request.method != "POST" or rest != "oauth2/v2.0/token":
        return Answer(404, b"")
    if not request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        return Answer(400, {"error": "invalid_request", "error_codes": [900144]})
    form = dict(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True))
    try:
        token, life = directory.log_in(tenant, form, base + "/oauth2/v2.0/token")
    except Refused as refused:
        return Answer(refused.status, {
            "error": refused.error,
            "error_description": f"AADSTS{refused.number}: {refused.text} Trace ID: 0 Timestamp: now",
            "error_codes": [refused.number],
            "trace_id": "0",
            "correlation_id": "0",
        })
    return Answer(200, {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token})
