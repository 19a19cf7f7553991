#include "tests/fakes/gcp_identity.h"

#include <chrono>
#include <utility>
#include <vector>

#include "base/text.h"

namespace secretfs::fakes {
namespace {

using nlohmann::json;
using Response = HttpTestServer::Response;
using Lock = std::lock_guard<std::mutex>;

constexpr char kScope[] = "https://www.googleapis.com/auth/cloud-platform";
constexpr char kIamScope[] = "https://www.googleapis.com/auth/iam";
constexpr char kIssuer[] = "https://issuer.example";
constexpr char kIssuerKeyId[] = "issuer-key";
// What Google's endpoint is called by; its Python client names no other audience.
constexpr char kRealTokenEndpoint[] = "https://oauth2.googleapis.com/token";
constexpr char kRealApi[] = "https://secretmanager.googleapis.com/";
constexpr int64_t kClockTolerance = 300;
constexpr int64_t kLongestLife = 3600;

std::string ValueOf(const std::map<std::string, std::string>& form, const std::string& name) {
  const auto found = form.find(name);
  return found == form.end() ? "" : found->second;
}

bool IsKnownScope(const std::string& scopes) {
  size_t begin = 0;
  while (begin < scopes.size()) {
    const size_t end = std::min(scopes.find(' ', begin), scopes.size());
    const std::string scope = scopes.substr(begin, end - begin);
    if (scope != kScope && scope != kIamScope) return false;
    begin = end + 1;
  }
  return !scopes.empty();
}

// "Basic …" taken apart.
std::optional<std::pair<std::string, std::string>> BasicOf(const HttpTestServer::Request& request) {
  const std::string value = request.header("authorization");
  if (!value.starts_with("Basic ")) return std::nullopt;
  const auto pair = FromBase64(value.substr(6));
  if (!pair || pair->find(':') == std::string::npos) return std::nullopt;
  const size_t colon = pair->find(':');
  return std::pair(pair->substr(0, colon), pair->substr(colon + 1));
}

json Grant(const std::string& token, int64_t life) {
  return {{"access_token", token}, {"expires_in", life}, {"token_type", "Bearer"}};
}

}  // namespace

int64_t GcpIdentity::Time() const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count() + offset_;
}

const RsaKey& GcpIdentity::Issuer() const {
  std::call_once(issuer_made_, [this] { issuer_ = std::make_unique<RsaKey>(); });
  return *issuer_;
}

int64_t GcpIdentity::Now() const {
  const Lock lock(mutex_);
  return Time();
}

void GcpIdentity::SetClockOffset(int64_t seconds) {
  const Lock lock(mutex_);
  offset_ = seconds;
}

void GcpIdentity::SetTokenLife(int64_t seconds) {
  const Lock lock(mutex_);
  token_life_ = seconds;
}

std::string GcpIdentity::MakeServiceAccountKey(const std::string& email) {
  const std::string id = RandomText(20);
  auto key = std::make_unique<RsaKey>();
  const std::string pem = key->PrivatePem();
  const Lock lock(mutex_);
  accounts_[email].keys[id] = std::move(key);
  return json{
      {"type", "service_account"},
      {"project_id", email.substr(email.find('@') + 1, email.find('.') - email.find('@') - 1)},
      {"private_key_id", id},
      {"private_key", pem},
      {"client_email", email},
      {"client_id", "108000000000000000000"},
      {"auth_uri", url_ + "/o/oauth2/auth"},
      {"token_uri", url_ + "/token"},
      {"universe_domain", "googleapis.com"}}
      .dump(2);
}

void GcpIdentity::DeleteKeys(const std::string& email) {
  const Lock lock(mutex_);
  accounts_[email].keys.clear();
}

std::string GcpIdentity::MakeUserLogin(const std::string& email) {
  const std::string refresh_token = "1//" + RandomText(32);
  const Lock lock(mutex_);
  logins_[refresh_token] = {"user:" + email, "764086051850.apps.example",
                            "client-" + RandomText(8)};
  return json{{"type", "authorized_user"},
              {"client_id", logins_[refresh_token].client_id},
              {"client_secret", logins_[refresh_token].client_secret},
              {"refresh_token", refresh_token},
              {"token_uri", url_ + "/token"},
              {"account", ""},
              {"quota_project_id", "demo"},
              {"universe_domain", "googleapis.com"}}
      .dump(2);
}

void GcpIdentity::RevokeLogin(const std::string& email) {
  const Lock lock(mutex_);
  std::erase_if(logins_,
                [&](const auto& login) { return login.second.principal == "user:" + email; });
}

std::string GcpIdentity::MakeWorkforceLogin(const std::string& user) {
  const std::string refresh_token = "workforce-" + RandomText(32);
  const Lock lock(mutex_);
  logins_[refresh_token] = {
      "principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/" + user,
      "workforce-client", "client-" + RandomText(8)};
  return json{{"type", "external_account_authorized_user"},
              {"audience",
               "//iam.googleapis.com/locations/global/workforcePools/staff/providers/corporate"},
              {"client_id", logins_[refresh_token].client_id},
              {"client_secret", logins_[refresh_token].client_secret},
              {"refresh_token", refresh_token},
              {"token_url", url_ + "/v1/oauthtoken"},
              {"token_info_url", url_ + "/v1/introspect"},
              {"quota_project_id", "demo"}}
      .dump(2);
}

void GcpIdentity::AddPoolProvider(const std::string& audience, const std::string& token_audience,
                                  const std::string& principal_format) {
  const Lock lock(mutex_);
  providers_[audience] = {token_audience, principal_format};
}

std::string GcpIdentity::SubjectToken(const std::string& subject, const std::string& audience,
                                      int64_t life_seconds) const {
  const int64_t now = Now();
  return Issuer().Sign({{"iss", kIssuer},
                        {"sub", subject},
                        {"aud", audience},
                        {"iat", now},
                        {"exp", now + life_seconds},
                        {"jti", RandomText(8)}},
                       kIssuerKeyId);
}

std::string GcpIdentity::ExternalAccount(const std::string& audience, const json& source,
                                         const std::string& impersonate) const {
  json file = {{"type", "external_account"},
               {"audience", audience},
               {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
               {"token_url", url_ + "/v1/token"},
               {"credential_source", source},
               {"universe_domain", "googleapis.com"}};
  if (!impersonate.empty()) {
    file["service_account_impersonation_url"] = ImpersonationUrl(impersonate);
  }
  return file.dump(2);
}

std::string GcpIdentity::ImpersonatedAccount(const std::string& source, const std::string& email,
                                             const std::vector<std::string>& delegates) const {
  return json{{"type", "impersonated_service_account"},
              {"service_account_impersonation_url", ImpersonationUrl(email)},
              {"delegates", delegates},
              {"source_credentials", json::parse(source)}}
      .dump(2);
}

void GcpIdentity::AllowImpersonation(const std::string& principal, const std::string& email) {
  const Lock lock(mutex_);
  accounts_[email];
  token_creators_[email].insert(principal);
}

std::string GcpIdentity::ImpersonationUrl(const std::string& email) const {
  return Format("{}/v1/projects/-/serviceAccounts/{}:generateAccessToken", url_, email);
}

std::string GcpIdentity::Issue(const std::string& principal, int64_t life) {
  std::string token = "ya29." + RandomText(40);
  tokens_[token] = {principal, Time() + life};
  return token;
}

std::string GcpIdentity::MakeToken(const std::string& principal, int64_t life_seconds) {
  const Lock lock(mutex_);
  return Issue(principal, life_seconds);
}

void GcpIdentity::EndTokens() {
  const Lock lock(mutex_);
  tokens_.clear();
}

std::optional<std::string> GcpIdentity::PrincipalOf(const std::string& token) const {
  const Lock lock(mutex_);
  return Principal(token);
}

std::optional<std::string> GcpIdentity::Principal(const std::string& token) const {
  const auto found = tokens_.find(token);
  if (found != tokens_.end()) {
    if (found->second.ends_at <= Time()) return std::nullopt;
    return found->second.principal;
  }
  return SelfSigned(token);
}

// https://google.aip.dev/auth/4111: a service account may show the API its own assertion.
std::optional<std::string> GcpIdentity::SelfSigned(const std::string& token) const {
  const auto parsed = ParseJwt(token);
  if (!parsed) return std::nullopt;
  std::string email;
  const RsaKey* key = KeyOf(*parsed, email);
  const json& claims = parsed->claims;
  const int64_t begin = claims.value("iat", int64_t{0}), end = claims.value("exp", int64_t{0});
  const bool for_us =
      claims.value("aud", "") == kRealApi || IsKnownScope(claims.value("scope", ""));
  const bool good = key != nullptr && key->Verifies(*parsed) && for_us &&
                    claims.value("sub", "") == email && begin <= Time() + kClockTolerance &&
                    end > Time() && end - begin <= kLongestLife;
  if (!good) return std::nullopt;
  return "serviceAccount:" + email;
}

const RsaKey* GcpIdentity::KeyOf(const ParsedJwt& token, std::string& email) const {
  email = token.claims.value("iss", "");
  const auto account = accounts_.find(email);
  if (account == accounts_.end()) return nullptr;
  const auto key = account->second.keys.find(token.header.value("kid", ""));
  return key == account->second.keys.end() ? nullptr : key->second.get();
}

std::optional<Response> GcpIdentity::Answer(const HttpTestServer::Request& request) {
  constexpr std::string_view kAccounts = "/v1/projects/-/serviceAccounts/";
  constexpr std::string_view kGenerate = ":generateAccessToken";
  const std::string path = ParseTarget(request.target).path;
  if (request.method != "POST") return std::nullopt;
  const Lock lock(mutex_);
  if (path == "/token") return TokenEndpoint(ParseForm(request.body));
  if (path == "/v1/token") return Exchange(ParseForm(request.body));
  if (path == "/v1/oauthtoken") return WorkforceRefresh(request, ParseForm(request.body));
  if (path.starts_with(kAccounts) && path.ends_with(kGenerate)) {
    return GenerateAccessToken(
        request, path.substr(kAccounts.size(), path.size() - kAccounts.size() - kGenerate.size()));
  }
  return std::nullopt;
}

Response GcpIdentity::TokenEndpoint(const Form& form) {
  const std::string grant = ValueOf(form, "grant_type");
  if (grant == "urn:ietf:params:oauth:grant-type:jwt-bearer") return JwtGrant(form);
  if (grant == "refresh_token") return RefreshGrant(form, nullptr);
  return OAuthRefusal(400, "unsupported_grant_type", "Invalid grant_type: " + grant);
}

Response GcpIdentity::JwtGrant(const Form& form) {
  const auto token = ParseJwt(ValueOf(form, "assertion"));
  if (!token) return OAuthRefusal(400, "invalid_grant", "Bad Request");
  std::string email;
  const RsaKey* key = KeyOf(*token, email);
  if (!accounts_.contains(email)) {
    return OAuthRefusal(400, "invalid_grant", "Invalid grant: account not found");
  }
  if (key == nullptr || !key->Verifies(*token)) {
    return OAuthRefusal(400, "invalid_grant", "Invalid JWT Signature.");
  }
  const json& claims = token->claims;
  const std::string audience = claims.value("aud", "");
  if (audience != url_ + "/token" && audience != kRealTokenEndpoint) {
    return OAuthRefusal(400, "invalid_grant", "Invalid JWT: Failed audience check.");
  }
  const int64_t begin = claims.value("iat", int64_t{0}), end = claims.value("exp", int64_t{0});
  const int64_t now = Time();
  if (begin > now + kClockTolerance || end <= now - kClockTolerance || end - begin > kLongestLife ||
      end <= begin) {
    return OAuthRefusal(400, "invalid_grant",
                        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                        "reasonable timeframe. Check your iat and exp values in the JWT claim.");
  }
  if (!IsKnownScope(claims.value("scope", ""))) {
    return OAuthRefusal(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.");
  }
  return JsonAnswer(Grant(Issue("serviceAccount:" + email, token_life_), token_life_));
}

Response GcpIdentity::RefreshGrant(const Form& form, const Login* client) {
  const auto login = logins_.find(ValueOf(form, "refresh_token"));
  if (login == logins_.end()) {
    return OAuthRefusal(400, "invalid_grant", "Token has been expired or revoked.");
  }
  const Login given = client != nullptr
                          ? *client
                          : Login{"", ValueOf(form, "client_id"), ValueOf(form, "client_secret")};
  if (given.client_id != login->second.client_id ||
      given.client_secret != login->second.client_secret) {
    return OAuthRefusal(401, "invalid_client", "The provided client secret is invalid.");
  }
  json grant = Grant(Issue(login->second.principal, token_life_), token_life_);
  grant["scope"] = kScope;
  return JsonAnswer(grant);
}

Response GcpIdentity::WorkforceRefresh(const HttpTestServer::Request& request, const Form& form) {
  const auto client = BasicOf(request);
  if (!client) return OAuthRefusal(401, "invalid_client", "Client authentication is missing.");
  if (ValueOf(form, "grant_type") != "refresh_token") {
    return OAuthRefusal(400, "unsupported_grant_type", "Only refresh_token is taken here.");
  }
  const Login login{"", client->first, client->second};
  return RefreshGrant(form, &login);
}

Response GcpIdentity::Exchange(const Form& form) {
  if (ValueOf(form, "grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange") {
    return OAuthRefusal(400, "invalid_request", "Invalid grant_type.");
  }
  if (ValueOf(form, "requested_token_type") != "urn:ietf:params:oauth:token-type:access_token") {
    return OAuthRefusal(400, "invalid_request", "Invalid requested_token_type.");
  }
  if (!IsKnownScope(ValueOf(form, "scope"))) {
    return OAuthRefusal(400, "invalid_scope", "The scope is not known.");
  }
  const auto provider = providers_.find(ValueOf(form, "audience"));
  if (provider == providers_.end()) {
    return OAuthRefusal(400, "invalid_target",
                        "The target service indicated by the \"audience\" "
                        "parameters is invalid.");
  }
  const std::string type = ValueOf(form, "subject_token_type");
  if (type != "urn:ietf:params:oauth:token-type:jwt" &&
      type != "urn:ietf:params:oauth:token-type:id_token") {
    return OAuthRefusal(400, "invalid_request", "Invalid subject_token_type.");
  }
  const auto token = ParseJwt(ValueOf(form, "subject_token"));
  if (!token || token->header.value("kid", "") != kIssuerKeyId || !Issuer().Verifies(*token) ||
      token->claims.value("iss", "") != kIssuer) {
    return OAuthRefusal(400, "invalid_grant", "The signature of the subject token is invalid.");
  }
  if (token->claims.value("exp", int64_t{0}) <= Time()) {
    return OAuthRefusal(400, "invalid_grant", "ID Token issued is stale to sign-in.");
  }
  if (token->claims.value("aud", "") != provider->second.token_audience) {
    return OAuthRefusal(400, "invalid_grant", "The audience in ID Token does not match.");
  }
  const std::string& format = provider->second.principal_format;
  const size_t hole = format.find("{}");
  const std::string principal = format.substr(0, hole) + token->claims.value("sub", "") +
                                (hole == std::string::npos ? "" : format.substr(hole + 2));
  json grant = Grant(Issue(principal, token_life_), token_life_);
  grant["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token";
  return JsonAnswer(grant);
}

Response GcpIdentity::GenerateAccessToken(const HttpTestServer::Request& request,
                                          const std::string& email) {
  const auto bearer = BearerOf(request);
  std::optional<std::string> caller = bearer ? Principal(*bearer) : std::nullopt;
  if (!caller) {
    return GoogleError(401, "UNAUTHENTICATED",
                       "Request had invalid authentication credentials. Expected OAuth 2 access "
                       "token, login cookie or other valid authentication credential.",
                       "ACCESS_TOKEN_TYPE_UNSUPPORTED");
  }
  const json body = json::parse(request.body, nullptr, false);
  const json scopes = body.is_object() ? body.value("scope", json()) : json();
  if (!scopes.is_array() || scopes.empty() || !scopes[0].is_string() ||
      !IsKnownScope(scopes[0].get<std::string>())) {
    return GoogleError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.");
  }
  const std::string lifetime = body.value("lifetime", "3600s");
  const int64_t life = strtoll(lifetime.c_str(), nullptr, 10);
  if (!lifetime.ends_with('s') || life < 1 || life > kLongestLife) {
    return GoogleError(400, "INVALID_ARGUMENT", "The token lifetime is invalid.");
  }
  std::vector<std::string> chain;
  const json delegates = body.value("delegates", json());
  for (const json& delegate : delegates) {
    constexpr std::string_view kPrefix = "projects/-/serviceAccounts/";
    const std::string name = delegate.is_string() ? delegate.get<std::string>() : "";
    if (!name.starts_with(kPrefix)) {
      return GoogleError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.");
    }
    chain.push_back(name.substr(kPrefix.size()));
  }
  chain.push_back(email);
  for (const std::string& next : chain) {
    if (!token_creators_[next].contains(*caller)) {
      return GoogleError(403, "PERMISSION_DENIED",
                         "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or "
                         "it may not exist).",
                         "IAM_PERMISSION_DENIED");
    }
    caller = "serviceAccount:" + next;
  }
  return JsonAnswer(
      {{"accessToken", Issue(*caller, life)}, {"expireTime", Rfc3339(Time() + life)}});
}

}  // namespace secretfs::fakes
