"""A fake of the parts of Azure that a reader of Key Vault meets, for tests on the loopback interface.

One port serves all of it:
  CONNECT HOST:443     a proxy for https: TLS with a test authority's certificate, then Key Vault or
                       Entra by HOST, so that clients use Azure's real names and check them
  /metadata/…          the instance metadata service (IMDS), plain http
  /msi/token           App Service's identity endpoint, plain http
  /secrets/…, /TENANT/oauth2/…   team.vault.azure.net and Entra, plain http, for tests that put a
                       proxy of their own in front
  /control/…           what only tests do: register applications, set faults, turn the clock

Clients are told https_proxy=http://127.0.0.1:PORT. The first line of output is a JSON object with
the port and the path of the authority's certificate. Ends with its standard input.

Nothing here was made from Azure's code: the behaviour is that of the public REST documentation, and
Microsoft's own clients are run against it (tests/integration/azure).
"""

import http.server
import json
import os
import socket
import ssl
import sys
import threading
import time
import traceback
import urllib.parse

import entra
import key_vault
import managed_identity
import test_authority

AUTHORITY_HOSTS = {
    "login.microsoftonline.com": "vault.azure.net",
    "login.microsoftonline.us": "vault.usgovcloudapi.net",
    "login.chinacloudapi.cn": "vault.azure.cn",
    "login.partner.microsoftonline.cn": "vault.azure.cn",
    "login.azurestack.test": "vault.azurestack.test",
}
VAULT_DOMAINS = sorted(set(AUTHORITY_HOSTS.values())) + ["vaults.private.test"]


class Request:
    """One request, as the services see it."""

    def __init__(self, method, host, target, headers, body, base=None):
        self.method = method
        # Where the client reached the service: what its links begin with.
        self.base = base or f"https://{host}:443"
        self.host = host
        parts = urllib.parse.urlsplit(target)
        self.path = urllib.parse.unquote(parts.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body) if self.body else {}


class Answer:
    def __init__(self, status, body=None, headers=None):
        self.status = status
        self.body = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = dict(headers or {})
        self.headers.setdefault("Content-Type", "application/json; charset=utf-8")


class Cloud:
    """All state, under one lock."""

    def __init__(self):
        self.lock = threading.RLock()
        self.clock_offset = 0
        self.faults = []
        self.log = []
        self.directory = entra.Directory(self.now)
        self.vaults = {}
        self.identities = managed_identity.Identities(self.directory, self.now)

    def now(self):
        return time.time() + self.clock_offset

    def vault(self, host):
        if host not in self.vaults:
            domain = host.split(".", 1)[1]
            self.vaults[host] = key_vault.Vault(host, domain, self.directory, self.now)
        return self.vaults[host]

    def fault_for(self, request):
        for fault in self.faults:
            if fault.get("times", 1) <= 0:
                continue
            if request.host != fault.get("host", request.host):
                continue
            if not request.path.startswith(fault.get("path", "")):
                continue
            fault["times"] = fault.get("times", 1) - 1
            return fault
        return None

    def answer(self, request):
        if request.host in AUTHORITY_HOSTS:
            return entra.answer(self.directory, request, Answer)
        return self.vault(request.host).answer(request, Answer)

    def control(self, request):
        what = request.path.removeprefix("/control/")
        body = request.json()
        if what == "applications":
            return Answer(200, self.directory.add_application(body))
        if what == "federated-token":
            return Answer(200, {"token": self.directory.federated_token(body)})
        if what == "identities":
            self.identities.add(body)
        elif what == "settings":
            self.directory.token_life = body.get("token_life", self.directory.token_life)
            self.clock_offset += body.get("advance", 0)
            self.identities.header = body.get("identity_header", self.identities.header)
        elif what == "revoke":
            self.directory.revoke(body.get("client_id"))
        elif what == "vaults":
            self.vault(body["host"]).configure(body)
        elif what == "faults":
            self.faults = body
        elif what == "requests":
            log, self.log = self.log, []
            return Answer(200, log)
        else:
            return Answer(404, {"error": "unknown control " + what})
        return Answer(200, {})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tunnel = None  # the host that a CONNECT named
    cloud = None
    tls = None

    def do_CONNECT(self):
        host, _, port = self.path.partition(":")
        known = host in AUTHORITY_HOSTS or any(host.endswith("." + d) for d in VAULT_DOMAINS)
        if port != "443" or not known:
            print("the proxy was asked for", self.path, file=sys.stderr, flush=True)
            self.send_error(502, "no such host")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        try:
            self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.tunnel = host
        self.close_connection = False

    def handle_any(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        target = self.path
        if not target.startswith("/"):  # through a plain http proxy: these servers are never asked so
            self.reply(Answer(502, {"error": "not through a proxy"}), None)
            return
        request = Request(self.command, self.tunnel or self.direct_host(target), target, self.headers, body,
                          None if self.tunnel else "http://" + self.headers.get("Host", ""))
        fault = None
        with self.cloud.lock:
            if self.tunnel is None and request.path.startswith("/control/"):
                answer = self.cloud.control(request)
            else:
                fault = self.cloud.fault_for(request)
                answer = self.serve(request)
                if fault is not None and "status" in fault:
                    answer = Answer(fault["status"], fault.get("body"), fault.get("headers"))
                self.record(request, answer)
        self.reply(answer, fault)

    @staticmethod
    def direct_host(target):
        """Which service a request without a tunnel is for; "" for those that are reached so."""
        if target.startswith(("/metadata/", "/msi/", "/control/")):
            return ""
        return "login.microsoftonline.com" if "/oauth2/" in target else "team.vault.azure.net"

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def serve(self, request):
        try:
            if self.tunnel is not None or request.host:
                return self.cloud.answer(request)
            return self.cloud.identities.answer(request, Answer)
        except Exception:  # a bug of the fake must show in the test
            traceback.print_exc()
            return Answer(500, {"error": {"code": "FakeIsBroken", "message": traceback.format_exc()}})

    def record(self, request, answer):
        entry = {
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "query": request.query,
            "authorized": "Authorization" in request.headers,
            "status": answer.status,
        }
        if request.host in AUTHORITY_HOSTS and request.method == "POST":
            form = dict(urllib.parse.parse_qsl(request.body.decode()))
            entry["scope"] = form.get("scope", "")
            entry["client_id"] = form.get("client_id", "")
        self.cloud.log.append(entry)

    def reply(self, answer, fault):
        fault = fault or {}
        if fault.get("delay"):
            time.sleep(fault["delay"])
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("x-ms-request-id", "00000000-0000-4000-8000-000000000000")
        self.end_headers()
        if "cut" in fault:
            self.wfile.write(answer.body[: fault["cut"]])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(answer.body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError, OSError)):
            traceback.print_exc()


def main():
    folder = sys.argv[1]
    names = list(AUTHORITY_HOSTS) + ["*." + domain for domain in VAULT_DOMAINS]
    authority = test_authority.Authority()
    certificate, key = authority.issue(names)
    paths = {name: os.path.join(folder, name) for name in ("ca.pem", "server.pem")}
    with open(paths["ca.pem"], "wb") as file:
        file.write(authority.pem)
    with open(paths["server.pem"], "wb") as file:
        file.write(key + certificate)
    Handler.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Handler.tls.load_cert_chain(paths["server.pem"])
    Handler.cloud = Cloud()
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_address[1], "authority": paths["ca.pem"]}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
