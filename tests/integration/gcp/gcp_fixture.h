#pragma once

// A GoogleTest fixture: the fake of Google Cloud, an I/O thread, a folder for credentials files,
// and providers whose coroutines are awaited from the test's thread.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/io_thread.h"
#include "providers/gcp/gcp_config.h"
#include "providers/provider.h"
#include "tests/fakes/gcp_cloud.h"

namespace secretfs::testing {

inline constexpr char kReader[] = "reader@demo.iam.gserviceaccount.com";
inline constexpr char kParent[] = "projects/demo";

class GcpTest : public ::testing::Test {
 protected:
  GcpTest();
  ~GcpTest() override;

  fakes::GcpIdentity& identity() { return cloud_.identity(); }
  fakes::GcpSecretManager& secrets() { return cloud_.secrets(); }

  // A store of the project "demo" at the fake, as the service account kReader with the one key that
  // this makes, who may do everything.
  providers::GcpStoreConfig Config();
  std::shared_ptr<providers::Provider> Make(const providers::GcpStoreConfig& config);

  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return asio::co_spawn(io_.context(), std::move(coroutine), asio::use_future).get();
  }

  absl::StatusOr<providers::SecretPtr> Fetch(providers::Provider& provider, const std::string& key,
                                             const std::string& version = {});
  // The value, or the status.
  std::string Value(providers::Provider& provider, const std::string& key,
                    const std::string& version = {});
  // All pages: the names joined by ", ", with the number of pages in front; or the status.
  std::string List(providers::Provider& provider, const std::string& prefix = {});
  absl::Status CheckLogin(providers::Provider& provider);
  providers::RequestContext Deadline() const;

  // Writes `text` as other programs replace files: beside it, then renamed. Returns the path.
  std::string WriteFile(const std::string& name, std::string_view text) const;
  static providers::CredentialSource Inline(std::string_view value);
  static providers::CredentialSource File(const std::string& path);
  static std::string Text(const SecretBytes& bytes) { return std::string(bytes.ExposeAsText()); }

  std::string key_;  // kReader's
  fakes::GcpCloud cloud_;
  IoThread io_;
  SystemClock clock_;
  std::filesystem::path folder_;
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
