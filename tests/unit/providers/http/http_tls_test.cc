#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "providers/http/http_client.h"
#include "tests/fakes/test_certificates.h"
#include "tests/unit/providers/http/http_client_fixture.h"

namespace secretfs::providers {
namespace {

using fakes::HttpTestServer;
using fakes::TestAuthority;

class HttpTlsTest : public HttpClientTest {
 protected:
  HttpTlsTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "secretfs-http-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~HttpTlsTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = directory_ / name;
    std::ofstream(path) << text;
    return path.string();
  }

  // A server whose certificate is for `names`.
  void StartServer(const std::vector<std::string>& names = {"IP:127.0.0.1"},
                   std::string client_authority = "") {
    HttpTestServer::Tls tls;
    tls.identity = authority_.Issue("secretfs test server", names);
    tls.client_authority = std::move(client_authority);
    server_.emplace([](const auto&) { return Answer("hello"); }, std::move(tls));
  }

  static TlsConfig Bundle(const std::string& pem) {
    TlsConfig tls;
    tls.ca_bundle = pem;
    return tls;
  }
  static TlsConfig File(std::string path) {
    TlsConfig tls;
    tls.ca_file = std::move(path);
    return tls;
  }

  Result SendWith(TlsConfig tls) {
    MakeClient({.tls = std::move(tls)});
    return Send(Get(server_->Url("/v1/app")));
  }

  std::filesystem::path directory_;
  TestAuthority authority_;
  std::optional<HttpTestServer> server_;
};

TEST_F(HttpTlsTest, AnAuthorityIsAcceptedFromABundleOrAFile) {
  StartServer();
  Result result = SendWith(Bundle(authority_.certificate()));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->body.ExposeAsText(), "hello");
  result = SendWith(File(Write("ca.pem", authority_.certificate())));
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST_F(HttpTlsTest, AnUnknownAuthorityIsRefusedAndTheMessageSaysWhatToSet) {
  StartServer();
  const TestAuthority other;
  for (const TlsConfig& tls :
       {TlsConfig{}, Bundle(other.certificate()), File(Write("other.pem", other.certificate()))}) {
    const Result result = SendWith(tls);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
    EXPECT_TRUE(Contains(MessageOf(result.status()), "certificate")) << result.status();
    EXPECT_TRUE(Contains(MessageOf(result.status()), "caBundle")) << result.status();
  }
  EXPECT_EQ(server_->request_count(), 0u);
}

TEST_F(HttpTlsTest, ACertificateForAnotherNameIsRefusedUnlessThatNameIsSet) {
  StartServer({"DNS:vault.example"});
  const Result refused = SendWith(Bundle(authority_.certificate()));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_TRUE(Contains(MessageOf(refused.status()), "server name")) << refused.status();
  TlsConfig tls = Bundle(authority_.certificate());
  tls.server_name = "vault.example";
  const Result accepted = SendWith(tls);
  ASSERT_TRUE(accepted.ok()) << accepted.status();
  const auto request = server_->requests().at(0);
  EXPECT_EQ(request.server_name, "vault.example");
  EXPECT_EQ(request.header("host"), Format("127.0.0.1:{}", server_->port()));
  EXPECT_EQ(request.target, "/v1/app");
  tls.server_name = "other.example";
  const Result wrong = SendWith(tls);
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kFailedPrecondition) << wrong.status();
}

TEST_F(HttpTlsTest, AClientCertificateIsShownWhereItIsRequired) {
  const TestAuthority clients("clients");
  StartServer({"IP:127.0.0.1"}, clients.certificate());
  TlsConfig tls = Bundle(authority_.certificate());
  const Result without = SendWith(tls);
  EXPECT_EQ(without.status().code(), absl::StatusCode::kFailedPrecondition) << without.status();
  EXPECT_TRUE(Contains(MessageOf(without.status()), "client certificate")) << without.status();

  const fakes::CertificateAndKey client = clients.Issue("client", {});
  tls.client_certificate_file = Write("client.pem", client.certificate);
  tls.client_key_file = Write("client.key", client.key);
  const Result with = SendWith(tls);
  EXPECT_TRUE(with.ok()) << with.status();

  tls.client_certificate_file = Write("both.pem", client.certificate + client.key);
  tls.client_key_file = "";
  const Result both = SendWith(tls);
  EXPECT_TRUE(both.ok()) << both.status();

  const auto inline_value = [](const std::string& text) {
    return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
  };
  TlsConfig from_memory = Bundle(authority_.certificate());
  from_memory.client_certificate = inline_value(client.certificate);
  from_memory.client_key = inline_value(client.key);
  const Result from_no_file = SendWith(from_memory);
  EXPECT_TRUE(from_no_file.ok()) << from_no_file.status();

  const fakes::CertificateAndKey stranger = TestAuthority("strangers").Issue("client", {});
  tls.client_certificate_file = Write("stranger.pem", stranger.certificate + stranger.key);
  const Result strange = SendWith(tls);
  EXPECT_EQ(strange.status().code(), absl::StatusCode::kFailedPrecondition) << strange.status();
}

TEST_F(HttpTlsTest, FilesThatCannotBeUsedAreNamed) {
  StartServer();
  const Result ca = SendWith(File("/nonexistent/ca.pem"));
  EXPECT_EQ(ca.status().code(), absl::StatusCode::kFailedPrecondition) << ca.status();
  EXPECT_TRUE(Contains(MessageOf(ca.status()), "/nonexistent/ca.pem")) << ca.status();
  const Result garbage = SendWith(Bundle("not PEM"));
  EXPECT_EQ(garbage.status().code(), absl::StatusCode::kFailedPrecondition) << garbage.status();
  TlsConfig tls = Bundle(authority_.certificate());
  tls.client_certificate_file = "/nonexistent/client.pem";
  const Result client = SendWith(tls);
  EXPECT_EQ(client.status().code(), absl::StatusCode::kFailedPrecondition) << client.status();
  EXPECT_TRUE(Contains(MessageOf(client.status()), "/nonexistent/client.pem")) << client.status();
}

TEST_F(HttpTlsTest, VerificationIsSkippedOnlyWhenAsked) {
  StartServer({"DNS:vault.example"});
  TlsConfig tls;
  tls.skip_verify = true;
  EXPECT_TRUE(SendWith(tls).ok());
}

TEST_F(HttpTlsTest, APlainServerIsNotSpokenToInTls) {
  HttpTestServer plain([](const auto&) { return Answer(""); });
  const Result result =
      Send(Get(Format("https://127.0.0.1:{}/", plain.port()), std::chrono::milliseconds(300)));
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(plain.request_count(), 0u);
}

TEST_F(HttpTlsTest, ConnectionsAreKept) {
  StartServer();
  MakeClient({.tls = Bundle(authority_.certificate())});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Send(Get(server_->Url())).ok());
  EXPECT_EQ(server_->connection_count(), 1u);
  server_->CloseConnections();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Send(Get(server_->Url())).ok());
  EXPECT_EQ(server_->connection_count(), 2u);
}

TEST_F(HttpTlsTest, ASlowAnswerDoesNotHoldUpOthers) {
  HttpTestServer::Tls tls;
  tls.identity = authority_.Issue("secretfs test server");
  server_.emplace(
      [](const HttpTestServer::Request& request) {
        auto response = Answer("");
        response.hold = request.target == "/held";
        return response;
      },
      std::move(tls));
  MakeClient({.tls = Bundle(authority_.certificate())});
  std::future<Result> held = Start(Get(server_->Url("/held")));
  ASSERT_TRUE(server_->WaitForRequests(1));
  EXPECT_TRUE(Send(Get(server_->Url("/other"))).ok());
  server_->Release();
  EXPECT_TRUE(held.get().ok());
}

TEST_F(HttpTlsTest, ManyAtOnce) {
  StartServer();
  MakeClient({.tls = Bundle(authority_.certificate()), .connections_per_host = 4});
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 100; ++i) results.push_back(Start(Get(server_->Url())));
  for (auto& result : results) EXPECT_TRUE(result.get().ok());
  EXPECT_LE(server_->connection_count(), 4u);
}

}  // namespace
}  // namespace secretfs::providers
