#pragma once

// A GoogleTest fixture: the fake of Azure with Microsoft's clients, an I/O thread, and providers
// whose coroutines are awaited from the test's thread.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "base/io_thread.h"
#include "providers/provider.h"
#include "tests/integration/azure/azure_cloud.h"

namespace secretfs::testing {

class AzureTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  AzureCloud& cloud() { return *cloud_; }
  providers::AzureStoreConfig Config() const { return cloud_->Config(); }
  std::shared_ptr<providers::Provider> Make(const providers::AzureStoreConfig& config);

  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return asio::co_spawn(io_.context(), std::move(coroutine), asio::use_future).get();
  }
  absl::StatusOr<providers::SecretPtr> Fetch(providers::Provider& provider, const std::string& key,
                                             const std::string& version = {});
  // The value, or the status.
  std::string Read(providers::Provider& provider, const std::string& key,
                   const std::string& version = {});
  // The names of all pages in their order, joined by ", "; or the status.
  std::string List(providers::Provider& provider, const std::string& prefix);
  absl::Status CheckLogin(providers::Provider& provider);
  providers::RequestContext Deadline() const;

  static providers::CredentialSource Inline(std::string_view value);
  static providers::CredentialSource File(const std::string& path);
  // Writes it as other programs replace files: beside it, then renamed. The file's path.
  std::string ReplaceFile(const std::string& name, std::string_view text) const;
  std::string ReadFile(const std::string& path) const;

  IoThread io_;
  SystemClock clock_;

 private:
  std::unique_ptr<AzureCloud> cloud_;
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
