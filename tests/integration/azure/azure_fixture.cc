#include "tests/integration/azure/azure_fixture.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "providers/azure/azure_provider.h"

namespace secretfs::testing {

using providers::Provider;
using providers::SecretPtr;
using providers::SecretRef;

void AzureTest::SetUp() {
  cloud_ = std::make_unique<AzureCloud>();
  io_.Start();
}

void AzureTest::TearDown() {
  io_.Stop();
  if (HasFailure()) std::cerr << "what the fake and the clients said:\n" << cloud_->Errors();
  cloud_.reset();
}

std::shared_ptr<Provider> AzureTest::Make(const providers::AzureStoreConfig& config) {
  auto provider = providers::MakeAzureProvider(config, io_.context(), clock_, io_.scheduler());
  if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
  // A provider belongs to the I/O thread, where it also has to go.
  Provider* raw = provider->get();
  return {raw, [this, owner = *std::move(provider)](Provider*) mutable {
            io_.Post([owner = std::move(owner)] {});
          }};
}

providers::RequestContext AzureTest::Deadline() const {
  return {clock_.Now() + std::chrono::seconds(20)};
}

absl::StatusOr<SecretPtr> AzureTest::Fetch(Provider& provider, const std::string& key,
                                           const std::string& version) {
  std::vector<SecretRef> refs = {{key, version}};
  auto results = Await(provider.Fetch(std::move(refs), Deadline()));
  return std::move(results.at(0));
}

std::string AzureTest::Read(Provider& provider, const std::string& key,
                            const std::string& version) {
  const absl::StatusOr<SecretPtr> secret = Fetch(provider, key, version);
  if (!secret.ok()) return secret.status().ToString();
  return std::string((*secret)->value.ExposeAsText());
}

std::string AzureTest::List(Provider& provider, const std::string& prefix) {
  std::string joined, page;
  do {
    const auto listed = Await(provider.List(prefix, page, Deadline()));
    if (!listed.ok()) return listed.status().ToString();
    for (const providers::ListEntry& entry : listed->entries) {
      joined += (joined.empty() ? "" : ", ") + entry.name;
    }
    page = listed->next_page;
  } while (!page.empty());
  return joined;
}

absl::Status AzureTest::CheckLogin(Provider& provider) {
  return Await(provider.CheckLogin(Deadline()));
}

providers::CredentialSource AzureTest::Inline(std::string_view value) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value));
  return source;
}

providers::CredentialSource AzureTest::File(const std::string& path) {
  providers::CredentialSource source;
  source.file = path;
  return source;
}

std::string AzureTest::ReplaceFile(const std::string& name, std::string_view text) const {
  const std::filesystem::path path = cloud_->folder() / name;
  const std::filesystem::path beside = path.string() + ".new";
  std::ofstream(beside, std::ios::binary) << text;
  std::filesystem::rename(beside, path);
  return path.string();
}

std::string AzureTest::ReadFile(const std::string& path) const {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace secretfs::testing
