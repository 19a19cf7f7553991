#include "tests/integration/vault/vault_fixture.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "base/text.h"
#include "providers/vault/vault_provider.h"

namespace secretfs::testing {

using providers::ListEntry;
using providers::ListPage;
using providers::Provider;
using providers::SecretPtr;
using providers::SecretRef;

void VaultTest::SetUp() {
  server_ = VaultServer::Start(ServerOptions());
  io_.Start();
}

void VaultTest::TearDown() {
  io_.Stop();
  if (HasFailure()) std::cerr << "the end of the server's log:\n" << server_->LogEnd();
}

providers::VaultStoreConfig VaultTest::Config(const std::string& mount,
                                              const std::string& token) const {
  providers::VaultStoreConfig config;
  config.server = server_->address();
  config.path = mount;
  config.auth = providers::VaultTokenAuth{Inline(token.empty() ? server_->root_token() : token)};
  return config;
}

std::shared_ptr<Provider> VaultTest::Make(const providers::VaultStoreConfig& config) {
  auto provider = providers::MakeVaultProvider(config, io_.context(), clock_, io_.scheduler());
  if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
  // A provider belongs to the I/O thread, where it also has to go.
  Provider* raw = provider->get();
  return {raw, [this, owner = *std::move(provider)](Provider*) mutable {
            io_.Post([owner = std::move(owner)] {});
          }};
}

providers::RequestContext VaultTest::Deadline() const {
  return {clock_.Now() + std::chrono::seconds(20)};
}

absl::StatusOr<SecretPtr> VaultTest::Fetch(Provider& provider, const std::string& key,
                                           const std::string& version) {
  std::vector<SecretRef> refs = {{key, version}};
  auto results = Await(provider.Fetch(std::move(refs), Deadline()));
  return std::move(results.at(0));
}

std::string VaultTest::List(Provider& provider, const std::string& prefix) {
  const absl::StatusOr<ListPage> page = Await(provider.List(prefix, "", Deadline()));
  if (!page.ok()) return page.status().ToString();
  std::vector<std::string> names;
  for (const ListEntry& entry : page->entries) {
    std::string name = entry.is_secret ? entry.name : "";
    if (entry.is_prefix) name += (name.empty() ? "" : " ") + entry.name + "/";
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

absl::Status VaultTest::CheckLogin(Provider& provider) {
  return Await(provider.CheckLogin(Deadline()));
}

void VaultTest::Close(Provider& provider) { Await(provider.Close(Deadline())); }

std::string VaultTest::ReplaceFile(const std::string& name, std::string_view text) {
  const std::filesystem::path path = server_->folder() / name;
  const std::filesystem::path beside = path.string() + ".new";
  std::ofstream(beside) << text;
  std::filesystem::rename(beside, path);
  return path.string();
}

providers::CredentialSource VaultTest::Inline(std::string_view value) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value));
  return source;
}

std::string VaultTest::Field(const absl::StatusOr<SecretPtr>& secret, const std::string& name) {
  if (!secret.ok()) return secret.status().ToString();
  const auto field = (*secret)->fields.find(name);
  return field == (*secret)->fields.end() ? "(no such field)" : Text(field->second);
}

bool VaultTest::Eventually(const std::function<bool()>& condition,
                           std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace secretfs::testing
