#include "tests/conformance/vault_store.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/text.h"
#include "providers/vault/vault_provider.h"
#include "tests/integration/vault/vault_server.h"

namespace secretfs::conformance {
namespace {

constexpr char kPolicy[] = R"(
  path "secret/data/*" { capabilities = ["read"] }
  path "secret/metadata/*" { capabilities = ["list", "read"] }
)";

class VaultStoreUnderTest final : public StoreUnderTest {
 public:
  VaultStoreUnderTest() : server_(testing::VaultServer::Start()) {
    server_->Write("sys/auth/approle", {{"type", "approle"}});
    server_->WritePolicy("reader", kPolicy);
    Deny("nothing");
    server_->Write("auth/approle/role/reader",
                   {{"token_policies", {"reader", "denied"}}, {"token_ttl", "1h"}});
    role_id_ = server_->Read("auth/approle/role/reader/role-id")["data"]["role_id"];
    const auto secret =
        server_->Write("auth/approle/role/reader/secret-id", nlohmann::json::object());
    secret_id_ = secret["data"]["secret_id"];
  }

  std::string address() const override { return server_->address(); }

  std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) override {
    providers::VaultStoreConfig config;
    config.server = settings.server.empty() ? address() : settings.server;
    config.path = "secret";
    config.version = "v2";
    config.tls = settings.tls;
    if (settings.credential_file.empty()) {
      providers::VaultAppRoleAuth auth;
      auth.role_id = role_id_;
      auth.secret_id.inline_value =
          std::make_shared<const SecretBytes>(SecretBytes::CopyOf(secret_id_));
      config.auth = auth;
    } else {
      providers::VaultTokenAuth auth;
      auth.token.file = settings.credential_file;
      config.auth = auth;
    }
    auto provider = providers::MakeVaultProvider(config, settings.io->context(), *settings.clock,
                                                 settings.io->scheduler());
    if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
    return *std::move(provider);
  }

  providers::Selection selection() const override { return {.property = "value"}; }

  std::string Put(const std::string& key, std::string_view value) override {
    const auto answer =
        server_->Write("secret/data/" + key, {{"data", {{"value", std::string(value)}}}});
    return std::to_string(answer["data"]["version"].get<int>());
  }
  void Remove(const std::string& key) override { server_->Delete("secret/metadata/" + key); }
  void Deny(const std::string& key) override {
    server_->WritePolicy("denied",
                         Format(R"(path "secret/data/{}" {{ capabilities = ["deny"] }})", key));
  }

  void ExpireCredentials() override {
    server_->Write("sys/leases/revoke-prefix/auth/approle/login", nlohmann::json::object());
  }
  void ReplaceCredentials(const std::string& path) override {
    if (std::filesystem::exists(path)) {
      std::string old;
      std::ifstream(path) >> old;
      server_->Write("auth/token/revoke", {{"token", old}});
    }
    std::ofstream(path + ".new") << server_->MakeToken({{"policies", {"reader"}}, {"ttl", "1h"}});
    std::filesystem::rename(path + ".new", path);
  }

 private:
  std::unique_ptr<testing::VaultServer> server_;
  std::string role_id_;
  std::string secret_id_;
};

}  // namespace

StoreKind VaultStoreKind() {
  StoreKind kind;
  kind.name = "vault";
  kind.server = "HashiCorp's server";
  kind.not_applicable["binary_value"] = "values are JSON strings: write base64 and decode it";
  kind.start = [] { return std::make_unique<VaultStoreUnderTest>(); };
  return kind;
}

}  // namespace secretfs::conformance
