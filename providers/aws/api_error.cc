#include "providers/aws/api_error.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/aws/json_fields.h"
#include "providers/aws/xml.h"
#include "providers/http/http_status.h"

namespace secretfs::providers::aws {
namespace {

using absl::StatusCode;

constexpr size_t kCodeLimit = 80;
constexpr size_t kMessageLimit = 300;

constexpr std::array<std::pair<std::string_view, StatusCode>, 41> kCodes{{
    {"ResourceNotFoundException", StatusCode::kNotFound},
    {"ParameterNotFound", StatusCode::kNotFound},
    {"ParameterVersionNotFound", StatusCode::kNotFound},
    {"ParameterVersionLabelLimitExceeded", StatusCode::kInvalidArgument},

    {"AccessDenied", StatusCode::kPermissionDenied},
    {"AccessDeniedException", StatusCode::kPermissionDenied},
    {"UnauthorizedOperation", StatusCode::kPermissionDenied},
    {"NotAuthorized", StatusCode::kPermissionDenied},
    // The secret is there, but the key that encrypts it is not for us, or disabled.
    {"DecryptionFailure", StatusCode::kPermissionDenied},
    {"KMSAccessDeniedException", StatusCode::kPermissionDenied},
    {"InvalidKeyId", StatusCode::kPermissionDenied},
    {"KMSKeyNotAccessibleFault", StatusCode::kPermissionDenied},

    {"ExpiredToken", StatusCode::kUnauthenticated},
    {"ExpiredTokenException", StatusCode::kUnauthenticated},
    {"UnrecognizedClientException", StatusCode::kUnauthenticated},
    {"InvalidClientTokenId", StatusCode::kUnauthenticated},
    {"InvalidAccessKeyId", StatusCode::kUnauthenticated},
    {"InvalidSignatureException", StatusCode::kUnauthenticated},
    {"SignatureDoesNotMatch", StatusCode::kUnauthenticated},
    {"IncompleteSignature", StatusCode::kUnauthenticated},
    {"IncompleteSignatureException", StatusCode::kUnauthenticated},
    {"MissingAuthenticationToken", StatusCode::kUnauthenticated},
    {"MissingAuthenticationTokenException", StatusCode::kUnauthenticated},
    {"InvalidIdentityToken", StatusCode::kUnauthenticated},
    {"AuthFailure", StatusCode::kUnauthenticated},
    {"OptInRequired", StatusCode::kUnauthenticated},
    {"RequestExpired", StatusCode::kUnauthenticated},
    {"RequestTimeTooSkewed", StatusCode::kUnauthenticated},
    {"RequestInTheFuture", StatusCode::kUnauthenticated},
    {"NotAuthorizedException", StatusCode::kUnauthenticated},

    {"Throttling", StatusCode::kResourceExhausted},
    {"ThrottlingException", StatusCode::kResourceExhausted},
    {"ThrottledException", StatusCode::kResourceExhausted},
    {"RequestThrottled", StatusCode::kResourceExhausted},
    {"RequestThrottledException", StatusCode::kResourceExhausted},
    {"RequestLimitExceeded", StatusCode::kResourceExhausted},
    {"TooManyRequestsException", StatusCode::kResourceExhausted},
    {"SlowDown", StatusCode::kResourceExhausted},
    {"PriorRequestNotComplete", StatusCode::kResourceExhausted},

    {"IDPCommunicationError", StatusCode::kUnavailable},
    {"InternalServerError", StatusCode::kUnavailable},
}};

std::optional<StatusCode> CodeOf(const ApiError& error) {
  const auto* found = std::find_if(kCodes.begin(), kCodes.end(),
                                   [&](const auto& one) { return one.first == error.code; });
  if (found != kCodes.end()) return found->second;
  // Secrets Manager's answer for a secret that waits for its deletion.
  if (error.code == "InvalidRequestException" &&
      (error.message.find("deletion") != std::string::npos ||
       error.message.find("deleted") != std::string::npos)) {
    return StatusCode::kNotFound;
  }
  if (error.code.starts_with("InternalService") || error.code.starts_with("ServiceUnavailable") ||
      error.code == "InternalFailure") {
    return StatusCode::kUnavailable;
  }
  return std::nullopt;
}

std::string CleanText(std::string_view text) {
  std::string clean;
  for (const char c : text.substr(0, kMessageLimit)) clean += c >= ' ' && c <= '~' ? c : ' ';
  return clean;
}

std::string Worded(std::string_view what, const ApiError& error, StatusCode code) {
  std::string_view hint;
  if (error.code == "DecryptionFailure" || error.code == "InvalidKeyId" ||
      error.code == "KMSAccessDeniedException") {
    hint = "; is kms:Decrypt allowed with the key that encrypts it, and the key enabled?";
  } else if (error.code == "InvalidRequestException" && code == StatusCode::kNotFound) {
    hint = " (it is marked for deletion)";
  }
  return Format("{}: AWS answered {}{}", what, error.code, hint);
}

}  // namespace

std::string CleanCode(std::string_view code) {
  // "namespace#Code", and "Code:http://…" in the header.
  if (const size_t hash = code.rfind('#'); hash != std::string_view::npos) {
    code.remove_prefix(hash + 1);
  }
  code = code.substr(0, code.find(':'));
  std::string clean;
  for (const char c : code.substr(0, kCodeLimit)) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) clean += c;
  }
  return clean;
}

ApiError ErrorOf(const HttpResponse& response) {
  ApiError error;
  const std::string_view body = response.body.ExposeAsText();
  const size_t start = body.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos && body[start] == '<') {
    if (const auto code = XmlText(body, "Code")) error.code = CleanCode(code->ExposeAsText());
    if (const auto text = XmlText(body, "Message")) error.message = CleanText(text->ExposeAsText());
  } else if (const auto json = ParseAnswer(body); json.ok()) {
    for (const std::string_view name : {"__type", "code", "Code"}) {
      if (error.code.empty()) error.code = CleanCode(TextMember(*json, name));
    }
    for (const std::string_view name : {"message", "Message"}) {
      if (error.message.empty()) error.message = CleanText(TextMember(*json, name));
    }
  }
  const auto header = response.headers.find("x-amzn-errortype");
  if (error.code.empty() && header != response.headers.end()) {
    error.code = CleanCode(header->second);
  }
  return error;
}

absl::Status StatusOf(const HttpResponse& response, const ApiError& error, std::string_view what,
                      WallTime now) {
  const absl::Status by_status = HttpStatus(response, what, now);
  if (by_status.ok() || error.code.empty()) return by_status;
  const StatusCode code = CodeOf(error).value_or(by_status.code());
  absl::Status status(code, Format("{} ({})", Worded(what, error, code), response.status));
  if (const auto delay = RetryAfter(by_status)) SetRetryAfter(status, *delay);
  return status;
}

absl::Status StatusOf(const ApiError& error, std::string_view what) {
  const StatusCode code = CodeOf(error).value_or(StatusCode::kInvalidArgument);
  return absl::Status(code, Worded(what, error, code));
}

bool IsOutage(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

bool MeansNewLogin(std::string_view code) {
  return code == "ExpiredToken" || code == "ExpiredTokenException" ||
         code == "UnrecognizedClientException" || code == "InvalidClientTokenId" ||
         code == "InvalidAccessKeyId";
}

bool MayMeanClockSkew(std::string_view code) {
  return code == "RequestTimeTooSkewed" || code == "RequestExpired" ||
         code == "RequestInTheFuture" || code == "InvalidSignatureException" ||
         code == "SignatureDoesNotMatch" || code == "AuthFailure";
}

}  // namespace secretfs::providers::aws
