#include "cli/stores/store_description.h"

#include <memory>
#include <span>

#include "base/text.h"
#include "cli/environment.h"
#include "providers/content_version.h"

namespace secretfs::cli {

void VisitPaths(providers::CredentialSource& source, const PathVisitor& visit) {
  visit(source.file);
}

void VisitPaths(providers::TlsConfig& tls, const PathVisitor& visit) {
  for (std::string* path :
       {&tls.ca_file, &tls.ca_directory, &tls.client_certificate_file, &tls.client_key_file}) {
    visit(*path);
  }
}

void MakePathsAbsolute(providers::CredentialSource& source) {
  VisitPaths(source, [](std::string& path) { path = AbsolutePath(path); });
}

void MakePathsAbsolute(providers::TlsConfig& tls) {
  VisitPaths(tls, [](std::string& path) { path = AbsolutePath(path); });
}

namespace {

template <typename Parts>
std::string Join(const Parts& parts) {
  std::string text;
  for (const std::string_view part : parts) text += Format("{}:{},", part.size(), part);
  return text;
}

// Told apart by the content, which is the same in the next process; never shown.
std::string DescribeInline(const std::shared_ptr<const SecretBytes>& value) {
  return value == nullptr ? std::string() : providers::ContentDigest(value->bytes());
}

std::string_view TextOf(bool value) { return value ? "yes" : "no"; }

}  // namespace

std::string JoinParts(std::initializer_list<std::string_view> parts) { return Join(parts); }
std::string JoinParts(const std::vector<std::string>& parts) { return Join(parts); }

std::string DigestOf(std::string_view value) {
  return providers::ContentDigest(std::as_bytes(std::span(value.data(), value.size())));
}

std::string Describe(const providers::CredentialSource& source) {
  return JoinParts({source.file, source.environment, DescribeInline(source.inline_value)});
}

std::string Describe(const providers::TlsConfig& tls) {
  return JoinParts({tls.client_certificate_file, tls.client_key_file,
                    DescribeInline(tls.client_certificate), DescribeInline(tls.client_key),
                    tls.server_name, tls.ca_file, tls.ca_directory, DigestOf(tls.ca_bundle),
                    TextOf(tls.skip_verify)});
}

}  // namespace secretfs::cli
