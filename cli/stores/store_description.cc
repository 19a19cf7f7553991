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
  for (std::string* path : {&tls.ca_file, &tls.ca_directory, &tls.client_certificate_file,
                            &tls.client_key_file}) {
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

// Told apart by the content, which is the same in the next process; never shown.
std::string DescribeInline(const std::shared_ptr<const SecretBytes>& value) {
  return value == nullptr ? std::string() : providers::ContentDigest(value->bytes());
}

}  // namespace

std::string Describe(const providers::CredentialSource& source) {
  return Format("file={};environment={};inline={}", source.file, source.environment,
                DescribeInline(source.inline_value));
}

std::string Describe(const providers::TlsConfig& tls) {
  const auto ca_bundle = std::as_bytes(std::span(tls.ca_bundle.data(), tls.ca_bundle.size()));
  return Format("{};{};{};{};{};{};{};{};{}", tls.client_certificate_file, tls.client_key_file,
                DescribeInline(tls.client_certificate), DescribeInline(tls.client_key),
                tls.server_name, tls.ca_file, tls.ca_directory, providers::ContentDigest(ca_bundle),
                tls.skip_verify);
}

}  // namespace secretfs::cli
