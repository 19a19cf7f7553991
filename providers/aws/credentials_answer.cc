#include "providers/aws/credentials_answer.h"

#include <optional>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "providers/aws/api_error.h"
#include "providers/aws/json_fields.h"
#include "providers/aws/xml.h"

namespace secretfs::providers::aws {

absl::StatusOr<TemporaryCredentials> ParseRoleAnswer(std::string_view body) {
  const std::optional<SecretBytes> id = XmlText(body, "AccessKeyId");
  std::optional<SecretBytes> secret = XmlText(body, "SecretAccessKey");
  std::optional<SecretBytes> token = XmlText(body, "SessionToken");
  const std::optional<SecretBytes> end = XmlText(body, "Expiration");
  const std::optional<WallTime> expiration =
      end.has_value() ? ParseTimestamp(end->ExposeAsText()) : std::nullopt;
  if (!id || id->empty() || !secret || secret->empty() || !token || token->empty() || !expiration) {
    return UnexpectedAnswer("it lacks credentials, or says not when they end");
  }
  TemporaryCredentials made;
  made.credentials.access_key_id = std::string(id->ExposeAsText());
  made.credentials.secret_access_key = *std::move(secret);
  made.credentials.session_token = *std::move(token);
  made.expiration = *expiration;
  return made;
}

absl::StatusOr<AwsCredentials> ParseCredentials(std::string_view body, WallTime now,
                                                MonotonicTime arrived) {
  SECRETFS_ASSIGN_OR_RETURN(const SecretJson json, ParseAnswer(body));
  const std::string code = CleanCode(TextMember(json, "Code"));
  if (!code.empty() && code != "Success") {
    return absl::UnavailableError(Format("it gives no credentials: {}", code));
  }
  AwsCredentials credentials;
  credentials.access_key_id = std::string(TextMember(json, "AccessKeyId"));
  credentials.secret_access_key = SecretBytes::CopyOf(TextMember(json, "SecretAccessKey"));
  credentials.session_token = SecretBytes::CopyOf(TextMember(json, "Token"));
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return UnexpectedAnswer("it lacks AccessKeyId or SecretAccessKey");
  }
  if (const auto end = ParseTimestamp(TextMember(json, "Expiration"))) {
    credentials.expires_at = arrived + (*end - now);
  }
  return credentials;
}

}  // namespace secretfs::providers::aws
