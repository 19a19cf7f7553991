#pragma once

// The answers of Secrets Manager and Parameter Store, parsed strictly: what is not what the API
// promises is an error (Unavailable: the thing that answers is broken or no AWS), never a crash and
// never a guess. Pure functions; no content is quoted in errors.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "providers/aws/api_error.h"
#include "providers/provider.h"

namespace secretfs::providers::aws {

// One value with the names that AWS knows it by.
struct NamedSecret {
  std::string name;
  std::string arn;
  std::string selector;  // Parameter Store: ":3" or ":label" as it was asked for
  Secret secret;
};

// GetSecretValue. The version is AWS's version id.
absl::StatusOr<NamedSecret> ParseSecretValue(std::string_view body);

struct BatchAnswer {
  std::vector<NamedSecret> values;
  std::map<std::string, ApiError> errors;  // by the id that was asked for
  std::string next_token;
};
// BatchGetSecretValue.
absl::StatusOr<BatchAnswer> ParseBatch(std::string_view body);

// A page of names, whole: ListSecrets, GetParametersByPath.
struct NamePage {
  std::vector<std::string> names;
  std::string next_token;
};
absl::StatusOr<NamePage> ParseSecretNames(std::string_view body);
absl::StatusOr<NamePage> ParseParameterNames(std::string_view body);

// DescribeSecret: the version that each stage names.
struct SecretDescription {
  std::map<std::string, std::string> version_of_stage;
  bool deleted = false;
};
absl::StatusOr<SecretDescription> ParseDescription(std::string_view body);

// GetParameters. The version is "NUMBER@CHANGED": numbers start again when somebody deletes a
// parameter and makes it anew.
struct ParametersAnswer {
  std::vector<NamedSecret> values;
  std::set<std::string> missing;  // as they were asked for
};
absl::StatusOr<ParametersAnswer> ParseParameters(std::string_view body);

// Whether `id` (a name, an ARN, or one without the six random characters at its end) means this
// secret.
bool Means(std::string_view id, const NamedSecret& secret);

// Strict base64 (RFC 4648 section 4); nothing when it is not.
std::optional<SecretBytes> DecodeBase64(std::string_view text);

}  // namespace secretfs::providers::aws
