#pragma once

// One case while it runs: an I/O thread, a fault proxy before the store, and a cache over the
// store's provider, through which everything is read as a mount reads it. Failures are GoogleTest's
// (EXPECT_…). Not thread-safe.

#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/io_thread.h"
#include "base/random.h"
#include "cache/cache.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/store_under_test.h"
#include "tests/fakes/fault_proxy.h"
#include "tests/fakes/test_certificates.h"

namespace secretfs::conformance {

// Part of every value that the suite writes and of every answer that it makes up: no error may
// quote it.
inline constexpr std::string_view kMarker = "planted-word";

// What a read came to.
struct Outcome {
  absl::Status status;
  std::string value;
  int error = 0;  // as a reader of a file gets it
  std::chrono::milliseconds took{0};
};

// The system's clock, with the wall clock wrong by so much.
class SkewedClock final : public Clock {
 public:
  explicit SkewedClock(Duration skew = Duration(0)) : skew_(skew) {}
  MonotonicTime Now() const override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() const override { return std::chrono::system_clock::now() + skew_; }

 private:
  const Duration skew_;
};

class CaseRun {
 public:
  CaseRun(StoreUnderTest& store, const Case& the_case);
  ~CaseRun();
  CaseRun(const CaseRun&) = delete;
  CaseRun& operator=(const CaseRun&) = delete;

  StoreUnderTest& store() { return store_; }
  // The case's own key: its name, and `more`.
  std::string Key(const std::string& more = {}) const;
  // The value of that text that the suite writes: with the marker.
  static std::string Value(std::string_view text);

  // --- before the first read

  cache::Policy policy;  // starts with a deadline of 20 s
  Duration clock_skew{0};
  std::string credential_file;
  // The proxy shows this certificate, and the provider trusts authority().
  void UseTls(fakes::CertificateAndKey identity) { identity_ = std::move(identity); }
  // The provider asks the server itself.
  void WithoutFaultProxy() { direct_ = true; }
  fakes::TestAuthority& authority() { return authority_; }
  std::filesystem::path folder() const { return folder_; }

  // --- on the wire

  // REQUIRES: the store has a network.
  fakes::FaultProxy& proxy();
  // Does this to reads of `key`: to the first `times` of them, or to all.
  void AddFault(const std::string& key, fakes::FaultProxy::Fault fault, int times = -1);
  // How many reads of `key` the proxy has seen.
  size_t ReadsOf(const std::string& key);

  // --- reading

  Outcome Read(const std::string& key, const std::string& version = {});
  std::vector<Outcome> ReadTogether(const std::vector<std::string>& keys);
  Outcome Refresh(const std::string& key);
  // One page of the provider's own listing at the store's prefix.
  absl::StatusOr<providers::ListPage> List(const std::string& page);

  // --- checking

  // The reader got the value, or the case's errno.
  void ExpectValue(const Outcome& outcome, std::string_view value);
  void ExpectError(const Outcome& outcome);
  // True within `limit` as soon as `condition` is.
  static bool Eventually(const std::function<bool()>& condition,
                         std::chrono::milliseconds limit = std::chrono::seconds(15));

 private:
  void Connect();
  cache::EntryKey EntryFor(const std::string& key, const std::string& version);
  Outcome OutcomeOf(absl::StatusOr<cache::EntrySnapshot> result,
                    std::chrono::steady_clock::time_point begin);

  StoreUnderTest& store_;
  const Case& case_;
  fakes::TestAuthority authority_;
  std::optional<fakes::CertificateAndKey> identity_;
  bool direct_ = false;
  std::filesystem::path folder_;
  std::unique_ptr<fakes::FaultProxy> proxy_;
  std::unique_ptr<SkewedClock> clock_;
  IoThread io_;
  SystemRandom random_;
  std::shared_ptr<providers::Provider> provider_;
  std::unique_ptr<cache::Cache> cache_;
  cache::StoreId id_{};
  std::map<cache::EntryKey, cache::Interest> interests_;
};

}  // namespace secretfs::conformance
