#include "tests/conformance/azure_store.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/text.h"
#include "providers/azure/azure_provider.h"
#include "tests/integration/azure/azure_cloud.h"

namespace secretfs::conformance {
namespace {

using testing::AzureCloud;

// The application whose secret stands in a file.
constexpr char kFileApplication[] = "55555555-5555-4555-8555-555555555555";

class AzureStoreUnderTest final : public StoreUnderTest {
 public:
  AzureStoreUnderTest() {
    // Starts the client now, before a case changes the environment.
    cloud_.Official("list_secrets");
  }

  std::string address() const override { return cloud_.address(); }

  std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) override {
    providers::AzureStoreConfig config = cloud_.Config();
    config.vault_url = settings.server.empty() ? address() : settings.server;
    config.authority_host = address();
    config.resource = "https://vault.azure.net";
    config.tls = settings.tls;
    if (!settings.credential_file.empty()) {
      providers::AzureClientSecretAuth auth;
      auth.client_id.text = kFileApplication;
      auth.client_secret.file = settings.credential_file;
      config.auth = std::move(auth);
    }
    auto provider = providers::MakeAzureProvider(config, settings.io->context(), *settings.clock,
                                                 settings.io->scheduler());
    if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
    return *std::move(provider);
  }

  size_t secrets_to_list() const override { return 60; }  // pages of 25

  std::string Put(const std::string& key, std::string_view value) override {
    return cloud_.Official("set_secret", {{"name", key}, {"value", std::string(value)}});
  }
  void Remove(const std::string& key) override {
    cloud_.Official("delete_secret", {{"name", key}});
  }
  void Deny(const std::string& key) override {
    denied_.push_back(key);
    cloud_.Control("vaults", {{"host", testing::kAzureVault}, {"denied", denied_}});
  }
  std::string UnknownVersion() const override { return std::string(32, '0'); }

  void ExpireCredentials() override {
    cloud_.Control("revoke", {{"client_id", testing::kAzureReader}});
  }
  void ReplaceCredentials(const std::string& path) override {
    const std::string secret = Format("client secret {}", ++secrets_);
    cloud_.Control(
        "applications",
        {{"tenant", testing::kAzureTenant}, {"client_id", kFileApplication}, {"secret", secret}});
    cloud_.Control("revoke", {{"client_id", kFileApplication}});
    std::ofstream(path + ".new") << secret;
    std::filesystem::rename(path + ".new", path);
  }

  bool IsRead(const fakes::FaultProxy::Request& request, const std::string& key) const override {
    const std::string path = Format("/secrets/{}", key);
    return request.method == "GET" &&
           (request.target.starts_with(path + "?") || request.target.starts_with(path + "/"));
  }

 private:
  AzureCloud cloud_;
  std::vector<std::string> denied_;
  int secrets_ = 0;
};

}  // namespace

StoreKind AzureStoreKind() {
  StoreKind kind;
  kind.name = "azure";
  kind.server = "a fake that Microsoft's clients use";
  kind.not_applicable["binary_value"] = "values are text: write base64 and decode it";
  kind.not_applicable["value_64k"] = "a secret has at most 25 KiB";
  kind.not_applicable["value_1m"] = "a secret has at most 25 KiB";
  kind.start = [] { return std::make_unique<AzureStoreUnderTest>(); };
  return kind;
}

}  // namespace secretfs::conformance
