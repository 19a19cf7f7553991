#pragma once

// Google Secret Manager's REST API (v1), global and regional: secrets created, listed, changed and
// deleted; versions added, read, listed, disabled, enabled and destroyed; aliases; pages; filters
// (name:TEXT, state:ENABLED); checksums; errors in Google's shape. Numbers, messages and limits are
// the real ones; names in answers carry the project's number, as there. Who may do what is asked of
// GcpIdentity's principals. tests/integration/gcp runs Google's own client against it.
//
// Differs from the real one: any host serves all locations, payloads that Put writes may be empty or
// larger than 64 KiB, filters know nothing else, and there are no IAM policies but SetRole and Deny.
//
// Thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fakes/gcp_http.h"
#include "tests/fakes/http_test_server.h"

namespace secretfs::fakes {

class GcpSecretManager {
 public:
  // `principal_of` says whom a bearer token stands for; `now` is seconds since 1970.
  GcpSecretManager(std::function<std::optional<std::string>(const std::string&)> principal_of,
                   std::function<int64_t()> now)
      : principal_of_(std::move(principal_of)), now_(std::move(now)) {}

  // --- the administrator, without tokens. A parent is "projects/demo" or
  // "projects/demo/locations/europe-west3"; a project is made when it is first named.

  // Adds a version, and the secret if need be; returns its number.
  std::string Put(const std::string& parent, const std::string& secret, std::string_view value);
  void SetAlias(const std::string& parent, const std::string& secret, const std::string& alias,
                const std::string& number);
  // "ENABLED", "DISABLED" or "DESTROYED".
  void SetState(const std::string& parent, const std::string& secret, const std::string& number,
                const std::string& state);
  void Delete(const std::string& parent, const std::string& secret);

  enum class Role { kNone, kAccessor, kViewer, kAdmin };
  void SetRole(const std::string& principal, Role role);
  // Nobody may read `secret` any more.
  void Deny(const std::string& secret);

  // --- faults

  // The next `count` requests are answered 429, with Retry-After if given.
  void Throttle(int count, std::optional<int> retry_after_seconds);
  // In the next `count` answers that hold a value, one bit of it is another than its checksum says.
  void Damage(int count);
  void LeaveOutChecksums();
  // The most that one page holds, whatever a request wants.
  void SetPageLimit(size_t limit);

  // How many requests read a value, and how many listed, since the start.
  size_t reads() const;
  size_t lists() const;
  // X-Goog-User-Project of the last request.
  std::string quota_project() const;

  // Nothing when the request is not for this service.
  std::optional<HttpTestServer::Response> Answer(const HttpTestServer::Request& request);

 private:
  struct Version {
    std::string state = "ENABLED";
    std::string value;
    int64_t created_at = 0;
    std::optional<int64_t> destroyed_at;
  };
  struct Secret {
    int64_t created_at = 0;
    std::vector<Version> versions;  // the first has number 1
    std::map<std::string, std::string> aliases;
    nlohmann::json labels = nlohmann::json::object();
  };
  using Secrets = std::map<std::string, Secret>;
  using Response = HttpTestServer::Response;
  // What a request names.
  struct Resource;
  struct Request;

  Response Dispatch(const Request& request);
  Response ListSecrets(const Request& request);
  Response CreateSecret(const Request& request);
  Response UpdateSecret(const Request& request);
  Response AddVersion(const Request& request);
  Response ListVersions(const Request& request);
  Response ChangeState(const Request& request);
  Response Access(const Request& request);
  std::optional<Response> Refuse(const Request& request, const HttpTestServer::Request& http);
  // The version that the request names, or why there is none.
  std::pair<Version*, Response> FindVersion(const Request& request, size_t& number);
  nlohmann::json Describe(const Resource& resource, const Secret& secret) const;
  nlohmann::json Describe(const Resource& resource, size_t number, const Version& version,
                          bool numeric) const;
  std::string Key(const std::string& parent);

  const std::function<std::optional<std::string>(const std::string&)> principal_of_;
  const std::function<int64_t()> now_;
  mutable std::mutex mutex_;
  // --- protected by mutex_:
  std::map<std::string, std::string> project_numbers_;  // by id
  std::map<std::string, Secrets> parents_;              // by path with the project's number
  std::map<std::string, Role> roles_;
  std::set<std::string> denied_;
  int throttled_ = 0;
  std::optional<int> retry_after_;
  int damaged_ = 0;
  bool checksums_ = true;
  size_t page_limit_ = 25'000;
  size_t reads_ = 0, lists_ = 0;
  std::string quota_project_;
};

}  // namespace secretfs::fakes
