// What stands between secretfs and a real Vault: TLS, rate limits, outages.

#include <fstream>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/text.h"
#include "tests/fakes/test_certificates.h"
#include "tests/integration/support/server_programs.h"
#include "tests/integration/vault/vault_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

class VaultOutage : public VaultTest {
 protected:
  void SetUp() override {
    VaultTest::SetUp();
    vault().Write("secret/data/app", {{"data", {{"v", "x"}}}});
  }
};

TEST_F(VaultOutage, ADeadServerIsUnavailableAndUsedAgainWhenItIsBack) {
  const auto provider = Make(Config("secret"));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  const uint16_t port = vault().port();
  vault().Stop();
  const auto during = Fetch(*provider, "app");
  EXPECT_THAT(during, HasCode(StatusCode::kUnavailable));
  EXPECT_THAT(during.status().ToString(), HasSubstr(Format("http://127.0.0.1:{}", port)));
  EXPECT_THAT(CheckLogin(*provider), HasCode(StatusCode::kUnavailable));
  server() = VaultServer::Start({.port = port});
  vault().Write("secret/data/app", {{"data", {{"v", "again"}}}});
  // The same root token: it is made from the port.
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "again");
}

TEST_F(VaultOutage, ASealedServerIsUnavailableAndSaysSo) {
  const auto provider = Make(Config("secret"));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  vault().Write("sys/seal", nlohmann::json::object());
  const auto sealed = Fetch(*provider, "app");
  EXPECT_THAT(sealed, HasCode(StatusCode::kUnavailable));
  EXPECT_THAT(sealed.status().ToString(), HasSubstr("the server is sealed"));
}

TEST_F(VaultOutage, ARateLimitIsResourceExhaustedWithTheServersDelay) {
  vault().Write("sys/quotas/config", {{"enable_rate_limit_response_headers", true}});
  vault().Write("sys/quotas/rate-limit/few",
                {{"path", "secret/"}, {"rate", 1}, {"interval", "20s"}});
  auto config = Config("secret");
  config.version = "v2";
  const auto provider = Make(config);
  absl::Status limited;
  for (int i = 0; i < 3 && limited.ok(); ++i) limited = Fetch(*provider, "app").status();
  EXPECT_THAT(limited, HasCode(StatusCode::kResourceExhausted));
  const std::optional<std::chrono::milliseconds> delay = RetryAfter(limited);
  ASSERT_TRUE(delay.has_value()) << limited;
  EXPECT_GT(*delay, std::chrono::milliseconds(0));
  EXPECT_LE(*delay, std::chrono::seconds(20));
}

// A second listener that wants TLS and a client certificate, known by another name than its
// address.
class VaultTls : public VaultTest {
 protected:
  VaultServerOptions ServerOptions() override {
    char name[] = "/tmp/secretfs-vault-tls.XXXXXX";
    certificates_ = ::mkdtemp(name);
    const auto server = authority_.Issue("vault", {"DNS:vault.test"});
    const auto client = authority_.Issue("client", {"DNS:client.test"});
    Write("ca.pem", authority_.certificate());
    Write("server.pem", server.certificate);
    Write("server-key.pem", server.key);
    Write("client.pem", client.certificate);
    Write("client-key.pem", client.key);
    tls_port_ = FreePort();
    return {.more_config =
                Format(R"(
      listener "tcp" {{
        address = "127.0.0.1:{}"
        tls_cert_file = "{}"
        tls_key_file = "{}"
        tls_client_ca_file = "{}"
        tls_require_and_verify_client_cert = true
      }})",
                       tls_port_, Path("server.pem"), Path("server-key.pem"), Path("ca.pem"))};
  }
  void SetUp() override {
    VaultTest::SetUp();
    vault().Write("secret/data/app", {{"data", {{"v", "x"}}}});
  }
  void TearDown() override {
    VaultTest::TearDown();
    std::filesystem::remove_all(certificates_);
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(certificates_ / name) << text;
  }
  std::string Path(const std::string& name) const { return (certificates_ / name).string(); }

  providers::VaultStoreConfig TlsConfig() {
    auto config = Config("secret");
    config.server = Format("https://127.0.0.1:{}", tls_port_);
    config.tls.ca_file = Path("ca.pem");
    config.tls.client_certificate_file = Path("client.pem");
    config.tls.client_key_file = Path("client-key.pem");
    config.tls.server_name = "vault.test";
    return config;
  }

  fakes::TestAuthority authority_;
  std::filesystem::path certificates_;
  uint16_t tls_port_ = 0;
};

TEST_F(VaultTls, CustomAuthorityClientCertificateAndServerName) {
  EXPECT_EQ(Field(Fetch(*Make(TlsConfig()), "app"), "v"), "x");
  auto bundle = TlsConfig();
  bundle.tls.ca_file.clear();
  bundle.tls.ca_bundle = authority_.certificate();
  EXPECT_EQ(Field(Fetch(*Make(bundle), "app"), "v"), "x");
}

TEST_F(VaultTls, WhatIsNotVerifiedIsRefused) {
  auto no_authority = TlsConfig();
  no_authority.tls.ca_file.clear();
  EXPECT_THAT(Fetch(*Make(no_authority), "app"), HasCode(StatusCode::kFailedPrecondition));
  auto other_authority = TlsConfig();
  other_authority.tls.ca_file.clear();
  other_authority.tls.ca_bundle = fakes::TestAuthority("other").certificate();
  EXPECT_THAT(Fetch(*Make(other_authority), "app"), HasCode(StatusCode::kFailedPrecondition));
  auto wrong_name = TlsConfig();
  wrong_name.tls.server_name.clear();
  EXPECT_THAT(Fetch(*Make(wrong_name), "app"), HasCode(StatusCode::kFailedPrecondition));
}

TEST_F(VaultTls, WithoutAClientCertificateTheServerRefuses) {
  auto config = TlsConfig();
  config.tls.client_certificate_file.clear();
  config.tls.client_key_file.clear();
  EXPECT_FALSE(Fetch(*Make(config), "app").ok());
}

TEST_F(VaultTls, SkippingVerificationIsAnExplicitChoice) {
  auto config = TlsConfig();
  config.tls.ca_file.clear();
  config.tls.server_name.clear();
  config.tls.skip_verify = true;
  EXPECT_EQ(Field(Fetch(*Make(config), "app"), "v"), "x");
}

}  // namespace
}  // namespace secretfs::testing
