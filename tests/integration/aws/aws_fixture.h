#pragma once

// A GoogleTest fixture: moto, one for all tests of a program (each test has names of its own), an
// I/O thread, and providers whose coroutines are awaited from the test's thread.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/io_thread.h"
#include "providers/aws/aws_provider.h"
#include "tests/integration/aws/moto_server.h"

namespace secretfs::testing {

class AwsTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  static MotoServer& moto();

  // A store at moto, with an access key given inline. What the surroundings have is in `variables`.
  providers::AwsStoreConfig Config(providers::AwsService service);
  std::shared_ptr<providers::Provider> Make(const providers::AwsStoreConfig& config);
  std::shared_ptr<providers::Provider> Secrets() {
    return Make(Config(providers::AwsService::kSecretsManager));
  }
  std::shared_ptr<providers::Provider> Parameters() {
    return Make(Config(providers::AwsService::kParameterStore));
  }

  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    return asio::co_spawn(io_.context(), std::move(coroutine), asio::use_future).get();
  }

  using Result = absl::StatusOr<providers::SecretPtr>;
  std::vector<Result> FetchAll(providers::Provider& provider,
                               std::vector<providers::SecretRef> refs);
  Result Fetch(providers::Provider& provider, const std::string& key,
               const std::string& version = {});
  // The value, or the status.
  static std::string Text(const Result& result);
  // All pages: "name", "name/" for a prefix, "name name/" for both; sorted, joined by ", "; or the
  // status. The number of pages goes to `pages`.
  std::string List(providers::Provider& provider, const std::string& prefix, int* pages = nullptr);
  providers::RequestContext Deadline() const;

  std::string WriteFile(const std::string& name, std::string_view text);
  static providers::CredentialSource Inline(std::string_view value);

  // By boto3.
  static std::string Create(const std::string& name, const std::string& value,
                            const std::string& region = MotoServer::kRegion);
  static std::string Update(const std::string& name, const std::string& value);
  static int PutParameter(const std::string& name, const std::string& value,
                          const std::string& type = "SecureString");

  IoThread io_;
  SystemClock clock_;
  std::filesystem::path folder_;
  std::map<std::string, std::string> variables_;
  std::string metadata_endpoint_ = "http://127.0.0.1:1";  // where nobody listens
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
