// Answers of Secret Manager and of Google's token endpoints, credentials files, and keys as people
// write them: whatever stands there, the parsers must not crash, and what they accept must keep its
// promises.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "providers/gcp/credentials_file.h"
#include "providers/gcp/gcp_key.h"
#include "providers/gcp/gcp_response.h"
#include "providers/gcp/token_endpoint.h"

namespace secretfs::providers::gcp {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequirePrintable(std::string_view text) {
  for (const char c : text) Require(c < 0 || c >= ' ');
}

void CheckToken(const absl::StatusOr<AccessToken>& token) {
  if (!token.ok()) return;
  Require(IsUsableToken(token->token.ExposeAsText()));
  Require(token->life >= Duration(0) && token->life <= std::chrono::hours(24));
}

void ParseAnswers(std::string_view body) {
  if (const auto version = ParseAccess(body); version.ok()) {
    Require(IsVersionNumber(version->number));
  }
  if (const auto page = ParseSecretList(body); page.ok()) {
    for (const std::string& name : page->names) {
      Require(IsSecretId(name));
      Require(ParseKey({name, ""}, {"p", ""}).ok());
    }
  }
  if (const auto page = ParseVersionList(body); page.ok()) {
    for (const std::string& number : page->enabled) Require(IsVersionNumber(number));
  }
  if (const auto error = ParseApiError(body)) {
    RequirePrintable(error->status + error->reason);
    Require(!error->retry_delay || error->retry_delay->count() >= 0);
  }
  CheckToken(ParseTokenGrant(body));
  CheckToken(ParseImpersonationGrant(body, WallTime(std::chrono::seconds(1'800'000'000))));
  const OAuthError error = ParseOAuthError(body);
  RequirePrintable(error.error + error.description);
  Require(error.description.size() <= 200);
}

// No header and no address out of a file may hold what would end it early.
void CheckCredentials(std::string_view json) {
  const auto credentials = ParseCredentials(json);
  if (!credentials.ok()) return;
  if (const auto* account = std::get_if<ExternalAccount>(&credentials->kind)) {
    Require(account->source.credential.empty() != account->source.url.empty());
    for (const auto& [name, value] : account->source.headers) {
      Require(!name.empty() && name.find_first_of("\r\n:") == std::string::npos);
      Require(value.ExposeAsText().find_first_of("\r\n") == std::string_view::npos);
    }
  }
}

// No name may leave the resource that it stands for.
void CheckKey(std::string_view text) {
  const size_t space = std::min(text.find(' '), text.size());
  const SecretRef ref{std::string(text.substr(0, space)), std::string(text.substr(space))};
  for (const SecretRef& candidate : {ref, SecretRef{std::string(text), ""}}) {
    const auto name = ParseKey(candidate, {"home", "l"});
    if (!name.ok()) continue;
    const std::string path = "/" + SecretPath(*name) + "/versions/" + name->version + "/";
    for (const char* part : {"//", "/../", "/./", "?", "#", " ", "%", "\\"}) {
      Require(path.find(part) == std::string::npos);
    }
    Require(path.starts_with("/projects/"));
  }
  (void)ParsePrefix(text, {"home", ""});
}

}  // namespace
}  // namespace secretfs::providers::gcp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  secretfs::providers::gcp::ParseAnswers(input);
  secretfs::providers::gcp::CheckCredentials(input);
  secretfs::providers::gcp::CheckKey(input);
  return 0;
}
