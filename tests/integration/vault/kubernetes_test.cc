// The Kubernetes auth method: HashiCorp's real plugin in a real Vault, with only the cluster's
// TokenReview API played by the test.

#include <openssl/evp.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/text.h"
#include "tests/fakes/http_test_server.h"
#include "tests/integration/vault/vault_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using fakes::HttpTestServer;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Base64Url(const std::string& bytes) {
  std::string text(4 * (bytes.size() / 3 + 1) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

// A service account's token as the kubelet projects it. The signature is not looked at by Vault,
// which asks the cluster; here "good" stands in its place for a token that the cluster accepts.
std::string ServiceAccountToken(const std::string& name, const std::string& signature) {
  const nlohmann::json claims = {
      {"iss", "https://kubernetes.default.svc"},
      {"sub", "system:serviceaccount:shop:" + name},
      {"aud", {"vault"}},
      {"iat", std::time(nullptr) - 5},
      {"nbf", std::time(nullptr) - 5},
      {"exp", std::time(nullptr) + 600},
      {"kubernetes.io",
       {{"namespace", "shop"}, {"serviceaccount", {{"name", name}, {"uid", "uid-of-" + name}}}}}};
  return Base64Url(R"({"alg":"RS256","typ":"JWT"})") + "." + Base64Url(claims.dump()) + "." +
         Base64Url(signature);
}

HttpTestServer::Response Review(const HttpTestServer::Request& request) {
  const auto review = nlohmann::json::parse(request.body, nullptr, false);
  const std::string token = review.is_object() ? review["spec"]["token"].get<std::string>() : "";
  const bool good = token.ends_with("." + Base64Url("good"));
  nlohmann::json status = {{"authenticated", good}};
  if (good) {
    status["user"] = {{"username", "system:serviceaccount:shop:web"},
                      {"uid", "uid-of-web"},
                      {"groups", {"system:serviceaccounts"}}};
    // The audiences that were asked about and are in the token.
    status["audiences"] = review["spec"]["audiences"];
  }
  const nlohmann::json answer = {{"apiVersion", "authentication.k8s.io/v1"},
                                 {"kind", "TokenReview"},
                                 {"metadata", nlohmann::json::object()},
                                 {"spec", {{"token", token}}},
                                 {"status", status}};
  HttpTestServer::Response response;
  response.status = 201;
  response.body = answer.dump();
  response.headers = {{"Content-Type", "application/json"}};
  return response;
}

class VaultKubernetes : public VaultTest {
 protected:
  static constexpr const char* kPlugin = "vault-plugin-auth-kubernetes";

  VaultServerOptions ServerOptions() override {
    return {.arguments = {"-dev-plugin-dir=" + (VaultPrograms() / "plugins").string(),
                          "-log-level=debug"}};
  }

  void SetUp() override {
    VaultTest::SetUp();
    vault().Write("secret/data/app", {{"data", {{"v", "x"}}}});
    vault().WritePolicy("reader", R"(path "secret/data/*" { capabilities = ["read"] })");
    vault().Write("sys/auth/cluster", {{"type", kPlugin}});
    vault().Write("auth/cluster/config",
                  {{"kubernetes_host", Format("http://127.0.0.1:{}", cluster_.port())},
                   {"token_reviewer_jwt", ServiceAccountToken("vault", "good")},
                   {"disable_local_ca_jwt", true}});
    vault().Write("auth/cluster/role/web", {{"bound_service_account_names", {"web"}},
                                            {"bound_service_account_namespaces", {"shop"}},
                                            {"audience", "vault"},
                                            {"audience", "vault"},
                                            {"token_policies", {"reader"}},
                                            {"token_ttl", "1s"},
                                            {"token_max_ttl", "1s"}});
  }

  std::shared_ptr<providers::Provider> MakeWith(const std::string& role, const std::string& file) {
    providers::VaultKubernetesAuth auth;
    auth.mount_path = "cluster";
    auth.role = role;
    auth.jwt.file = file;
    auto config = Config("secret");
    config.auth = auth;
    return Make(config);
  }

  HttpTestServer cluster_{Review};
};

TEST_F(VaultKubernetes, LogsInThroughTheClustersTokenReviewAndReadsTheFileAgain) {
  const std::string token = ServiceAccountToken("web", "good");
  const std::string file = ReplaceFile("sa-token", token);
  const auto provider = MakeWith("web", file);
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  EXPECT_GE(cluster_.request_count(), 1u);

  // The kubelet rotates the file; here to a token that the cluster refuses, then to a good one.
  const std::string bad = ServiceAccountToken("web", "bad");
  ReplaceFile("sa-token", bad);
  absl::Status failure;
  EXPECT_TRUE(Eventually([&] {
    failure = Fetch(*provider, "app").status();
    return absl::IsUnauthenticated(failure);
  })) << failure;
  EXPECT_THAT(failure.ToString(), HasSubstr("auth/cluster/login"));
  EXPECT_THAT(failure.ToString(), HasSubstr(file));
  EXPECT_THAT(failure.ToString(), Not(HasSubstr(bad)));
  ReplaceFile("sa-token", token);
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
}

TEST_F(VaultKubernetes, ARoleOfAnotherServiceAccountIsRefused) {
  vault().Write("auth/cluster/role/other", {{"bound_service_account_names", {"other"}},
                                            {"bound_service_account_namespaces", {"shop"}}});
  const auto provider = MakeWith("other", ReplaceFile("t", ServiceAccountToken("web", "good")));
  const auto secret = Fetch(*provider, "app");
  EXPECT_THAT(secret, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("service account name not authorized"));
}

}  // namespace
}  // namespace secretfs::testing
