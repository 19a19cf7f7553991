#include "tests/conformance/kubernetes_store.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <thread>

#include "base/text.h"
#include "providers/kubernetes/kubernetes_provider.h"
#include "tests/integration/kubernetes/kubernetes_server.h"

namespace secretfs::conformance {
namespace {

using testing::KubernetesServer;

constexpr char kNamespace[] = "conformance";
constexpr char kAccount[] = "reader";

class KubernetesStoreUnderTest final : public StoreUnderTest {
 public:
  KubernetesStoreUnderTest() : server_(KubernetesServer::Start()) {
    server_->CreateNamespace(kNamespace);
    MakeAccount(kAccount);
  }

  std::string address() const override { return server_->address(); }

  std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) override {
    providers::KubernetesStoreConfig config;
    config.remote_namespace = kNamespace;
    config.server.url = settings.server.empty() ? address() : settings.server;
    config.server.tls = settings.tls;
    if (settings.server.empty()) config.server.tls = DirectTls();
    if (settings.credential_file.empty()) {
      config.service_account = {.name = kAccount, .name_space = kNamespace, .audiences = {}};
      config.home.url = address();
      config.home.tls = DirectTls();
      providers::KubernetesTokenAuth auth;
      auth.token.inline_value =
          std::make_shared<const SecretBytes>(SecretBytes::CopyOf(server_->admin_token()));
      config.home.auth = auth;
    } else {
      providers::KubernetesTokenAuth auth;
      auth.token.file = settings.credential_file;
      config.server.auth = auth;
    }
    auto provider = providers::MakeKubernetesProvider(config, settings.io->context(),
                                                      *settings.clock, settings.io->scheduler());
    if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
    return *std::move(provider);
  }

  providers::Selection selection() const override { return {.property = "value"}; }
  size_t secrets_to_list() const override { return 1010; }  // pages of 500
  std::string UnknownVersion() const override { return "1"; }

  std::string Put(const std::string& key, std::string_view value) override {
    return server_->PutSecret(kNamespace, key, {{"value", std::string(value)}});
  }
  void Remove(const std::string& key) override { server_->DeleteSecret(kNamespace, key); }
  // RBAC only grants; that a Secret which was not granted is denied is tested in
  // tests/integration/kubernetes. Here the proxy says what the server would.
  void Deny(const std::string& key) override { denied_.insert(key); }
  void PrepareProxy(fakes::FaultProxy& proxy) override {
    proxy.AddRule([denied = denied_](const fakes::FaultProxy::Request& request)
                      -> std::optional<fakes::FaultProxy::Fault> {
      for (const std::string& key : denied) {
        if (request.target == PathOf(key)) return fakes::FaultProxy::Fault{.instead = Forbidden()};
      }
      return std::nullopt;
    });
  }

  bool IsRead(const fakes::FaultProxy::Request& request, const std::string& key) const override {
    return request.method == "GET" && request.target == PathOf(key);
  }

  // Tokens are bound to their account: one made anew has others.
  void ExpireCredentials() override {
    // One that the server has just taken, so that what it takes it for ends later than of others.
    const std::string old = server_->TokenOf(kNamespace, kAccount);
    (void)server_->Call("GET", "/version", nullptr, "application/json", old);
    DeleteAccount(kAccount);
    server_->CreateServiceAccount(kNamespace, kAccount);
    WaitUntilRefused(old);
  }
  void ReplaceCredentials(const std::string& path) override {
    const std::string before = Format("file-{}", file_accounts_++);
    const std::string account = Format("file-{}", file_accounts_);
    MakeAccount(account);
    std::ofstream(path + ".new") << server_->TokenOf(kNamespace, account);
    std::string old;
    if (std::filesystem::exists(path)) std::ifstream(path) >> old;
    std::filesystem::rename(path + ".new", path);
    if (old.empty()) return;
    DeleteAccount(before);
    WaitUntilRefused(old);
  }

 private:
  static std::string PathOf(const std::string& key) {
    return Format("/api/v1/namespaces/{}/secrets/{}", kNamespace, key);
  }
  static fakes::FaultProxy::Reply Forbidden() {
    return {.status = 403,
            .headers = {{"Content-Type", "application/json"}},
            .body = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
                    R"("message":"secrets is forbidden","reason":"Forbidden","code":403})"};
  }

  providers::TlsConfig DirectTls() const {
    providers::TlsConfig tls;
    tls.ca_bundle = server_->authority().certificate();
    return tls;
  }

  void MakeAccount(const std::string& name) {
    server_->CreateServiceAccount(kNamespace, name);
    server_->Grant(
        kNamespace, Format("system:serviceaccount:{}:{}", kNamespace, name),
        {{{"apiGroups", {""}}, {"resources", {"secrets"}}, {"verbs", {"get", "list", "watch"}}}});
  }
  void DeleteAccount(const std::string& name) {
    (void)server_->Call("DELETE",
                        Format("/api/v1/namespaces/{}/serviceaccounts/{}", kNamespace, name));
  }
  // The server believes a token for some seconds more.
  void WaitUntilRefused(const std::string& token) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (server_->Call("GET", "/version", nullptr, "application/json", token).status != 401) {
      if (std::chrono::steady_clock::now() > end) {
        throw std::runtime_error("Kubernetes goes on taking a token whose account is gone");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  std::unique_ptr<KubernetesServer> server_;
  std::set<std::string> denied_;
  int file_accounts_ = 0;
};

}  // namespace

StoreKind KubernetesStoreKind() {
  StoreKind kind;
  kind.name = "kubernetes";
  kind.server = "the API server and etcd";
  kind.not_applicable["version_pinned"] = "Kubernetes keeps the newest version of a Secret only";
  kind.start = [] { return std::make_unique<KubernetesStoreUnderTest>(); };
  return kind;
}

}  // namespace secretfs::conformance
