#include "providers/aws/aws_response.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/aws/json_fields.h"

namespace secretfs::providers::aws {
namespace {

absl::StatusOr<NamedSecret> SecretOf(const SecretJson& json) {
  NamedSecret named;
  named.name = std::string(TextMember(json, "Name"));
  named.arn = std::string(TextMember(json, "ARN"));
  named.secret.version = std::string(TextMember(json, "VersionId"));
  named.secret.changed_at = TimeMember(json, "CreatedDate");
  if (named.name.empty() || named.secret.version.empty()) {
    return UnexpectedAnswer("a secret in it has no Name or VersionId");
  }
  const SecretJson* text = Member(json, "SecretString");
  const SecretJson* binary = Member(json, "SecretBinary");
  if (text != nullptr && text->is_string()) {
    named.secret.value = SecretBytes::CopyOf(TextMember(json, "SecretString"));
  } else if (binary != nullptr && binary->is_string()) {
    std::optional<SecretBytes> bytes = DecodeBase64(TextMember(json, "SecretBinary"));
    if (!bytes.has_value()) return UnexpectedAnswer("SecretBinary is not base64");
    named.secret.value = *std::move(bytes);
  } else {
    return UnexpectedAnswer("a secret in it has neither SecretString nor SecretBinary");
  }
  return named;
}

absl::StatusOr<NamedSecret> ParameterOf(const SecretJson& json) {
  NamedSecret named;
  named.name = std::string(TextMember(json, "Name"));
  named.arn = std::string(TextMember(json, "ARN"));
  named.selector = std::string(TextMember(json, "Selector"));
  const SecretJson* version = Member(json, "Version");
  const SecretJson* value = Member(json, "Value");
  if (named.name.empty() || version == nullptr || !version->is_number_integer() ||
      value == nullptr || !value->is_string()) {
    return UnexpectedAnswer("a parameter in it has no Name, Version or Value");
  }
  named.secret.value = SecretBytes::CopyOf(TextMember(json, "Value"));
  named.secret.changed_at = TimeMember(json, "LastModifiedDate");
  named.secret.version = std::string(DumpSecretJson(*version).ExposeAsText());
  if (named.secret.changed_at.has_value()) {
    named.secret.version += Format("@{}", std::chrono::duration_cast<std::chrono::milliseconds>(
                                              named.secret.changed_at->time_since_epoch())
                                              .count());
  }
  return named;
}

absl::StatusOr<NamePage> NamesOf(std::string_view body, std::string_view list) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, ParseAnswer(body));
  const SecretJson* items = Member(json, list);
  if (items == nullptr || !items->is_array()) {
    return UnexpectedAnswer(Format("it has no {}", list));
  }
  NamePage page;
  page.next_token = std::string(TextMember(json, "NextToken"));
  for (const SecretJson& item : ArrayMember(json, list)) {
    std::string name(TextMember(item, "Name"));
    if (!name.empty()) page.names.push_back(std::move(name));
  }
  return page;
}

int SixBits(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

}  // namespace

std::optional<SecretBytes> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  SecretBytes decoded(text.size() * 3 / 4);
  const auto out = decoded.mutable_bytes();
  uint32_t bits = 0;
  int count = 0;
  size_t size = 0;
  for (const char c : text) {
    const int six = SixBits(c);
    if (six < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(six);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out[size++] = static_cast<std::byte>((bits >> count) & 0xff);
  }
  // Bits that no byte takes must be zero.
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return decoded;
}

absl::StatusOr<NamedSecret> ParseSecretValue(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, ParseAnswer(body));
  return SecretOf(json);
}

absl::StatusOr<BatchAnswer> ParseBatch(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, ParseAnswer(body));
  BatchAnswer answer;
  answer.next_token = std::string(TextMember(json, "NextToken"));
  for (const SecretJson& item : ArrayMember(json, "SecretValues")) {
    SECRETFS_ASSIGN_OR_RETURN(NamedSecret secret, SecretOf(item));
    answer.values.push_back(std::move(secret));
  }
  for (const SecretJson& item : ArrayMember(json, "Errors")) {
    ApiError error{CleanCode(TextMember(item, "ErrorCode")),
                   std::string(TextMember(item, "Message"))};
    if (error.code.empty()) return UnexpectedAnswer("an error in it has no ErrorCode");
    answer.errors.insert_or_assign(std::string(TextMember(item, "SecretId")), std::move(error));
  }
  return answer;
}

absl::StatusOr<NamePage> ParseSecretNames(std::string_view body) {
  return NamesOf(body, "SecretList");
}

absl::StatusOr<NamePage> ParseParameterNames(std::string_view body) {
  return NamesOf(body, "Parameters");
}

absl::StatusOr<SecretDescription> ParseDescription(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, ParseAnswer(body));
  if (TextMember(json, "Name").empty()) return UnexpectedAnswer("it has no Name");
  SecretDescription description;
  const SecretJson* deleted = Member(json, "DeletedDate");
  description.deleted = deleted != nullptr && !deleted->is_null();
  const SecretJson* versions = Member(json, "VersionIdsToStages");
  if (versions == nullptr || !versions->is_object()) return description;
  for (const auto& [id, stages] : versions->items()) {
    if (!stages.is_array()) continue;
    for (const SecretJson& stage : stages) {
      const auto* name = stage.get_ptr<const SecretString*>();
      if (name == nullptr) continue;
      description.version_of_stage.insert_or_assign(std::string(name->begin(), name->end()),
                                                    std::string(id.begin(), id.end()));
    }
  }
  return description;
}

absl::StatusOr<ParametersAnswer> ParseParameters(std::string_view body) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, ParseAnswer(body));
  ParametersAnswer answer;
  for (const SecretJson& item : ArrayMember(json, "Parameters")) {
    SECRETFS_ASSIGN_OR_RETURN(NamedSecret parameter, ParameterOf(item));
    answer.values.push_back(std::move(parameter));
  }
  for (const SecretJson& item : ArrayMember(json, "InvalidParameters")) {
    const auto* name = item.get_ptr<const SecretString*>();
    if (name != nullptr) answer.missing.emplace(name->begin(), name->end());
  }
  return answer;
}

bool Means(std::string_view id, const NamedSecret& secret) {
  if (id == secret.name || (!secret.arn.empty() && id == secret.arn)) return true;
  constexpr size_t kRandomPart = 7;  // "-" and six characters
  return id.starts_with("arn:") && secret.arn.size() == id.size() + kRandomPart &&
         secret.arn.starts_with(id) && secret.arn[id.size()] == '-';
}

}  // namespace secretfs::providers::aws
