#include "tests/integration/kubernetes/kubernetes_fixture.h"

#include <algorithm>
#include <atomic>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "absl/time/time.h"
#include "base/text.h"
#include "providers/kubernetes/kubernetes_provider.h"

namespace secretfs::testing {

using providers::KubernetesStoreConfig;
using providers::ListEntry;
using providers::ListPage;
using providers::Provider;
using providers::SecretPtr;
using providers::SecretRef;

RunningWatch::RunningWatch(IoThread& io, std::shared_ptr<Provider> provider, std::string prefix)
    : io_(io) {
  const auto state = state_;
  providers::ChangeCallback changed = [state](const providers::ChangeSet& changes) {
    absl::MutexLock lock(&state->mutex);
    if (changes.everything) state->reports.push_back("*");
    state->reports.insert(state->reports.end(), changes.keys.begin(), changes.keys.end());
    state->changed.SignalAll();
  };
  io_.RunAndWait([&] {
    asio::co_spawn(io_.context(), provider->Watch(std::move(prefix), std::move(changed)),
                   asio::bind_cancellation_slot(
                       cancel_.slot(),
                       [state, provider](const std::exception_ptr& thrown, absl::Status status) {
                         absl::MutexLock lock(&state->mutex);
                         state->ended = thrown ? absl::InternalError("thrown") : status;
                         state->changed.SignalAll();
                       }));
  });
}

RunningWatch::~RunningWatch() {
  io_.RunAndWait([this] { cancel_.emit(asio::cancellation_type::terminal); });
  absl::MutexLock lock(&state_->mutex);
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!state_->ended.has_value() && !state_->changed.WaitWithDeadline(&state_->mutex, end)) {
  }
  EXPECT_TRUE(state_->ended.has_value()) << "a cancelled watch goes on";
}

std::vector<std::string> RunningWatch::Reports() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->reports;
}

bool RunningWatch::WaitForReports(size_t count, std::chrono::milliseconds limit) const {
  absl::MutexLock lock(&state_->mutex);
  const absl::Time end = absl::Now() + absl::FromChrono(limit);
  while (state_->reports.size() < count) {
    if (state_->changed.WaitWithDeadline(&state_->mutex, end)) return false;
  }
  return true;
}

std::optional<absl::Status> RunningWatch::Ended() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->ended;
}

KubernetesServer* KubernetesTest::server_ = nullptr;

void KubernetesTest::SetUpTestSuite() {
  if (server_ == nullptr) server_ = KubernetesServer::Start().release();
}

void KubernetesTest::TearDownTestSuite() {
  delete server_;
  server_ = nullptr;
}

void KubernetesTest::SetUp() {
  static std::atomic<int> number = 0;
  name_space_ = Format("test-{}", ++number);
  server().CreateNamespace(name_space_);
  io_.Start();
}

void KubernetesTest::TearDown() {
  io_.Stop();
  if (HasFailure()) std::cerr << "the end of the server's log:\n" << server().LogEnd();
}

KubernetesStoreConfig KubernetesTest::Config() const { return Config(server().admin_token()); }

KubernetesStoreConfig KubernetesTest::Config(const std::string& token) const {
  KubernetesStoreConfig config;
  config.server.url = server().address();
  config.server.tls.ca_bundle = server().authority().certificate();
  config.server.auth = providers::KubernetesTokenAuth{Inline(token)};
  config.remote_namespace = name_space_;
  return config;
}

std::shared_ptr<Provider> KubernetesTest::Make(const KubernetesStoreConfig& config) {
  auto provider = providers::MakeKubernetesProvider(config, io_.context(), clock_, io_.scheduler());
  if (!provider.ok()) throw std::runtime_error(provider.status().ToString());
  // A provider belongs to the I/O thread, where it also has to go.
  Provider* raw = provider->get();
  return {raw, [this, owner = *std::move(provider)](Provider*) mutable {
            io_.Post([owner = std::move(owner)] {});
          }};
}

providers::RequestContext KubernetesTest::Deadline() const {
  return {clock_.Now() + std::chrono::seconds(20)};
}

absl::StatusOr<SecretPtr> KubernetesTest::Fetch(Provider& provider, const std::string& key,
                                                const std::string& version) {
  std::vector<SecretRef> refs = {{key, version}};
  auto results = Await(provider.Fetch(std::move(refs), Deadline()));
  return std::move(results.at(0));
}

std::string KubernetesTest::List(Provider& provider) {
  std::vector<std::string> names;
  std::string page;
  do {
    const absl::StatusOr<ListPage> list = Await(provider.List("", page, Deadline()));
    if (!list.ok()) return list.status().ToString();
    for (const ListEntry& entry : list->entries) {
      names.push_back(entry.name + (entry.is_secret && !entry.is_prefix ? "" : "?"));
    }
    page = list->next_page;
  } while (!page.empty());
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

absl::Status KubernetesTest::CheckLogin(Provider& provider) {
  return Await(provider.CheckLogin(Deadline()));
}

std::string KubernetesTest::UserOf(const std::string& service_account) const {
  return Format("system:serviceaccount:{}:{}", name_space_, service_account);
}

nlohmann::json KubernetesTest::SecretRule(const std::vector<std::string>& verbs,
                                          const std::vector<std::string>& names) {
  nlohmann::json rule = {{"apiGroups", {""}}, {"resources", {"secrets"}}, {"verbs", verbs}};
  if (!names.empty()) rule["resourceNames"] = names;
  return nlohmann::json::array({rule});
}

providers::CredentialSource KubernetesTest::Inline(std::string_view value) {
  providers::CredentialSource source;
  source.inline_value = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value));
  return source;
}

providers::CredentialSource KubernetesTest::File(const std::string& path) {
  providers::CredentialSource source;
  source.file = path;
  return source;
}

std::string KubernetesTest::Field(const absl::StatusOr<SecretPtr>& secret,
                                  const std::string& name) {
  if (!secret.ok()) return secret.status().ToString();
  const auto field = (*secret)->fields.find(name);
  return field == (*secret)->fields.end() ? "(no such field)"
                                          : std::string(field->second.ExposeAsText());
}

bool KubernetesTest::Eventually(const std::function<bool()>& condition,
                                std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace secretfs::testing
