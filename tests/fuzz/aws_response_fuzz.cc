// What comes from AWS, from agents and from the files that AWS's tools share: whatever stands
// there, the parsers must not crash, and what they accept must keep its promises.

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "providers/auth/sigv4.h"
#include "providers/aws/api_error.h"
#include "providers/aws/aws_response.h"
#include "providers/aws/credentials_answer.h"
#include "providers/aws/names.h"
#include "providers/aws/profiles.h"
#include "providers/aws/xml.h"

namespace secretfs::providers::aws {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckSecret(const NamedSecret& named) {
  Require(!named.name.empty());
  Require(!named.secret.version.empty());
}

void ParseAnswers(std::string_view body) {
  if (const auto secret = ParseSecretValue(body); secret.ok()) CheckSecret(*secret);
  if (const auto batch = ParseBatch(body); batch.ok()) {
    for (const NamedSecret& secret : batch->values) CheckSecret(secret);
    for (const auto& [id, error] : batch->errors) Require(!error.code.empty());
  }
  if (const auto answer = ParseParameters(body); answer.ok()) {
    for (const NamedSecret& parameter : answer->values) CheckSecret(parameter);
  }
  (void)ParseDescription(body);
  for (const auto& page : {ParseSecretNames(body), ParseParameterNames(body)}) {
    if (!page.ok()) continue;
    std::set<std::string, std::less<>> slashed;
    for (const ListEntry& entry : EntriesBelow("", page->names, slashed)) {
      Require(entry.is_secret || entry.is_prefix);
      Require(!entry.name.empty() && entry.name.find('/') == std::string::npos);
    }
  }
}

void ParseErrors(std::string_view body) {
  HttpResponse response;
  response.status = 400;
  response.body = SecretBytes::CopyOf(body);
  const ApiError error = ErrorOf(response);
  for (const char c : error.code) Require(std::isalnum(static_cast<unsigned char>(c)) != 0);
  for (const char c : error.message) Require(c >= ' ' && c <= '~');
  Require(!StatusOf(response, error, "x", WallTime()).ok());
}

void ParseLogins(std::string_view body) {
  if (const auto made = ParseRoleAnswer(body); made.ok()) {
    Require(!made->credentials.access_key_id.empty());
    Require(!made->credentials.secret_access_key.empty());
  }
  const WallTime now{std::chrono::seconds(1'800'000'000)};
  if (const auto made = ParseCredentials(body, now, MonotonicTime()); made.ok()) {
    Require(!made->secret_access_key.empty());
  }
  for (const SharedFileKind kind : {SharedFileKind::kConfig, SharedFileKind::kCredentials}) {
    for (const auto& [name, profile] : ParseProfiles(body, kind)) Require(!name.empty());
  }
  if (const auto text = XmlText(body, "a")) Require(text->size() <= body.size());
}

void Sign(std::string_view url) {
  if (url.find('\0') != std::string_view::npos) return;
  HttpRequest request;
  request.url = std::string(url);
  AwsCredentials credentials;
  credentials.access_key_id = "A";
  if (!SignAwsRequest(request, credentials, {"r", "s"}, WallTime()).ok()) return;
  Require(request.headers.size() == 2);
}

}  // namespace
}  // namespace secretfs::providers::aws

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  secretfs::providers::aws::ParseAnswers(input);
  secretfs::providers::aws::ParseErrors(input);
  secretfs::providers::aws::ParseLogins(input);
  secretfs::providers::aws::Sign(input);
  return 0;
}
