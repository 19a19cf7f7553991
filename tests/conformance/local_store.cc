#include "tests/conformance/local_store.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "base/text.h"
#include "providers/local/local_provider.h"
#include "providers/local/local_store.h"

namespace secretfs::conformance {
namespace {

namespace local = providers::local;

void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

class LocalStoreUnderTest final : public StoreUnderTest {
 public:
  LocalStoreUnderTest() {
    char name[] = "/tmp/secretfs-conformance-local.XXXXXX";
    folder_ = ::mkdtemp(name);
    config_.path = folder_ / "store.sfs";
    config_.key.key_file = folder_ / "store.sfs.key";
    Check(local::CreateKeyFile(config_.key.key_file));
    local::KeySource source(config_.key);
    const absl::StatusOr<local::MasterKey> key = source.ForNewStore();
    Check(key.status());
    Check(local::LocalStore::Create(config_.path, *key, 10));
  }
  ~LocalStoreUnderTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::shared_ptr<providers::Provider> MakeProvider(const ProviderSettings& settings) override {
    providers::LocalStoreConfig config = config_;
    if (!settings.credential_file.empty()) config.key.key_file = settings.credential_file;
    return providers::MakeLocalProvider(config, settings.io->context(), *settings.clock);
  }

  std::string Put(const std::string& key, std::string_view value) override {
    Check(Store().Update([&](local::StoreTransaction& transaction) {
      return transaction.Put(key, SecretBytes::CopyOf(value));
    }));
    const auto snapshot = Store().Read();
    Check(snapshot.status());
    return std::to_string((*snapshot)->Find(key)->versions.back().number);
  }
  void Remove(const std::string& key) override {
    Check(Store().Update(
        [&](local::StoreTransaction& transaction) { return transaction.Remove(key); }));
  }
  void Deny(const std::string& key) override { (void)key; }

  void ReplaceCredentials(const std::string& path) override {
    if (!std::filesystem::exists(path)) {
      std::filesystem::copy_file(config_.key.key_file, path);
      return;
    }
    Check(Store().ReplaceKey(path));
    std::filesystem::copy_file(path, config_.key.key_file,
                               std::filesystem::copy_options::overwrite_existing);
  }

 private:
  local::LocalStore Store() {
    return local::LocalStore(config_.path, local::KeySource(config_.key), clock_);
  }

  SystemClock clock_;
  std::filesystem::path folder_;
  providers::LocalStoreConfig config_;
};

}  // namespace

StoreKind LocalStoreKind() {
  StoreKind kind;
  kind.name = "local";
  kind.server = "its own files";
  const std::string no_network = "a file on this machine: no network";
  for (const char* name :
       {"throttled_retry_after", "throttled", "throttled_for_ever", "slow_first_byte", "slow_body",
        "cut_mid_body", "cut_every_time", "over_limit", "wrong_content_type", "invalid_utf8",
        "redirect", "environment_proxy", "tls_expired", "tls_self_signed"}) {
    kind.not_applicable[name] = no_network;
  }
  kind.not_applicable["one_of_many_denied"] = "who may read the file reads every secret in it";
  kind.not_applicable["credentials_expire"] = "a key does not expire";
  kind.start = [] { return std::make_unique<LocalStoreUnderTest>(); };
  return kind;
}

}  // namespace secretfs::conformance
