"""The services that hand out tokens of managed identities: IMDS and App Service's endpoint."""


class Identities:
    def __init__(self, directory, now):
        self.directory = directory
        self.now = now
        self.header = "the identity header"
        self.system = None
        self.assigned = []  # each has client_id, object_id, resource_id

    def add(self, description):
        """tenant, client_id, permissions; object_id, resource_id for a user-assigned one."""
        if description.get("system"):
            self.system = description
        else:
            self.assigned.append(description)

    def _find(self, query, names):
        for parameter, member in names.items():
            if parameter in query:
                return next((one for one in self.assigned if one.get(member) == query[parameter]), None)
        return self.system

    def _token(self, identity, query):
        resource = query["resource"].rstrip("/")
        token, life = self.directory.make_token(
            identity["tenant"], identity["client_id"], resource, identity.get("permissions")
        )
        return token, life, resource

    def answer(self, request, Answer):
        if request.path == "/metadata/identity/oauth2/token":
            return self._instance_metadata(request, Answer)
        if request.path == "/msi/token":
            return self._app_service(request, Answer)
        return Answer(404, {"error": "not found"})

    def _instance_metadata(self, request, Answer):
        bad = {"error": "invalid_request"}
        if request.headers.get("Metadata") != "true":
            return Answer(400, bad | {"error_description": "Required metadata header not specified"})
        if "X-Forwarded-For" in request.headers:
            return Answer(400, bad)
        query = request.query
        if query.get("api-version") != "2018-02-01" or "resource" not in query:
            return Answer(400, bad | {"error_description": "Required parameter missing"})
        names = {"client_id": "client_id", "object_id": "object_id", "msi_res_id": "resource_id",
                 "mi_res_id": "resource_id"}
        identity = self._find(query, names)
        if identity is None:
            return Answer(400, bad | {"error_description": "Identity not found"})
        token, life, resource = self._token(identity, query)
        return Answer(200, {
            "access_token": token,
            "client_id": identity["client_id"],
            "expires_in": str(int(life)),
            "expires_on": str(int(self.now() + life)),
            "ext_expires_in": str(int(life)),
            "not_before": str(int(self.now())),
            "resource": resource,
            "token_type": "Bearer",
        })

    def _app_service(self, request, Answer):
        if request.headers.get("X-IDENTITY-HEADER") != self.header:
            return Answer(403, {"statusCode": 403, "message": "the header is wrong"})
        query = request.query
        if query.get("api-version") != "2019-08-01" or "resource" not in query:
            return Answer(400, {"statusCode": 400, "message": "bad request"})
        names = {"client_id": "client_id", "object_id": "object_id", "principal_id": "object_id",
                 "mi_res_id": "resource_id"}
        identity = self._find(query, names)
        if identity is None:
            return Answer(400, {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found"})
        token, life, resource = self._token(identity, query)
        return Answer(200, {
            "access_token": token,
            "client_id": identity["client_id"],
            "expires_on": str(int(self.now() + life)),
            "resource": resource,
            "token_type": "Bearer",
        })
