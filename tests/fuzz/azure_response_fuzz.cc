// Answers of Key Vault, Entra and the metadata services, challenges, links, PKCS#12 and PEM, and
// keys as people write them: whatever stands there, the parsers must not crash, and what they
// accept must keep its promises.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "providers/azure/azure_key.h"
#include "providers/azure/azure_response.h"
#include "providers/azure/challenge.h"
#include "providers/azure/key_material.h"
#include "providers/azure/key_vault.h"

namespace secretfs::providers::azure {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void ParseObjects(std::string_view body) {
  const struct {
    Kind kind;
    Form form;
  } kForms[] = {{Kind::kSecret, Form::kValue},
                {Kind::kSecret, Form::kAuto},
                {Kind::kSecret, Form::kPem},
                {Kind::kSecret, Form::kPrivateKey},
                {Kind::kSecret, Form::kCertificate},
                {Kind::kCertificate, Form::kPem},
                {Kind::kCertificate, Form::kDer},
                {Kind::kKey, Form::kPem},
                {Kind::kKey, Form::kJwk}};
  for (const auto& [kind, form] : kForms) {
    const ObjectKey key{.kind = kind, .name = "n", .version = {}, .before = {}, .form = form};
    const absl::StatusOr<Secret> secret = ParseObject(body, key);
    if (secret.ok()) Require(IsVersion(secret->version));
  }
}

void ParseLists(std::string_view body) {
  for (const Kind kind : {Kind::kSecret, Kind::kCertificate, Kind::kKey}) {
    if (const auto page = ParseNames(body, kind); page.ok()) {
      for (const ListEntry& entry : page->entries) {
        Require(entry.is_secret && IsObjectName(entry.name));
        Require(ParseKey({entry.name, ""}, false).ok());
      }
      // Wherever the next page is said to be, only the same list of the same vault is asked.
      if (IsNextPage(page->next_link, "https://v.test", "secrets")) {
        Require(page->next_link.find('@') > page->next_link.find('/', 8));
      }
    }
    if (const auto page = ParseVersions(body, kind); page.ok()) {
      for (const ObjectVersion& version : page->versions) {
        Require(IsVersion(version.version) && version.created >= 0);
      }
    }
  }
}

void ParseLogins(std::string_view body) {
  const auto token = ParseAccessToken(body, WallTime(std::chrono::seconds(1'800'000'000)));
  if (token.ok()) {
    Require(!token->token.empty() && token->lives.count() >= 0);
    for (const char c : token->token.ExposeAsText()) Require(c > ' ' && c <= '~');
  }
  const VaultError error = ParseVaultError(body);
  const LoginError login = ParseLoginError(body);
  for (const std::string* code : {&error.code, &error.inner_code, &login.error}) {
    Require(code->size() <= 64);
    for (const char c : *code) Require(c > ' ' && c <= '~');
  }
  if (const auto challenge = ParseChallenge(body); challenge.ok()) {
    Require(challenge->tenant.empty() || IsTenant(challenge->tenant));
    Require(challenge->tenant.find_first_of("/?#@ ") == std::string::npos);
    Require(!ResourceFitsHost(challenge->resource, ""));
  }
}

void ParseKeys(std::string_view text) {
  const absl::StatusOr<ObjectKey> key = ParseKey({std::string(text), ""}, false);
  if (!key.ok()) return;
  Require(IsObjectName(key->name));
  Require(key->version.empty() || IsVersion(key->version));
  Require(!key->before.has_value() || *key->before >= 0);
}

void ParseMaterial(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  // OpenSSL is slow to say that something is none: asked only about what begins like it.
  if (text.starts_with('0')) {
    (void)Pkcs12ToPem(bytes, Part::kEverything);
    (void)CertificateToPem(bytes);
  }
  if (text.find("-----BEGIN") == std::string_view::npos) return;
  for (const Part part : {Part::kEverything, Part::kPrivateKey}) {
    const auto pem = PemToPem(text, part);
    if (pem.ok()) Require(pem->ExposeAsText().starts_with("-----BEGIN "));
  }
  (void)ReadSigningIdentity(SecretBytes::CopyOf(text), SecretBytes());
}

}  // namespace
}  // namespace secretfs::providers::azure

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace secretfs::providers::azure;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  ParseObjects(input);
  ParseLists(input);
  ParseLogins(input);
  ParseKeys(input);
  ParseMaterial(input);
  return 0;
}
