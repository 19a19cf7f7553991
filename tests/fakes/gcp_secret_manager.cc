#include "tests/fakes/gcp_secret_manager.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/text.h"
#include "tests/fakes/gcp_jwt.h"

namespace secretfs::fakes {
namespace {

using nlohmann::json;
using Response = HttpTestServer::Response;
using Lock = std::lock_guard<std::mutex>;

constexpr size_t kLargestPayload = 65'536;
constexpr int64_t kFirstProjectNumber = 123'456'789'012;

// CRC-32C bit by bit, on purpose another way than the code under test.
uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

bool IsNumber(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsSecretId(const std::string& text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// The page that the request wants of a list whose entries' keys are `keys`, in the order that
// `precedes` says. A token names the last entry of the page before, so that what is added meanwhile
// moves nothing to another page.
struct Page {
  size_t begin = 0, end = 0;
  std::string next;
};
std::optional<Page> PageOf(
    const std::vector<std::string>& keys,
    const std::function<bool(const std::string&, const std::string&)>& precedes,
    const Target& target, size_t limit) {
  Page page;
  size_t size = limit;
  const std::string wanted = target.value("pageSize");
  if (IsNumber(wanted) && wanted != "0") size = std::min<size_t>(size, std::stoul(wanted));
  const std::string token = target.value("pageToken");
  if (!token.empty()) {
    const auto last = FromBase64(token);
    if (!last || !IsSecretId(*last)) return std::nullopt;
    while (page.begin < keys.size() && !precedes(*last, keys[page.begin])) ++page.begin;
  }
  page.end = std::min(page.begin + size, keys.size());
  if (page.end < keys.size()) page.next = Base64(keys[page.end - 1]);
  return page;
}

Response InvalidArgument(const std::string& message) {
  return GoogleError(400, "INVALID_ARGUMENT", message);
}

}  // namespace

struct GcpSecretManager::Resource {
  std::string parent;   // with the project's number
  std::string secret;   // may be empty
  std::string version;  // may be empty
  bool of_versions = false;
  std::string SecretName() const { return Format("{}/secrets/{}", parent, secret); }
};

struct GcpSecretManager::Request {
  std::string method, verb;
  Resource resource;
  Target target;
  json body;
  bool numeric_enums = false;
};

std::string GcpSecretManager::Key(const std::string& parent) {
  std::vector<std::string> parts = Split(parent);
  std::string number = parts.at(1);
  if (!IsNumber(number)) {
    auto [found, is_new] = project_numbers_.try_emplace(number);
    if (is_new) {
      found->second =
          std::to_string(kFirstProjectNumber + static_cast<int64_t>(project_numbers_.size()) - 1);
    }
    number = found->second;
  }
  if (parts.size() > 3) return Format("projects/{}/locations/{}", number, parts[3]);
  return Format("projects/{}", number);
}

std::string GcpSecretManager::Put(const std::string& parent, const std::string& secret,
                                  std::string_view value) {
  const Lock lock(mutex_);
  Secret& entry = parents_[Key(parent)][secret];
  if (entry.created_at == 0) entry.created_at = now_();
  Version version;
  version.value = value;
  version.created_at = now_();
  entry.versions.push_back(std::move(version));
  return std::to_string(entry.versions.size());
}

void GcpSecretManager::SetAlias(const std::string& parent, const std::string& secret,
                                const std::string& alias, const std::string& number) {
  const Lock lock(mutex_);
  parents_[Key(parent)].at(secret).aliases[alias] = number;
}

void GcpSecretManager::SetState(const std::string& parent, const std::string& secret,
                                const std::string& number, const std::string& state) {
  const Lock lock(mutex_);
  Version& version = parents_[Key(parent)].at(secret).versions.at(std::stoul(number) - 1);
  version.state = state;
  if (state == "DESTROYED") {
    version.value.clear();
    version.destroyed_at = now_();
  }
}

void GcpSecretManager::Delete(const std::string& parent, const std::string& secret) {
  const Lock lock(mutex_);
  parents_[Key(parent)].erase(secret);
}

void GcpSecretManager::SetRole(const std::string& principal, Role role) {
  const Lock lock(mutex_);
  roles_[principal] = role;
}

void GcpSecretManager::Deny(const std::string& secret) {
  const Lock lock(mutex_);
  denied_.insert(secret);
}

void GcpSecretManager::Throttle(int count, std::optional<int> retry_after_seconds) {
  const Lock lock(mutex_);
  throttled_ = count;
  retry_after_ = retry_after_seconds;
}

void GcpSecretManager::Damage(int count) {
  const Lock lock(mutex_);
  damaged_ = count;
}

void GcpSecretManager::LeaveOutChecksums() {
  const Lock lock(mutex_);
  checksums_ = false;
}

void GcpSecretManager::SetPageLimit(size_t limit) {
  const Lock lock(mutex_);
  page_limit_ = limit;
}

size_t GcpSecretManager::reads() const {
  const Lock lock(mutex_);
  return reads_;
}

size_t GcpSecretManager::lists() const {
  const Lock lock(mutex_);
  return lists_;
}

std::string GcpSecretManager::quota_project() const {
  const Lock lock(mutex_);
  return quota_project_;
}

std::optional<Response> GcpSecretManager::Answer(const HttpTestServer::Request& http) {
  Request request;
  request.method = http.method;
  request.target = ParseTarget(http.target);
  std::string path = request.target.path;
  if (const size_t colon = path.find(':', path.rfind('/')); colon != std::string::npos) {
    request.verb = path.substr(colon + 1);
    path.resize(colon);
  }
  std::vector<std::string> parts = Split(path);
  if (parts.size() < 5 || parts[1] != "v1" || parts[2] != "projects") return std::nullopt;
  size_t at = 4;
  std::string parent = Format("projects/{}", parts[3]);
  if (parts[4] == "locations" && parts.size() > 6) {
    parent += "/locations/" + parts[5];
    at = 6;
  }
  if (parts[at] != "secrets") return std::nullopt;
  Resource& resource = request.resource;
  if (parts.size() > at + 1) resource.secret = parts[at + 1];
  resource.of_versions = parts.size() > at + 2 && parts[at + 2] == "versions";
  if (parts.size() > at + 3) resource.version = parts[at + 3];
  request.body = json::parse(http.body, nullptr, false);
  request.numeric_enums =
      request.target.value("$alt").find("enum-encoding=int") != std::string::npos;
  const Lock lock(mutex_);
  resource.parent = Key(parent);
  if (auto refused = Refuse(request, http)) return refused;
  return Dispatch(request);
}

std::optional<Response> GcpSecretManager::Refuse(const Request& request,
                                                 const HttpTestServer::Request& http) {
  const std::optional<std::string> bearer = BearerOf(http);
  quota_project_ = http.header("x-goog-user-project");
  if (throttled_ > 0) {
    --throttled_;
    Response response =
        GoogleError(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Access requests'.",
                    "RATE_LIMIT_EXCEEDED");
    if (retry_after_) response.headers.emplace_back("Retry-After", std::to_string(*retry_after_));
    return response;
  }
  const std::optional<std::string> principal = bearer ? principal_of_(*bearer) : std::nullopt;
  if (!principal) {
    return GoogleError(401, "UNAUTHENTICATED",
                       "Request had invalid authentication credentials. Expected OAuth 2 access "
                       "token, login cookie or other valid authentication credential.",
                       bearer ? "ACCESS_TOKEN_TYPE_UNSUPPORTED" : "CREDENTIALS_MISSING");
  }
  if (principal->starts_with("user:") && quota_project_.empty()) {
    return GoogleError(403, "PERMISSION_DENIED",
                       "Your application is authenticating by using local Application Default "
                       "Credentials. The secretmanager.googleapis.com API requires a quota "
                       "project, which is not set by default.",
                       "SERVICE_DISABLED");
  }
  const auto found = roles_.find(*principal);
  const Role role = found == roles_.end() ? Role::kNone : found->second;
  const bool reads_value = request.verb == "access";
  const bool looks = request.method == "GET" && !reads_value;
  const bool allowed = role == Role::kAdmin || (role == Role::kAccessor && reads_value) ||
                       (role == Role::kViewer && looks);
  if (!allowed || (reads_value && denied_.contains(request.resource.secret))) {
    const std::string permission = reads_value ? "secretmanager.versions.access"
                                   : looks     ? "secretmanager.secrets.list"
                                               : "secretmanager.secrets.update";
    return GoogleError(403, "PERMISSION_DENIED",
                       Format("Permission '{}' denied for resource '{}' (or it may not exist).",
                              permission, request.resource.SecretName()),
                       "IAM_PERMISSION_DENIED");
  }
  return std::nullopt;
}

Response GcpSecretManager::Dispatch(const Request& request) {
  const Resource& resource = request.resource;
  if (resource.secret.empty()) {
    return request.method == "POST" ? CreateSecret(request) : ListSecrets(request);
  }
  if (!IsSecretId(resource.secret)) {
    return InvalidArgument(
        Format("Resource ID [{}] is not in a valid format.", resource.SecretName()));
  }
  const Secrets& secrets = parents_[resource.parent];
  if (!secrets.contains(resource.secret)) {
    const std::string message =
        request.verb == "access"
            ? Format("Secret [{}] not found or has no versions.", resource.SecretName())
            : Format("Secret [{}] not found.", resource.SecretName());
    return GoogleError(404, "NOT_FOUND", message);
  }
  if (request.verb == "access") return Access(request);
  if (request.verb == "addVersion") return AddVersion(request);
  if (!request.verb.empty()) return ChangeState(request);
  if (resource.of_versions && resource.version.empty()) return ListVersions(request);
  if (resource.of_versions) {
    size_t number = 0;
    const auto [version, error] = FindVersion(request, number);
    if (version == nullptr) return error;
    return JsonAnswer(Describe(resource, number, *version, request.numeric_enums));
  }
  if (request.method == "PATCH") return UpdateSecret(request);
  if (request.method == "DELETE") {
    parents_[resource.parent].erase(resource.secret);
    return JsonAnswer(json::object());
  }
  return JsonAnswer(Describe(resource, secrets.at(resource.secret)));
}

Response GcpSecretManager::ListSecrets(const Request& request) {
  ++lists_;
  const std::string filter = request.target.value("filter");
  if (!filter.empty() && !filter.starts_with("name:")) {
    return InvalidArgument("This fake knows the filter name:TEXT only.");
  }
  const std::string part = filter.empty() ? "" : filter.substr(5);
  const Secrets& secrets = parents_[request.resource.parent];
  std::vector<std::string> found;
  for (const auto& [name, secret] : secrets) {
    if (name.find(part) != std::string::npos) found.push_back(name);
  }
  const auto page = PageOf(found, std::less<>(), request.target, page_limit_);
  if (!page) return InvalidArgument("The page token is invalid.");
  json answer = {{"totalSize", found.size()}};
  for (size_t i = page->begin; i < page->end; ++i) {
    const Resource resource{request.resource.parent, found[i], "", false};
    answer["secrets"].push_back(Describe(resource, secrets.at(found[i])));
  }
  if (!page->next.empty()) answer["nextPageToken"] = page->next;
  return JsonAnswer(answer);
}

Response GcpSecretManager::CreateSecret(const Request& request) {
  const std::string id = request.target.value("secretId");
  if (!IsSecretId(id)) return InvalidArgument("The provided Secret ID is invalid.");
  Secrets& secrets = parents_[request.resource.parent];
  const Resource resource{request.resource.parent, id, "", false};
  if (secrets.contains(id)) {
    return GoogleError(409, "ALREADY_EXISTS",
                       Format("Secret [{}] already exists.", resource.SecretName()));
  }
  Secret& secret = secrets[id];
  secret.created_at = now_();
  if (request.body.is_object()) secret.labels = request.body.value("labels", json::object());
  return JsonAnswer(Describe(resource, secret));
}

Response GcpSecretManager::UpdateSecret(const Request& request) {
  Secret& secret = parents_[request.resource.parent].at(request.resource.secret);
  const std::string mask = request.target.value("updateMask");
  if (mask != "versionAliases" && mask != "version_aliases") {
    return InvalidArgument("This fake updates version_aliases only.");
  }
  std::map<std::string, std::string> aliases;
  const json wanted = request.body.value("versionAliases", json::object());
  for (const auto& [alias, number] : wanted.items()) {
    const std::string text = number.is_string() ? number.get<std::string>() : number.dump();
    if (!IsNumber(text) || std::stoul(text) == 0 || std::stoul(text) > secret.versions.size()) {
      return InvalidArgument(Format("Version [{}] does not exist.", text));
    }
    aliases[alias] = text;
  }
  secret.aliases = std::move(aliases);
  return JsonAnswer(Describe(request.resource, secret));
}

Response GcpSecretManager::AddVersion(const Request& request) {
  Secret& secret = parents_[request.resource.parent].at(request.resource.secret);
  const json payload = request.body.is_object() ? request.body.value("payload", json()) : json();
  if (!payload.is_object()) return InvalidArgument("Secret Payload cannot be empty.");
  const auto value = FromBase64(payload.value("data", ""));
  if (!value) return InvalidArgument("Invalid value at 'payload.data' (TYPE_BYTES).");
  if (value->empty()) return InvalidArgument("Secret Payload cannot be empty.");
  if (value->size() > kLargestPayload) {
    return InvalidArgument("The secret payload size exceeds 65536 bytes.");
  }
  if (payload.contains("dataCrc32c")) {
    const json& sum = payload["dataCrc32c"];
    const std::string text = sum.is_string() ? sum.get<std::string>() : sum.dump();
    if (text != std::to_string(Crc32c(*value))) {
      return InvalidArgument("The data_crc32c does not match the payload.");
    }
  }
  Version version;
  version.value = *value;
  version.created_at = now_();
  secret.versions.push_back(std::move(version));
  return JsonAnswer(Describe(request.resource, secret.versions.size(), secret.versions.back(),
                             request.numeric_enums));
}

Response GcpSecretManager::ListVersions(const Request& request) {
  ++lists_;
  const Secret& secret = parents_[request.resource.parent].at(request.resource.secret);
  const std::string filter = request.target.value("filter");
  if (!filter.empty() && filter != "state:ENABLED") {
    return InvalidArgument("This fake knows the filter state:ENABLED only.");
  }
  std::vector<std::string> found;  // the newest first
  for (size_t number = secret.versions.size(); number > 0; --number) {
    if (filter.empty() || secret.versions[number - 1].state == "ENABLED") {
      found.push_back(std::to_string(number));
    }
  }
  const auto is_newer = [](const std::string& a, const std::string& b) {
    return std::stoul(a) > std::stoul(b);
  };
  const auto page = PageOf(found, is_newer, request.target, page_limit_);
  if (!page) return InvalidArgument("The page token is invalid.");
  json answer = {{"totalSize", found.size()}};
  for (size_t i = page->begin; i < page->end; ++i) {
    answer["versions"].push_back(Describe(request.resource, std::stoul(found[i]),
                                          secret.versions[std::stoul(found[i]) - 1],
                                          request.numeric_enums));
  }
  if (!page->next.empty()) answer["nextPageToken"] = page->next;
  return JsonAnswer(answer);
}

Response GcpSecretManager::ChangeState(const Request& request) {
  size_t number = 0;
  const auto [version, error] = FindVersion(request, number);
  if (version == nullptr) return error;
  if (version->state == "DESTROYED") {
    return GoogleError(400, "FAILED_PRECONDITION",
                       Format("Secret Version [{}/versions/{}] is in DESTROYED state.",
                              request.resource.SecretName(), number));
  }
  if (request.verb == "enable") {
    version->state = "ENABLED";
  } else if (request.verb == "disable") {
    version->state = "DISABLED";
  } else if (request.verb == "destroy") {
    version->state = "DESTROYED";
    version->value.clear();
    version->destroyed_at = now_();
  } else {
    return InvalidArgument("This fake does not know the method " + request.verb);
  }
  return JsonAnswer(Describe(request.resource, number, *version, request.numeric_enums));
}

Response GcpSecretManager::Access(const Request& request) {
  ++reads_;
  size_t number = 0;
  const auto [version, error] = FindVersion(request, number);
  if (version == nullptr) return error;
  const std::string name = Format("{}/versions/{}", request.resource.SecretName(), number);
  if (version->state != "ENABLED") {
    return GoogleError(400, "FAILED_PRECONDITION",
                       Format("Secret Version [{}] is in {} state.", name, version->state));
  }
  json payload = json::object();
  std::string value = version->value;
  if (checksums_) payload["dataCrc32c"] = std::to_string(Crc32c(value));
  if (damaged_ > 0 && !value.empty()) {
    --damaged_;
    value[value.size() / 2] = static_cast<char>(value[value.size() / 2] ^ 1);
  }
  if (!value.empty()) payload["data"] = Base64(value);
  return JsonAnswer({{"name", name}, {"payload", payload}});
}

std::pair<GcpSecretManager::Version*, Response> GcpSecretManager::FindVersion(
    const Request& request, size_t& number) {
  const Resource& resource = request.resource;
  Secret& secret = parents_[resource.parent].at(resource.secret);
  std::string wanted = resource.version;
  if (wanted == "latest") {
    if (secret.versions.empty()) {
      return {nullptr, GoogleError(404, "NOT_FOUND",
                                   Format("Secret [{}] not found or has no versions.",
                                          resource.SecretName()))};
    }
    wanted = std::to_string(secret.versions.size());
  } else if (const auto alias = secret.aliases.find(wanted); alias != secret.aliases.end()) {
    wanted = alias->second;
  }
  number = IsNumber(wanted) && wanted.size() < 10 ? std::stoul(wanted) : 0;
  if (number == 0 || number > secret.versions.size()) {
    return {nullptr, GoogleError(404, "NOT_FOUND",
                                 Format("Secret Version [{}/versions/{}] not found.",
                                        resource.SecretName(), resource.version))};
  }
  return {&secret.versions[number - 1], Response()};
}

json GcpSecretManager::Describe(const Resource& resource, const Secret& secret) const {
  json text = {{"name", resource.SecretName()},
               {"createTime", Rfc3339(secret.created_at)},
               {"etag", Format("\"{:x}\"", secret.versions.size() + secret.created_at)}};
  if (resource.parent.find("/locations/") == std::string::npos) {
    text["replication"] = {{"automatic", json::object()}};
  }
  if (!secret.labels.empty()) text["labels"] = secret.labels;
  for (const auto& [alias, number] : secret.aliases) text["versionAliases"][alias] = number;
  return text;
}

json GcpSecretManager::Describe(const Resource& resource, size_t number, const Version& version,
                                bool numeric) const {
  json text = {{"name", Format("{}/versions/{}", resource.SecretName(), number)},
               {"createTime", Rfc3339(version.created_at)},
               {"replicationStatus", {{"automatic", json::object()}}},
               {"etag", Format("\"{:x}\"", number + version.created_at)}};
  text["state"] = version.state;
  if (numeric) text["state"] = version.state == "ENABLED" ? 1 : version.state == "DISABLED" ? 2 : 3;
  if (version.destroyed_at) text["destroyTime"] = Rfc3339(*version.destroyed_at);
  return text;
}

}  // namespace secretfs::fakes
