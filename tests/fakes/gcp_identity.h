#pragma once

// Google's identity services, as far as workloads use them to get access tokens:
//
//   POST /token                                     OAuth 2.0: JWT bearer grants of service
//   accounts
//                                                   (signature and claims verified), refresh tokens
//   POST /v1/token                                  security token service: token exchange
//   POST /v1/oauthtoken                             … refresh tokens of workforce pools
//   POST /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken   IAM service account credentials
//
// It also hands out what people have: keys, gcloud's files, subject tokens of another issuer. Who a
// token stands for is a principal in IAM's notation. tests/integration/gcp runs Google's own client
// against all of this.
//
// Thread-safe.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "tests/fakes/gcp_http.h"
#include "tests/fakes/gcp_jwt.h"
#include "tests/fakes/http_test_server.h"

namespace secretfs::fakes {

class GcpIdentity {
 public:
  // `url` is where the endpoints are: http://127.0.0.1:PORT.
  explicit GcpIdentity(std::string url) : url_(std::move(url)) {}

  // --- what people have

  // A new key of the service account `email` (which is made if need be), as the console saves it.
  std::string MakeServiceAccountKey(const std::string& email);
  void DeleteKeys(const std::string& email);
  // gcloud's application_default_credentials.json of a person.
  std::string MakeUserLogin(const std::string& email);
  void RevokeLogin(const std::string& email);
  // The same of a workforce pool's user.
  std::string MakeWorkforceLogin(const std::string& user);

  // A provider of a workload identity pool, which trusts the one other issuer that there is, for
  // tokens of audience `token_audience`. `principal_format` holds "{}" for the token's subject.
  void AddPoolProvider(const std::string& audience, const std::string& token_audience,
                       const std::string& principal_format);
  // A token of that issuer.
  std::string SubjectToken(const std::string& subject, const std::string& audience,
                           int64_t life_seconds = 600) const;
  // An external_account file. `impersonate` may be empty.
  std::string ExternalAccount(const std::string& audience, const nlohmann::json& source,
                              const std::string& impersonate) const;
  // An impersonated_service_account file around another one.
  std::string ImpersonatedAccount(const std::string& source, const std::string& email,
                                  const std::vector<std::string>& delegates) const;

  // From now on `principal` has the role Service Account Token Creator on `email`.
  void AllowImpersonation(const std::string& principal, const std::string& email);

  std::string ImpersonationUrl(const std::string& email) const;

  // --- tokens

  // A token as the metadata server or a login gives it.
  std::string MakeToken(const std::string& principal, int64_t life_seconds = 3599);
  // Whom the token stands for: one that was given out here and has not ended, or an assertion that
  // a service account signed itself for the API.
  std::optional<std::string> PrincipalOf(const std::string& token) const;
  // All tokens so far are not taken any more.
  void EndTokens();
  // How long tokens live from now on; IAM's are asked for with their own.
  void SetTokenLife(int64_t seconds);

  // What this clock shows more than the machine's.
  void SetClockOffset(int64_t seconds);
  int64_t Now() const;

  // Nothing when the request is not for these services.
  std::optional<HttpTestServer::Response> Answer(const HttpTestServer::Request& request);

 private:
  struct ServiceAccount {
    std::map<std::string, std::unique_ptr<RsaKey>> keys;  // by id
  };
  struct Login {
    std::string principal, client_id, client_secret;
  };
  struct PoolProvider {
    std::string token_audience, principal_format;
  };
  struct Token {
    std::string principal;
    int64_t ends_at;
  };
  using Form = std::map<std::string, std::string>;
  using Response = HttpTestServer::Response;

  Response TokenEndpoint(const Form& form);
  Response JwtGrant(const Form& form);
  Response RefreshGrant(const Form& form, const Login* client);
  Response Exchange(const Form& form);
  Response WorkforceRefresh(const HttpTestServer::Request& request, const Form& form);
  Response GenerateAccessToken(const HttpTestServer::Request& request, const std::string& email);
  std::string Issue(const std::string& principal, int64_t life);
  std::optional<std::string> SelfSigned(const std::string& token) const;
  const RsaKey* KeyOf(const ParsedJwt& token, std::string& email) const;
  std::optional<std::string> Principal(const std::string& token) const;
  const RsaKey& Issuer() const;
  int64_t Time() const;

  const std::string url_;
  // The other identity provider's, made when it is needed: keys take time.
  mutable std::once_flag issuer_made_;
  mutable std::unique_ptr<RsaKey> issuer_;
  mutable std::mutex mutex_;
  // --- protected by mutex_:
  std::map<std::string, ServiceAccount> accounts_;               // by email
  std::map<std::string, Login> logins_;                          // by refresh token
  std::map<std::string, PoolProvider> providers_;                // by audience
  std::map<std::string, std::set<std::string>> token_creators_;  // by email
  std::map<std::string, Token> tokens_;
  int64_t token_life_ = 3599;
  int64_t offset_ = 0;
};

}  // namespace secretfs::fakes
