#include "cli/stores/store_description.h"

#include <memory>
#include <span>

#include "base/text.h"
#include "cli/environment.h"
#include "providers/content_version.h"

namespace secretfs::cli {

void MakePathsAbsolute(providers::CredentialSource& source) {
  source.file = AbsolutePath(source.file);
}

void MakePathsAbsolute(providers::TlsConfig& tls) {
  for (std::string* path :
       {&tls.ca_file, &tls.ca_directory, &tls.client_certificate_file, &tls.client_key_file}) {
    *path = AbsolutePath(*path);
  }
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
