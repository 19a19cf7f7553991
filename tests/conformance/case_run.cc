#include "tests/conformance/case_run.h"

#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "base/errno_table.h"
#include "base/status.h"
#include "base/text.h"

namespace secretfs::conformance {

using fakes::FaultProxy;
using std::chrono::steady_clock;

FaultProxy::Reply StoreUnderTest::Throttled(std::optional<std::chrono::seconds> retry_after) const {
  FaultProxy::Reply reply;
  reply.status = 429;
  reply.headers = {{"Content-Type", "application/json"}};
  reply.body = "{}";
  if (retry_after.has_value()) {
    reply.headers.emplace_back("Retry-After", std::to_string(retry_after->count()));
  }
  return reply;
}

CaseRun::CaseRun(StoreUnderTest& store, const Case& the_case) : store_(store), case_(the_case) {
  policy.deadline = std::chrono::seconds(20);
  char name[] = "/tmp/secretfs-conformance.XXXXXX";
  folder_ = ::mkdtemp(name);
  io_.Start();
}

CaseRun::~CaseRun() {
  if (proxy_ != nullptr) proxy_->Release();
  if (cache_ != nullptr) {
    interests_.clear();
    std::promise<void> done;
    cache_->Shutdown(std::chrono::seconds(2), [&done] { done.set_value(); });
    done.get_future().wait();
  }
  io_.Stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string CaseRun::Key(const std::string& more) const {
  std::string name = case_.name;
  for (char& c : name) {
    if (c == '_') c = '-';
  }
  return store_.Key(more.empty() ? name : name + "-" + more);
}

std::string CaseRun::Value(std::string_view text) { return Format("{} {}", kMarker, text); }

FaultProxy& CaseRun::proxy() {
  if (proxy_ == nullptr) {
    const bool tls = store_.address().starts_with("https://");
    if (tls && !identity_.has_value()) identity_ = authority_.Issue("store");
    proxy_ = std::make_unique<FaultProxy>(store_.address(), identity_);
    store_.PrepareProxy(*proxy_);
  }
  return *proxy_;
}

void CaseRun::AddFault(const std::string& key, FaultProxy::Fault fault, int times) {
  // Rules run on the proxy's thread only, one at a time.
  auto left = std::make_shared<int>(times);
  proxy().AddRule([this, key, fault = std::move(fault),
                   left](const FaultProxy::Request& request) -> std::optional<FaultProxy::Fault> {
    if (*left == 0 || !store_.IsRead(request, key)) return std::nullopt;
    if (*left > 0) --*left;
    return fault;
  });
}

size_t CaseRun::ReadsOf(const std::string& key) {
  size_t count = 0;
  for (const FaultProxy::Request& request : proxy().requests()) {
    count += store_.IsRead(request, key) ? 1 : 0;
  }
  return count;
}

void CaseRun::Connect() {
  if (cache_ != nullptr) return;
  clock_ = std::make_unique<SkewedClock>(clock_skew);
  ProviderSettings settings;
  settings.io = &io_;
  settings.clock = clock_.get();
  settings.credential_file = credential_file;
  if (!store_.address().empty() && !direct_) {
    settings.server = proxy().address();
    if (identity_.has_value()) settings.tls.ca_bundle = authority_.certificate();
  }
  provider_ = store_.MakeProvider(settings);
  cache_ = std::make_unique<cache::Cache>(cache::CacheOptions(), io_.context(), *clock_,
                                          io_.scheduler(), random_);
  cache::StoreSettings store;
  store.name = "store";
  store.identity = "reader";
  store.provider = provider_;
  id_ = cache_->AddStore(std::move(store));
}

cache::EntryKey CaseRun::EntryFor(const std::string& key, const std::string& version) {
  Connect();
  cache::EntryKey entry{id_, {key, version}};
  if (!interests_.contains(entry)) {
    interests_.emplace(entry, cache_->AddInterest(entry, policy, true, nullptr));
  }
  return entry;
}

Outcome CaseRun::OutcomeOf(absl::StatusOr<cache::EntrySnapshot> result,
                           steady_clock::time_point begin) {
  Outcome outcome;
  outcome.took = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin);
  outcome.status = result.status();
  if (result.ok() && result->secret == nullptr) {
    outcome.status = result->last_error;
  } else if (result.ok()) {
    const absl::StatusOr<SecretBytes> selected =
        providers::Select(*result->secret, store_.selection());
    outcome.status = selected.status();
    if (selected.ok()) outcome.value = selected->ExposeAsText();
  }
  outcome.error = StatusToErrno(outcome.status);
  EXPECT_EQ(MessageOf(outcome.status).find(kMarker), std::string_view::npos)
      << "an error quotes a value: " << outcome.status;
  return outcome;
}

Outcome CaseRun::Read(const std::string& key, const std::string& version) {
  const cache::EntryKey entry = EntryFor(key, version);
  const steady_clock::time_point begin = steady_clock::now();
  std::promise<absl::StatusOr<cache::EntrySnapshot>> promise;
  cache_->Read(entry, [&promise](absl::StatusOr<cache::EntrySnapshot> result) {
    promise.set_value(std::move(result));
  });
  return OutcomeOf(promise.get_future().get(), begin);
}

std::vector<Outcome> CaseRun::ReadTogether(const std::vector<std::string>& keys) {
  std::vector<cache::EntryKey> entries;
  for (const std::string& key : keys) entries.push_back(EntryFor(key, ""));
  const steady_clock::time_point begin = steady_clock::now();
  std::vector<std::promise<absl::StatusOr<cache::EntrySnapshot>>> promises(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    cache_->Read(entries[i], [&promise = promises[i]](absl::StatusOr<cache::EntrySnapshot> result) {
      promise.set_value(std::move(result));
    });
  }
  std::vector<Outcome> outcomes;
  for (auto& promise : promises) outcomes.push_back(OutcomeOf(promise.get_future().get(), begin));
  return outcomes;
}

Outcome CaseRun::Refresh(const std::string& key) {
  const cache::EntryKey entry = EntryFor(key, "");
  const steady_clock::time_point begin = steady_clock::now();
  std::promise<absl::StatusOr<cache::EntrySnapshot>> promise;
  cache_->Refresh(entry, [&promise](absl::StatusOr<cache::EntrySnapshot> result) {
    promise.set_value(std::move(result));
  });
  return OutcomeOf(promise.get_future().get(), begin);
}

absl::StatusOr<providers::ListPage> CaseRun::List(const std::string& page) {
  Connect();
  const providers::RequestContext context{clock_->Now() + std::chrono::seconds(20)};
  return asio::co_spawn(io_.context(), provider_->List(store_.ListPrefix(), page, context),
                        asio::use_future)
      .get();
}

void CaseRun::ExpectValue(const Outcome& outcome, std::string_view value) {
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  // Not EXPECT_EQ: a megabyte in a message helps nobody.
  EXPECT_TRUE(outcome.value == value)
      << "read " << outcome.value.size() << " bytes instead of " << value.size()
      << ", beginning with '" << outcome.value.substr(0, 40) << "'";
}

void CaseRun::ExpectError(const Outcome& outcome) {
  EXPECT_FALSE(outcome.status.ok()) << "read '" << outcome.value.substr(0, 40) << "'";
  const auto name = [](int error) { return error == 0 ? "no error" : strerrorname_np(error); };
  EXPECT_STREQ(name(outcome.error), name(case_.error)) << outcome.status;
}

bool CaseRun::Eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto end = steady_clock::now() + limit;
  while (!condition()) {
    if (steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace secretfs::conformance
