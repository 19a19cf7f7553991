"""AWS for tests: moto's server on a free port of the loopback interface, with AWS's own SDK at hand.

Prints {"port": N} and then answers each line of stdin, a JSON object, with a line of its own:

  {"call": ["secretsmanager", "create_secret", {...}], "region": "eu-central-1"}   by boto3
  {"requests": true}              what came over HTTP since the last time, as [action, access key]
  {"expire": true}                temporary keys used so far are answered with ExpiredToken
  {"deny": NAME}                  this secret or parameter may be read by nobody
  {"refuse": ACTION}              this action is allowed to nobody
  {"enforce": true}               from now on signatures and policies are checked (moto's IAM mode)

Bytes are written as {"base64": "…"} both ways. A failed call answers {"error": CODE}.
"""

import base64
import io
import json
import logging
import re
import sys
import threading
import urllib.parse

import boto3
import botocore.exceptions
import werkzeug.serving
from botocore.config import Config
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

ADMINISTRATOR = {"aws_access_key_id": "ADMINISTRATOR", "aws_secret_access_key": "administrator"}


def error_body(code, message):
    return json.dumps({"__type": code, "message": message}).encode()


class Gate:
    """WSGI before moto: writes down what was asked, and refuses what moto has no means to refuse."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()
        self.log = []
        self.seen, self.expired = set(), set()
        self.denied, self.refused = set(), set()

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        key = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        key = key.group(1) if key else ""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        action = target.split(".")[-1]
        if not target:
            action = urllib.parse.parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        with self.lock:
            administrator = key == ADMINISTRATOR["aws_access_key_id"]
            if not administrator:
                self.log.append([action, key])
            if environ.get("HTTP_X_AMZ_SECURITY_TOKEN"):
                self.seen.add(key)
            if key in self.expired:
                return self.answer(start_response, "ExpiredTokenException")
            if not administrator and action in self.refused:
                return self.answer(start_response, "AccessDeniedException")
            denied = set() if administrator else set(self.denied)
        errors = []
        if denied and target:
            request = json.loads(body)
            ids = request.get("SecretIdList", [])
            errors = [
                {"SecretId": name, "ErrorCode": "AccessDeniedException", "Message": "denied"}
                for name in ids
                if name in denied
            ]
            names = [request.get("SecretId"), *(name.split(":")[0] for name in request.get("Names", []))]
            if denied & set(names):
                return self.answer(start_response, "AccessDeniedException")
            if errors:
                request["SecretIdList"] = [name for name in ids if name not in denied]
                body = json.dumps(request).encode()
                environ["CONTENT_LENGTH"] = str(len(body))
                if not request["SecretIdList"]:
                    return self.answer(start_response, "", {"SecretValues": [], "Errors": errors})
        environ["wsgi.input"] = io.BytesIO(body)
        if not errors:
            return self.application(environ, start_response)
        captured = {}
        pieces = self.application(environ, lambda *arguments: captured.update(start=arguments))
        answer = json.loads(b"".join(pieces))
        answer["Errors"] = answer.get("Errors", []) + errors
        return self.answer(start_response, "", answer)

    @staticmethod
    def answer(start_response, code, body=None):
        text = json.dumps(body).encode() if body is not None else error_body(code, "not for you")
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(text)))]
        start_response("400 Bad Request" if code else "200 OK", headers)
        return [text]


def spare_administrator():
    """The administrator is above the policies that "enforce" makes count."""
    check = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def check_others(self, *arguments, **names):
        if ADMINISTRATOR["aws_access_key_id"] not in self.headers.get("Authorization", ""):
            check(self, *arguments, **names)

    ActionAuthenticatorMixin._authenticate_and_authorize_action = check_others


def from_json(value):
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"])
        return {name: from_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    return value


def to_json(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    spare_administrator()
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = werkzeug.serving.make_server("127.0.0.1", 0, gate, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    clients = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "requests" in request:
            with gate.lock:
                answer, gate.log = {"requests": gate.log}, []
        elif "expire" in request:
            with gate.lock:
                gate.expired |= gate.seen
            answer = {}
        elif "enforce" in request:
            settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
            answer = {}
        elif "deny" in request:
            gate.denied.add(request["deny"])
            answer = {}
        elif "refuse" in request:
            gate.refused.add(request["refuse"])
            answer = {}
        else:
            service, action, arguments = request["call"]
            region = request.get("region", "eu-central-1")
            if (service, region) not in clients:
                clients[service, region] = boto3.client(
                    service,
                    region_name=region,
                    endpoint_url=f"http://127.0.0.1:{server.server_port}",
                    config=Config(proxies={}, retries={"max_attempts": 0}),
                    **ADMINISTRATOR,
                )
            try:
                answer = getattr(clients[service, region], action)(**from_json(arguments))
                answer.pop("ResponseMetadata", None)
            except botocore.exceptions.ClientError as error:
                answer = {"error": error.response["Error"]["Code"]}
            except botocore.exceptions.BotoCoreError as error:
                answer = {"error": str(error)}
        print(json.dumps(answer, default=to_json), flush=True)


if __name__ == "__main__":
    main()
