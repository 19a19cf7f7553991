"""Does to a Secret Manager what JSON on stdin says, with Google's own client, and prints what came of it.

Input: {"server": URL, "credentials": {...}, "calls": [[NAME, ARGUMENT…], …]}. Credentials are
{"file": PATH} (any type), {"default": true} (found as Google's client finds them), or {"token": TEXT};
with "self_signed": true a service account shows the API its own assertion instead of getting a token.
Output: a JSON list with one object a call, either {"ok": …} or {"error": CODE}, where CODE is the
canonical code's name.
"""

import base64
import json
import sys
import warnings

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.credentials
import google_crc32c
from google.api_core import exceptions
from google.auth import iam, identity_pool
from google.cloud import secretmanager

warnings.simplefilter("ignore")
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def load_credentials(how, server):
    # Two addresses the client takes from nowhere but its own source: IAM's, of which a file only
    # gives what stands behind serviceAccounts/, and the one where users' refresh tokens go.
    iam._IAM_ENDPOINT = server + "/v1/projects/-/serviceAccounts/{}:generateAccessToken"
    google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT = server + "/token"
    if "token" in how:
        return google.oauth2.credentials.Credentials(how["token"])
    if "file" in how:
        with open(how["file"], encoding="utf-8") as file:
            is_external = json.load(file)["type"] == "external_account"
        if is_external:
            # The general loader would look the project's name up, which the fake has no API for.
            credentials = identity_pool.Credentials.from_file(how["file"], scopes=SCOPES)
        else:
            credentials, _ = google.auth.load_credentials_from_file(how["file"], scopes=SCOPES)
    else:
        credentials, _ = google.auth.default(scopes=SCOPES)
    if how.get("self_signed"):
        return credentials
    # Otherwise the Secret Manager client would let service accounts sign for themselves.
    credentials.refresh(google.auth.transport.requests.Request())
    plain = google.oauth2.credentials.Credentials(credentials.token)
    quota = getattr(credentials, "quota_project_id", None)
    return plain.with_quota_project(quota) if quota else plain


class Calls:
    def __init__(self, client):
        self.client = client

    def access(self, name):
        answer = self.client.access_secret_version(name=name)
        data = answer.payload.data
        if answer.payload.data_crc32c != google_crc32c.value(data):
            return {"damaged": True}
        return {"name": answer.name, "value": base64.b64encode(data).decode()}

    def list(self, parent, condition=""):
        request = {"parent": parent, "filter": condition, "page_size": 2}
        return [secret.name for secret in self.client.list_secrets(request=request)]

    def versions(self, secret, condition=""):
        request = {"parent": secret, "filter": condition}
        found = self.client.list_secret_versions(request=request)
        return [[version.name, version.state.name] for version in found]

    def create(self, parent, secret):
        settings = {} if "/locations/" in parent else {"replication": {"automatic": {}}}
        return self.client.create_secret(parent=parent, secret_id=secret, secret=settings).name

    def add(self, secret, value):
        data = base64.b64decode(value)
        payload = {"data": data, "data_crc32c": google_crc32c.value(data)}
        return self.client.add_secret_version(parent=secret, payload=payload).name

    def add_damaged(self, secret):
        payload = {"data": b"value", "data_crc32c": 1}
        return self.client.add_secret_version(parent=secret, payload=payload).name

    def alias(self, secret, aliases):
        request = {"secret": {"name": secret, "version_aliases": aliases},
                   "update_mask": {"paths": ["version_aliases"]}}
        return dict(self.client.update_secret(request=request).version_aliases)

    def disable(self, version):
        return self.client.disable_secret_version(name=version).state.name

    def enable(self, version):
        return self.client.enable_secret_version(name=version).state.name

    def destroy(self, version):
        return self.client.destroy_secret_version(name=version).state.name

    def delete(self, secret):
        return self.client.delete_secret(name=secret)


def name_of(error):
    status = getattr(error, "grpc_status_code", None)
    if status is not None:
        return status.name
    return {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED"}.get(error.code, str(error))


def main():
    task = json.load(sys.stdin)
    try:
        credentials = load_credentials(task["credentials"], task["server"])
    except google.auth.exceptions.GoogleAuthError as error:
        print(json.dumps([{"error": "UNAUTHENTICATED", "why": str(error)}] * len(task["calls"])))
        return
    client = secretmanager.SecretManagerServiceClient(
        transport="rest", credentials=credentials, client_options={"api_endpoint": task["server"]})
    calls = Calls(client)
    results = []
    for name, *arguments in task["calls"]:
        try:
            results.append({"ok": getattr(calls, name)(*arguments)})
        except exceptions.GoogleAPICallError as error:
            reason = "FAILED_PRECONDITION" if "state." in error.message else name_of(error)
            results.append({"error": reason})
        except google.auth.exceptions.GoogleAuthError as error:
            results.append({"error": "UNAUTHENTICATED", "why": str(error)})
    print(json.dumps(results))


main()
