// The ways to get and keep a token, against a real Vault.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "base/text.h"
#include "tests/integration/vault/vault_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using providers::VaultAppRoleAuth;
using providers::VaultJwtAuth;
using providers::VaultTokenAuth;
using ::testing::HasSubstr;
using ::testing::Not;

class VaultAuth : public VaultTest {
 protected:
  void SetUp() override {
    VaultTest::SetUp();
    vault().Write("secret/data/app", {{"data", {{"v", "x"}}}});
    vault().WritePolicy("reader", R"(path "secret/data/*" { capabilities = ["read"] })");
  }

  nlohmann::json Accessors() {
    const VaultAnswer answer =
        vault().Call("GET", "auth/token/accessors?list=true", nullptr, vault().root_token());
    return answer.body.at("data").at("keys");
  }
  // How many tokens there are, root's included.
  size_t Tokens() { return Accessors().size(); }

  long TtlOf(const std::string& token) {
    const VaultAnswer answer = vault().Call("GET", "auth/token/lookup-self", nullptr, token);
    return answer.status == 200 ? answer.body["data"]["ttl"].get<long>() : -1;
  }

  std::string MakeReader(const std::string& ttl) {
    return vault().MakeToken({{"policies", {"reader"}}, {"ttl", ttl}});
  }

  providers::VaultStoreConfig With(providers::VaultAuth auth) {
    auto config = Config("secret");
    config.auth = std::move(auth);
    return config;
  }

  static providers::CredentialSource File(const std::string& path) {
    providers::CredentialSource source;
    source.file = path;
    return source;
  }
};

TEST_F(VaultAuth, TokenFromFileEnvironmentAndInline) {
  const std::string token = MakeReader("1h");
  // As editors and echo write it.
  const auto from_file = Make(With(VaultTokenAuth{File(ReplaceFile("token", token + "\n"))}));
  EXPECT_EQ(Field(Fetch(*from_file, "app"), "v"), "x");
  ::setenv("SECRETFS_TEST_VAULT_TOKEN", token.c_str(), 1);
  providers::CredentialSource environment;
  environment.environment = "SECRETFS_TEST_VAULT_TOKEN";
  EXPECT_EQ(Field(Fetch(*Make(With(VaultTokenAuth{environment})), "app"), "v"), "x");
  ::unsetenv("SECRETFS_TEST_VAULT_TOKEN");
  const auto unset = Fetch(*Make(With(VaultTokenAuth{environment})), "app");
  EXPECT_THAT(unset, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(unset.status().ToString(), HasSubstr("SECRETFS_TEST_VAULT_TOKEN, which is not set"));
  const auto missing = Fetch(*Make(With(VaultTokenAuth{File("/nowhere/token")})), "app");
  EXPECT_THAT(missing, HasCode(StatusCode::kFailedPrecondition));
  EXPECT_THAT(missing.status().ToString(), HasSubstr("/nowhere/token"));
}

TEST_F(VaultAuth, CheckLoginTellsGoodFromBadTokens) {
  EXPECT_THAT(CheckLogin(*Make(Config("secret", MakeReader("1h")))), HasCode(StatusCode::kOk));
  const absl::Status bad = CheckLogin(*Make(Config("secret", "hvs.thisIsNoTokenOfTheServer")));
  EXPECT_THAT(bad, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(bad.ToString(), Not(HasSubstr("thisIsNoTokenOfTheServer")));
}

TEST_F(VaultAuth, ATokenIsRenewedInTheBackground) {
  const std::string token = MakeReader("3s");
  const auto provider = Make(Config("secret", token));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  std::this_thread::sleep_for(std::chrono::seconds(5));
  EXPECT_GE(TtlOf(token), 0);
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  Close(*provider);
  // It is the user's: not revoked, but not renewed any more either.
  EXPECT_GE(TtlOf(token), 0);
  EXPECT_TRUE(Eventually([&] { return TtlOf(token) < 0; }));
}

TEST_F(VaultAuth, AReplacedTokenFileIsReadAgain) {
  const std::string first = MakeReader("1h");
  const auto provider = Make(With(VaultTokenAuth{File(ReplaceFile("token", first))}));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  vault().Write("auth/token/revoke", {{"token", first}});
  const auto expired = Fetch(*provider, "app");
  EXPECT_THAT(expired, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(expired.status().ToString(), HasSubstr("put a new one there"));
  ReplaceFile("token", MakeReader("1h"));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  // A file that is empty for a moment does not cost the token that works.
  ReplaceFile("token", "");
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
}

TEST_F(VaultAuth, AFileIsReadAgainWhileTheOldTokenIsStillGood) {
  vault().WritePolicy("nothing", R"(path "secret/data/other" { capabilities = ["read"] })");
  const auto provider = Make(With(
      VaultTokenAuth{File(ReplaceFile("token", vault().MakeToken({{"policies", {"nothing"}}})))}));
  EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kPermissionDenied));
  ReplaceFile("token", MakeReader("1h"));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
}

class VaultAppRole : public VaultAuth {
 protected:
  void SetUp() override {
    VaultAuth::SetUp();
    vault().Write("sys/auth/approle", {{"type", "approle"}});
    SetRole({{"token_policies", {"reader"}}, {"token_ttl", "1h"}});
    role_id_ = vault().Read("auth/approle/role/app/role-id")["data"]["role_id"];
  }
  void SetRole(const nlohmann::json& parameters) {
    vault().Write("auth/approle/role/app", parameters);
  }
  std::string NewSecretId() {
    return vault().Write("auth/approle/role/app/secret-id",
                         nlohmann::json::object())["data"]["secret_id"];
  }
  // A fresh wrapping token around a fresh secret id.
  std::string NewWrappedSecretId() {
    const VaultAnswer answer =
        vault().Call("POST", "auth/approle/role/app/secret-id", nlohmann::json::object(),
                     vault().root_token(), {"X-Vault-Wrap-TTL: 120s"});
    return answer.body.at("wrap_info").at("token");
  }
  // Revokes all tokens made by a login; how many there were.
  size_t RevokeLogins() {
    size_t count = 0;
    const nlohmann::json accessors = Accessors();
    for (const nlohmann::json& accessor : accessors) {
      const nlohmann::json found =
          vault().Write("auth/token/lookup-accessor", {{"accessor", accessor}});
      if (found.at("data").at("path") != "auth/approle/login") continue;
      vault().Write("auth/token/revoke-accessor", {{"accessor", accessor}});
      ++count;
    }
    return count;
  }
  VaultAppRoleAuth Auth(providers::CredentialSource secret_id) {
    VaultAppRoleAuth auth;
    auth.role_id = role_id_;
    auth.secret_id = std::move(secret_id);
    return auth;
  }

  std::string role_id_;
};

TEST_F(VaultAppRole, LogsInOnceForManyAndRevokesAtTheEnd) {
  const size_t before = Tokens();
  const auto provider = Make(With(Auth(File(ReplaceFile("secret-id", NewSecretId())))));
  std::vector<std::future<std::vector<absl::StatusOr<providers::SecretPtr>>>> reads;
  for (int i = 0; i < 50; ++i) {
    std::vector<providers::SecretRef> refs = {{"app", ""}};
    reads.push_back(asio::co_spawn(io_.context(), provider->Fetch(std::move(refs), Deadline()),
                                   asio::use_future));
  }
  for (auto& read : reads) EXPECT_EQ(Field(read.get()[0], "v"), "x");
  EXPECT_EQ(Tokens(), before + 1);
  EXPECT_THAT(CheckLogin(*provider), HasCode(StatusCode::kOk));
  Close(*provider);
  EXPECT_EQ(Tokens(), before);
  EXPECT_THAT(Fetch(*provider, "app"), HasCode(StatusCode::kCancelled));
}

TEST_F(VaultAppRole, ARevokedTokenIsReplacedWithoutAnError) {
  const auto provider = Make(With(Auth(Inline(NewSecretId()))));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  EXPECT_EQ(RevokeLogins(), 1u);
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
}

TEST_F(VaultAppRole, TokensAreRenewedAndAtTheirGreatestAgeReplaced) {
  SetRole({{"token_policies", {"reader"}}, {"token_ttl", "2s"}, {"token_max_ttl", "4s"}});
  const auto provider = Make(With(Auth(Inline(NewSecretId()))));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(8);
  while (std::chrono::steady_clock::now() < end) {
    ASSERT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  Close(*provider);
}

TEST_F(VaultAppRole, WrongSecretIdIsUnauthenticatedAndQuotesVaultsReasonOnly) {
  const auto provider = Make(With(Auth(Inline("not-the-secret-id"))));
  const auto secret = Fetch(*provider, "app");
  EXPECT_THAT(secret, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("auth/approle/login"));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("invalid"));
  EXPECT_THAT(secret.status().ToString(), Not(HasSubstr("not-the-secret-id")));
  EXPECT_THAT(CheckLogin(*provider), HasCode(StatusCode::kUnauthenticated));
}

TEST_F(VaultAppRole, WrongMountOfTheMethodIsSaid) {
  VaultAppRoleAuth auth = Auth(Inline(NewSecretId()));
  auth.path = "other";
  const auto secret = Fetch(*Make(With(auth)), "app");
  EXPECT_THAT(secret, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("auth/other/login"));
}

TEST_F(VaultAppRole, RoleIdByReference) {
  VaultAppRoleAuth auth = Auth(Inline(NewSecretId()));
  auth.role_id.clear();
  auth.role_ref = File(ReplaceFile("role-id", role_id_));
  auth.path = "auth/approle/";
  EXPECT_EQ(Field(Fetch(*Make(With(auth)), "app"), "v"), "x");
}

TEST_F(VaultAppRole, WrappedSecretIdWorksOnceAndAsksForANewOne) {
  SetRole({{"token_policies", {"reader"}},
           {"token_ttl", "1s"},
           {"token_max_ttl", "1s"},
           {"secret_id_num_uses", 1}});
  VaultAppRoleAuth auth = Auth(File(ReplaceFile("wrapped", NewWrappedSecretId())));
  auth.secret_id_is_wrapped = true;
  const auto provider = Make(With(auth));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  absl::Status failure;
  EXPECT_TRUE(Eventually([&] {
    failure = Fetch(*provider, "app").status();
    return absl::IsUnauthenticated(failure);
  })) << failure;
  EXPECT_THAT(failure.ToString(), HasSubstr("put a new one there"));
  ReplaceFile("wrapped", NewWrappedSecretId());
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
}

TEST_F(VaultAppRole, UnwrappedSecretIdServesLaterLogins) {
  SetRole({{"token_policies", {"reader"}}, {"token_ttl", "1s"}, {"token_max_ttl", "1s"}});
  VaultAppRoleAuth auth = Auth(File(ReplaceFile("wrapped", NewWrappedSecretId())));
  auth.secret_id_is_wrapped = true;
  const auto provider = Make(With(auth));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
  }
}

TEST_F(VaultAppRole, AWrappingTokenThatSomebodyElseUsedIsCalledStolen) {
  const std::string wrapping = NewWrappedSecretId();
  vault().Call("POST", "sys/wrapping/unwrap", nlohmann::json::object(), wrapping);
  VaultAppRoleAuth auth = Auth(File(ReplaceFile("wrapped", wrapping)));
  auth.secret_id_is_wrapped = true;
  const auto secret = Fetch(*Make(With(auth)), "app");
  EXPECT_THAT(secret, HasCode(StatusCode::kUnauthenticated));
  EXPECT_THAT(secret.status().ToString(), HasSubstr("treat it as stolen"));
  EXPECT_THAT(secret.status().ToString(), Not(HasSubstr(wrapping)));
}

// A key pair and the JWTs that it signs.
class JwtSigner {
 public:
  JwtSigner() : key_(EVP_RSA_gen(2048)) {}
  ~JwtSigner() { EVP_PKEY_free(key_); }
  JwtSigner(const JwtSigner&) = delete;
  JwtSigner& operator=(const JwtSigner&) = delete;

  std::string PublicPem() const {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PUBKEY(bio.get(), key_);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<size_t>(size));
  }

  std::string Sign(const nlohmann::json& claims) const {
    const std::string signed_part =
        Base64Url(R"({"alg":"RS256","typ":"JWT"})") + "." + Base64Url(claims.dump());
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                     EVP_MD_CTX_free);
    EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_);
    const auto* input = reinterpret_cast<const unsigned char*>(signed_part.data());
    size_t size = 0;
    EVP_DigestSign(context.get(), nullptr, &size, input, signed_part.size());
    std::string signature(size, '\0');
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, input,
                   signed_part.size());
    signature.resize(size);
    return signed_part + "." + Base64Url(signature);
  }

 private:
  static std::string Base64Url(const std::string& bytes) {
    std::string text(4 * (bytes.size() / 3 + 1) + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<size_t>(size));
    while (text.ends_with('=')) text.pop_back();
    for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return text;
  }

  EVP_PKEY* key_;
};

class VaultJwt : public VaultAuth {
 protected:
  std::string Jwt(const std::string& subject, long seconds_left) {
    return signer_.Sign({{"iss", "test"},
                         {"sub", subject},
                         {"aud", "vault"},
                         {"iat", std::time(nullptr)},
                         {"exp", std::time(nullptr) + seconds_left}});
  }
  JwtSigner signer_;
};

TEST_F(VaultJwt, LogsInWithARoleAndReadsTheFileAgainAtEachLogin) {
  vault().Write("sys/auth/ci/jwt", {{"type", "jwt"}});
  vault().Write("auth/ci/jwt/config", {{"jwt_validation_pubkeys", {signer_.PublicPem()}}});
  vault().Write("auth/ci/jwt/role/app", {{"role_type", "jwt"},
                                         {"bound_audiences", {"vault"}},
                                         {"bound_subject", "me"},
                                         {"user_claim", "sub"},
                                         {"token_policies", {"reader"}},
                                         {"token_ttl", "1s"},
                                         {"token_max_ttl", "1s"}});
  VaultJwtAuth auth;
  auth.path = "ci/jwt";
  auth.role = "app";
  auth.jwt = File(ReplaceFile("jwt", Jwt("me", 600)));
  const auto provider = Make(With(auth));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
  // The token lives one second: a JWT that is not accepted shows at the next login.
  ReplaceFile("jwt", Jwt("somebody else", 600));
  absl::Status failure;
  EXPECT_TRUE(Eventually([&] {
    failure = Fetch(*provider, "app").status();
    return absl::IsUnauthenticated(failure);
  })) << failure;
  EXPECT_THAT(failure.ToString(), HasSubstr("auth/ci/jwt/login"));
  ReplaceFile("jwt", Jwt("me", 600));
  EXPECT_EQ(Field(Fetch(*provider, "app"), "v"), "x");
}

}  // namespace
}  // namespace secretfs::testing
