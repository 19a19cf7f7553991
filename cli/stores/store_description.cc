#include "cli/stores/store_description.h"

#include <functional>

#include "base/text.h"
#include "cli/environment.h"

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

std::string Describe(const providers::CredentialSource& source) {
  return Format("file={};environment={};inline={}", source.file, source.environment,
                static_cast<const void*>(source.inline_value.get()));
}

std::string Describe(const providers::TlsConfig& tls) {
  return Format("{};{};{};{};{};{};{};{:016x};{}", tls.client_certificate_file, tls.client_key_file,
                static_cast<const void*>(tls.client_certificate.get()),
                static_cast<const void*>(tls.client_key.get()), tls.server_name, tls.ca_file,
                tls.ca_directory, std::hash<std::string>{}(tls.ca_bundle), tls.skip_verify);
}

}  // namespace secretfs::cli
