#pragma once

// The documents of the Kubernetes API that this provider reads, parsed strictly: a document that is
// not what the API promises is an error (Unavailable: the thing that answers is broken or no API
// server), never a crash and never a guess. Pure functions; no content is quoted in errors.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/secret_bytes.h"
#include "providers/provider.h"
#include "providers/secret_json.h"

namespace secretfs::providers::kubernetes {

// A Secret: its data decoded into `fields`; `value` is the object of them, in which what is not
// UTF-8 text stands in base64. The version is "RESOURCEVERSION@UID".
absl::StatusOr<Secret> ParseSecret(std::string_view body);

// What a list or a watch says of one Secret.
struct ObjectMetadata {
  std::string name;
  std::string version;  // as ParseSecret's
};
struct MetadataList {
  std::vector<ObjectMetadata> items;
  std::string resource_version;  // of the whole list
  std::string next_page;         // empty: this was the last
};
absl::StatusOr<MetadataList> ParseMetadataList(std::string_view body);

struct WatchEvent {
  enum class Type { kChanged, kDeleted, kBookmark, kError };
  Type type = Type::kError;
  std::string resource_version;  // to go on from; not for kError
  ObjectMetadata object;         // kChanged and kDeleted
  int error_code = 0;            // kError: as an HTTP status; 0 if it says none
  std::string error_message;     // made safe to print
};
absl::StatusOr<WatchEvent> ParseWatchEvent(std::string_view line);

// The answer to a failed request.
struct ApiStatus {
  std::string reason;     // one word, such as "Forbidden"; empty if there is none
  std::string message;    // one line, made safe to print, cut to 300 characters
  std::string next_page;  // a list's page that has expired: where to go on
};
ApiStatus ParseApiStatus(std::string_view body);

struct IssuedToken {
  SecretBytes token;
  WallTime expires_at;
};
// The answer to a TokenRequest.
absl::StatusOr<IssuedToken> ParseTokenRequest(std::string_view body);

// What a credential plugin prints: a token, a client certificate with its key, or both.
struct ExecCredential {
  SecretBytes token;
  SecretBytes client_certificate;  // PEM
  SecretBytes client_key;
  std::optional<WallTime> expires_at;  // not given: until the server refuses it
};
// FailedPrecondition: a plugin that prints something else is set up wrongly.
absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view output,
                                                   std::string_view api_version);

}  // namespace secretfs::providers::kubernetes
