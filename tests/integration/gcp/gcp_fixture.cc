#include "tests/integration/gcp/gcp_fixture.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "base/text.h"
#include "providers/gcp/gcp_provider.h"

namespace secretfs::testing {

using providers::GcpSecretRefAuth;
using providers::GcpStoreConfig;
using providers::Provider;
using providers::SecretPtr;
using providers::SecretRef;

GcpTest::GcpTest() {
  char name[] = "/tmp/secretfs-gcp.XXXXXX";
  folder_ = ::mkdtemp(name);
  io_.Start();
}

GcpTest::~GcpTest() {
  io_.Stop();
  std::filesystem::remove_all(folder_);
}

GcpStoreConfig GcpTest::Config() {
  GcpStoreConfig config;
  config.project_id = "demo";
  config.endpoints = {cloud_.url(), cloud_.url(), cloud_.url(), cloud_.host()};
  if (key_.empty()) key_ = identity().MakeServiceAccountKey(kReader);
  config.auth = GcpSecretRefAuth{Inline(key_)};
  secrets().SetRole(std::string("serviceAccount:") + kReader,
                    fakes::GcpSecretManager::Role::kAdmin);
  return config;
}

std::shared_ptr<Provider> GcpTest::Make(const GcpStoreConfig& config) {
  auto provider = providers::MakeGcpProvider(config, io_.context(), clock_, io_.scheduler());
  if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
  // A provider belongs to the I/O thread, where it also has to go.
  Provider* raw = provider->get();
  return {raw, [this, owner = *std::move(provider)](Provider*) mutable {
            io_.Post([owner = std::move(owner)] {});
          }};
}

providers::RequestContext GcpTest::Deadline() const {
  return {clock_.Now() + std::chrono::seconds(20)};
}

absl::StatusOr<SecretPtr> GcpTest::Fetch(Provider& provider, const std::string& key,
                                         const std::string& version) {
  std::vector<SecretRef> refs = {{key, version}};
  auto results = Await(provider.Fetch(std::move(refs), Deadline()));
  return std::move(results.at(0));
}

std::string GcpTest::Value(Provider& provider, const std::string& key, const std::string& version) {
  const auto secret = Fetch(provider, key, version);
  return secret.ok() ? Text((*secret)->value) : secret.status().ToString();
}

std::string GcpTest::List(Provider& provider, const std::string& prefix) {
  std::string names, page;
  int pages = 0;
  do {
    const auto result = Await(provider.List(prefix, page, Deadline()));
    if (!result.ok()) return result.status().ToString();
    ++pages;
    for (const providers::ListEntry& entry : result->entries) {
      if (!entry.is_secret || entry.is_prefix) return "an entry that is no plain secret";
      names += (names.empty() ? "" : ", ") + entry.name;
    }
    page = result->next_page;
  } while (!page.empty());
  return Format("{}: {}", pages, names);
}

absl::Status GcpTest::CheckLogin(Provider& provider) {
  return Await(provider.CheckLogin(Deadline()));
}

std::string GcpTest::WriteFile(const std::string& name, std::string_view text) const {
  const std::filesystem::path path = folder_ / name;
  const std::filesystem::path beside = path.string() + ".new";
  std::ofstream(beside) << text;
  std::filesystem::rename(beside, path);
  return path.string();
}

providers::CredentialSource GcpTest::Inline(std::string_view value) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value));
  return source;
}

providers::CredentialSource GcpTest::File(const std::string& path) {
  providers::CredentialSource source;
  source.file = path;
  return source;
}

}  // namespace secretfs::testing
