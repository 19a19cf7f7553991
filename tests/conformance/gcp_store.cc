#include "tests/conformance/gcp_store.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/text.h"
#include "providers/gcp/gcp_provider.h"
#include "tests/fakes/gcp_cloud.h"

namespace secretfs::conformance {
namespace {

constexpr char kParent[] = "projects/demo";
constexpr char kReader[] = "reader@demo.iam.gserviceaccount.com";
constexpr char kFileReader[] = "file-reader@demo.iam.gserviceaccount.com";

class GcpStoreUnderTest final : public StoreUnderTest {
 public:
  GcpStoreUnderTest() : key_(cloud_.identity().MakeServiceAccountKey(kReader)) {
    for (const char* account : {kReader, kFileReader}) {
      cloud_.secrets().SetRole(std::string("serviceAccount:") + account,
                               fakes::GcpSecretManager::Role::kAdmin);
    }
    cloud_.secrets().SetPageLimit(10);
  }

  std::string address() const override { return cloud_.url(); }

  std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) override {
    providers::GcpStoreConfig config;
    config.project_id = "demo";
    config.tls = settings.tls;
    config.endpoints.secret_manager = settings.server.empty() ? address() : settings.server;
    providers::GcpSecretRefAuth auth;
    if (settings.credential_file.empty()) {
      auth.secret_access_key.inline_value =
          std::make_shared<const SecretBytes>(SecretBytes::CopyOf(key_));
    } else {
      auth.secret_access_key.file = settings.credential_file;
    }
    config.auth = auth;
    auto provider = providers::MakeGcpProvider(config, settings.io->context(), *settings.clock,
                                               settings.io->scheduler());
    if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
    return *std::move(provider);
  }

  std::string Put(const std::string& key, std::string_view value) override {
    return cloud_.secrets().Put(kParent, key, value);
  }
  void Remove(const std::string& key) override { cloud_.secrets().Delete(kParent, key); }
  void Deny(const std::string& key) override { cloud_.secrets().Deny(key); }

  void ExpireCredentials() override { cloud_.identity().EndTokens(); }
  void ReplaceCredentials(const std::string& path) override {
    cloud_.identity().DeleteKeys(kFileReader);
    cloud_.identity().EndTokens();
    std::ofstream(path + ".new") << cloud_.identity().MakeServiceAccountKey(kFileReader);
    std::filesystem::rename(path + ".new", path);
  }

  bool IsRead(const fakes::FaultProxy::Request& request, const std::string& key) const override {
    return request.target.find(Format("/secrets/{}/versions/", key)) != std::string::npos &&
           request.target.ends_with(":access");
  }
  fakes::FaultProxy::Reply Throttled(
      std::optional<std::chrono::seconds> retry_after) const override {
    fakes::FaultProxy::Reply reply;
    reply.status = 429;
    reply.headers = {{"Content-Type", "application/json; charset=UTF-8"}};
    if (retry_after) reply.headers.emplace_back("Retry-After", Format("{}", retry_after->count()));
    reply.body = R"({"error": {"code": 429, "message": "Quota exceeded for quota metric.",
      "status": "RESOURCE_EXHAUSTED", "details": [{"reason": "RATE_LIMIT_EXCEEDED",
      "@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com"}]}})";
    return reply;
  }

 private:
  fakes::GcpCloud cloud_;
  const std::string key_;
};

}  // namespace

StoreKind GcpStoreKind() {
  StoreKind kind;
  kind.name = "gcp";
  kind.server = "a fake that Google's client uses";
  kind.not_applicable["value_1m"] = "a version has at most 64 KiB";
  kind.start = [] { return std::make_unique<GcpStoreUnderTest>(); };
  return kind;
}

}  // namespace secretfs::conformance
