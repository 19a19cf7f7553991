// Our signatures and endpoints against those that AWS's own SDK makes, computed while the test
// runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "base/text.h"
#include "providers/auth/sigv4.h"
#include "providers/aws/aws_response.h"
#include "providers/aws/endpoints.h"
#include "tests/integration/aws/moto_server.h"

namespace secretfs::testing {
namespace {

using providers::HttpRequest;

std::vector<nlohmann::json> Lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::string HeaderOf(const HttpRequest& request, std::string_view wanted) {
  for (const auto& [name, value] : request.headers) {
    if (name == wanted) return std::string(value.ExposeAsText());
  }
  return "";
}

TEST(AwsSigning, AgreesWithBotocore) {
  // SECRETFS_SEED tries other requests; a failure names its own.
  const char* given = std::getenv("SECRETFS_SEED");
  const std::string seed = given == nullptr ? "20261124" : given;
  const auto vectors = Lines(RunPython("signing_vectors.py", {"sign", seed, "400"}));
  ASSERT_EQ(vectors.size(), 400u);
  for (const auto& vector : vectors) {
    HttpRequest request;
    request.method = vector["method"];
    request.url = vector["url"];
    for (const auto& header : vector["headers"]) {
      request.headers.emplace_back(header[0].get<std::string>(),
                                   SecretBytes::CopyOf(header[1].get<std::string>()));
    }
    auto body = providers::aws::DecodeBase64(vector["body"].get<std::string>());
    ASSERT_TRUE(body.has_value());
    request.body = *std::move(body);
    providers::AwsCredentials credentials;
    credentials.access_key_id = vector["key"];
    credentials.secret_access_key = SecretBytes::CopyOf(vector["secret"].get<std::string>());
    credentials.session_token = SecretBytes::CopyOf(vector["token"].get<std::string>());
    const std::string region = vector["region"], service = vector["service"];
    const WallTime now{std::chrono::seconds(vector["second"].get<int64_t>())};
    for (int round = 0; round < 2; ++round) {  // signing again replaces the first signature
      ASSERT_TRUE(providers::SignAwsRequest(request, credentials, {region, service}, now).ok());
      ASSERT_EQ(HeaderOf(request, "Authorization"), vector["authorization"].get<std::string>())
          << "seed " << seed << ": " << vector.dump().substr(0, 2000);
      ASSERT_EQ(HeaderOf(request, "X-Amz-Date"), vector["date"].get<std::string>());
      ASSERT_EQ(HeaderOf(request, "X-Amz-Security-Token"), vector["token"].get<std::string>());
    }
  }
}

TEST(AwsSigning, EndpointsAreBotocores) {
  const auto vectors = Lines(RunPython("signing_vectors.py", {"endpoints"}));
  ASSERT_GT(vectors.size(), 400u);
  for (const auto& vector : vectors) {
    const auto endpoint = providers::aws::EndpointOf(
        vector["service"].get<std::string>(), vector["region"].get<std::string>(),
        {.fips = vector["fips"].get<bool>(), .dual_stack = vector["dual_stack"].get<bool>()});
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(*endpoint, vector["url"].get<std::string>()) << vector.dump();
  }
}

}  // namespace
}  // namespace secretfs::testing
