#pragma once

// A GoogleTest fixture: one API server for all tests of a program, an I/O thread and a namespace
// for each test, and providers whose coroutines are awaited from the test's thread.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/io_thread.h"
#include "providers/kubernetes/kubernetes_config.h"
#include "providers/provider.h"
#include "tests/integration/kubernetes/kubernetes_server.h"

namespace secretfs::testing {

// A watch that runs until it is dropped, and what it has reported. REQUIRES: dropped before its
// provider and the I/O thread.
class RunningWatch {
 public:
  RunningWatch(IoThread& io, std::shared_ptr<providers::Provider> provider, std::string prefix);
  ~RunningWatch();
  RunningWatch(const RunningWatch&) = delete;
  RunningWatch& operator=(const RunningWatch&) = delete;

  // Keys in the order of the reports; "*" for everything.
  std::vector<std::string> Reports() const;
  // False when `limit` passes without so many reports.
  bool WaitForReports(size_t count,
                      std::chrono::milliseconds limit = std::chrono::seconds(20)) const;
  // What it ended with; nothing while it runs.
  std::optional<absl::Status> Ended() const;

 private:
  struct State {
    mutable absl::Mutex mutex;
    mutable absl::CondVar changed;
    std::vector<std::string> reports ABSL_GUARDED_BY(mutex);
    std::optional<absl::Status> ended ABSL_GUARDED_BY(mutex);
  };
  IoThread& io_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  asio::cancellation_signal cancel_;
};

class KubernetesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  static KubernetesServer& server() { return *server_; }
  const std::string& name_space() const { return name_space_; }  // new for each test

  // A store in the test's namespace, asked as the administrator.
  providers::KubernetesStoreConfig Config() const;
  // The same asked with this token.
  providers::KubernetesStoreConfig Config(const std::string& token) const;
  std::shared_ptr<providers::Provider> Make(const providers::KubernetesStoreConfig& config);

  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return asio::co_spawn(io_.context(), std::move(coroutine), asio::use_future).get();
  }

  absl::StatusOr<providers::SecretPtr> Fetch(providers::Provider& provider, const std::string& key,
                                             const std::string& version = {});
  // The names of all pages, sorted, joined by ", "; or the status.
  std::string List(providers::Provider& provider);
  absl::Status CheckLogin(providers::Provider& provider);
  providers::RequestContext Deadline() const;

  // The user's name of a service account.
  std::string UserOf(const std::string& service_account) const;
  static nlohmann::json SecretRule(const std::vector<std::string>& verbs,
                                   const std::vector<std::string>& names = {});

  static providers::CredentialSource Inline(std::string_view value);
  static providers::CredentialSource File(const std::string& path);
  // The field's text, or the status.
  static std::string Field(const absl::StatusOr<providers::SecretPtr>& secret,
                           const std::string& name);
  // True within `limit` as soon as `condition` is.
  static bool Eventually(const std::function<bool()>& condition,
                         std::chrono::milliseconds limit = std::chrono::seconds(20));

  IoThread io_;
  SystemClock clock_;

 private:
  static KubernetesServer* server_;
  std::string name_space_;
};

// Statuses by code: EXPECT_THAT(result, HasCode(absl::StatusCode::kNotFound)).
MATCHER_P(HasCode, code, "") {
  const absl::Status status = [](const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, absl::Status>) {
      return value;
    } else {
      return value.status();
    }
  }(arg);
  *result_listener << status.ToString();
  return status.code() == code;
}

}  // namespace secretfs::testing
