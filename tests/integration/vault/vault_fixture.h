#pragma once

// A GoogleTest fixture: a Vault server, an I/O thread, and providers whose coroutines are awaited
// from the test's thread.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/io_thread.h"
#include "providers/provider.h"
#include "providers/store_config.h"
#include "tests/integration/vault/vault_server.h"

namespace secretfs::testing {

class VaultTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  virtual VaultServerOptions ServerOptions() { return {}; }
  VaultServer& vault() { return *server_; }
  std::unique_ptr<VaultServer>& server() { return server_; }

  // A store at the server with this token given inline, or root's.
  providers::VaultStoreConfig Config(const std::string& mount, const std::string& token = {}) const;
  std::shared_ptr<providers::Provider> Make(const providers::VaultStoreConfig& config);

  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return asio::co_spawn(io_.context(), std::move(coroutine), asio::use_future).get();
  }

  absl::StatusOr<providers::SecretPtr> Fetch(providers::Provider& provider, const std::string& key,
                                             const std::string& version = {});
  // "name", "name/" for a prefix, "name name/" for both; sorted, joined by ", "; or the status.
  std::string List(providers::Provider& provider, const std::string& prefix);
  absl::Status CheckLogin(providers::Provider& provider);
  void Close(providers::Provider& provider);
  providers::RequestContext Deadline() const;

  // Writes `text` as other programs replace files: beside it, then renamed.
  std::string ReplaceFile(const std::string& name, std::string_view text);

  static providers::CredentialSource Inline(std::string_view value);
  static std::string Text(const SecretBytes& bytes) { return std::string(bytes.ExposeAsText()); }
  // The field's text, or the status.
  static std::string Field(const absl::StatusOr<providers::SecretPtr>& secret,
                           const std::string& name);
  // True within `limit` as soon as `condition` is.
  static bool Eventually(const std::function<bool()>& condition,
                         std::chrono::milliseconds limit = std::chrono::seconds(15));

  IoThread io_;
  SystemClock clock_;

 private:
  std::unique_ptr<VaultServer> server_;
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
