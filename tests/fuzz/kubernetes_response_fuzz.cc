// What an API server and a credential plugin send: whatever stands there, the parsers must not
// crash, and what they accept must keep its promises. The first byte chooses the size of the pieces
// that a stream of events arrives in.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "providers/http/line_splitter.h"
#include "providers/kubernetes/kubernetes_response.h"

namespace secretfs::providers::kubernetes {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckVersion(const std::string& version) {
  const size_t at = version.find('@');
  Require(at != std::string::npos && at > 0 && at + 1 < version.size());
  for (const char c : version) Require(c > ' ' && c <= '~');
}

void CheckPrintable(const std::string& text) {
  Require(text.size() <= 310);
  for (const char c : text) Require(static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
}

void CheckEvent(std::string_view line) {
  const absl::StatusOr<WatchEvent> event = ParseWatchEvent(line);
  if (!event.ok()) return;
  CheckPrintable(event->error_message);
  if (event->type == WatchEvent::Type::kError) return;
  Require(!event->resource_version.empty());
  if (event->type == WatchEvent::Type::kBookmark) return;
  Require(!event->object.name.empty());
  CheckVersion(event->object.version);
}

void ParseAll(std::string_view body) {
  if (const auto secret = ParseSecret(body); secret.ok()) {
    CheckVersion(secret->version);
    Require(secret->value.size() >= 2);  // at least {}
    // The whole value has every field.
    const auto whole = ParseSecretJson(secret->value.ExposeAsText());
    Require(whole.ok() && whole->is_object() && whole->size() == secret->fields.size());
  }
  if (const auto list = ParseMetadataList(body); list.ok()) {
    Require(!list->resource_version.empty());
    for (const ObjectMetadata& item : list->items) {
      Require(!item.name.empty());
      CheckVersion(item.version);
    }
  }
  const ApiStatus status = ParseApiStatus(body);
  CheckPrintable(status.message);
  CheckPrintable(status.reason);
  if (const auto token = ParseTokenRequest(body); token.ok()) Require(!token->token.empty());
  const auto credential = ParseExecCredential(body, "client.authentication.k8s.io/v1");
  if (credential.ok()) {
    Require(!credential->token.empty() || !credential->client_key.empty());
    Require(credential->client_certificate.empty() == credential->client_key.empty());
  }
}

void ParseStream(std::string_view bytes, size_t piece) {
  LineSplitter lines(1 << 16);
  for (size_t at = 0; at < bytes.size(); at += piece) {
    lines.Add(SecretBytes::CopyOf(bytes.substr(at, piece)));
    for (;;) {
      const auto line = lines.Next();
      if (!line.ok()) return;
      if (!line->has_value()) break;
      Require((*line)->ExposeAsText().find('\n') == std::string_view::npos);
      CheckEvent((*line)->ExposeAsText());
    }
  }
}

}  // namespace
}  // namespace secretfs::providers::kubernetes

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  secretfs::providers::kubernetes::ParseAll(input);
  if (!input.empty()) secretfs::providers::kubernetes::ParseStream(input.substr(1), data[0] + 1);
  return 0;
}
