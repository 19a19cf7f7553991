// The identities that Entra's token endpoint knows: a service principal with a secret or with a
// certificate, and a workload identity, whose token another issuer signed.

#include <openssl/rand.h>

#include <chrono>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/credential.h"
#include "providers/auth/jwt.h"
#include "providers/azure/entra.h"
#include "providers/azure/key_material.h"
#include "providers/azure/token_source.h"

namespace secretfs::providers::azure {
namespace {

constexpr std::string_view kAssertionType =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
// Long enough for a clock that is a little off, short enough to be of no use to a thief.
constexpr std::chrono::minutes kAssertionLife(10);

class ServicePrincipal : public TokenSource {
 public:
  ServicePrincipal(AzureIdentifier client_id, std::string authority_host,
                   std::shared_ptr<Transport> transport)
      : client_id_(std::move(client_id)), entra_(std::move(authority_host), std::move(transport)) {}

  asio::awaitable<absl::StatusOr<AccessToken>> Get(Audience audience,
                                                   MonotonicTime deadline) override {
    const absl::StatusOr<std::string> client_id = ReadIdentifier(client_id_, "client id");
    if (!client_id.ok()) co_return client_id.status();
    LoginForm form;
    form.Add("client_id", *client_id);
    const absl::Status proof = AddProof(*client_id, audience, form);
    if (!proof.ok()) co_return proof;
    co_return co_await entra_.GetToken(audience, std::move(form), deadline);
  }

 protected:
  // Adds what proves that this is `client_id`.
  virtual absl::Status AddProof(const std::string& client_id, const Audience& audience,
                                LoginForm& form) = 0;

  std::string Whom() const {
    return client_id_.text.empty() ? "" : Format(" of the application {}", client_id_.text);
  }
  Entra& entra() { return entra_; }

 private:
  const AzureIdentifier client_id_;
  Entra entra_;
};

class ClientSecretSource final : public ServicePrincipal {
 public:
  ClientSecretSource(const AzureClientSecretAuth& config, std::string authority_host,
                     std::shared_ptr<Transport> transport)
      : ServicePrincipal(config.client_id, std::move(authority_host), std::move(transport)),
        secret_(config.client_secret, "client secret") {}

  std::string Description() const override {
    return Format("the {}{}", secret_.Description(), Whom());
  }
  bool HasNewCredential() const override { return secret_.Changed(); }

 private:
  absl::Status AddProof(const std::string&, const Audience&, LoginForm& form) override {
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes secret, secret_.Read());
    form.Add("client_secret", secret.ExposeAsText());
    return absl::OkStatus();
  }

  Credential secret_;
};

class WorkloadIdentitySource final : public ServicePrincipal {
 public:
  WorkloadIdentitySource(const AzureWorkloadIdentityAuth& config, std::string authority_host,
                         std::shared_ptr<Transport> transport)
      : ServicePrincipal(config.client_id, std::move(authority_host), std::move(transport)),
        token_(config.token, "federated token") {}

  std::string Description() const override {
    return Format("the {}{}", token_.Description(), Whom());
  }

 private:
  // Read each time: whoever makes the token replaces it before it ends. That alone is no reason to
  // log in again, the identity is the same.
  absl::Status AddProof(const std::string&, const Audience&, LoginForm& form) override {
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes token, token_.Read());
    form.Add("client_assertion_type", kAssertionType);
    form.Add("client_assertion", token.ExposeAsText());
    return absl::OkStatus();
  }

  Credential token_;
};

class ClientCertificateSource final : public ServicePrincipal {
 public:
  ClientCertificateSource(const AzureClientCertificateAuth& config, std::string authority_host,
                          std::shared_ptr<Transport> transport)
      : ServicePrincipal(config.client_id, std::move(authority_host), std::move(transport)),
        certificate_(config.client_certificate, "client certificate"),
        password_(config.password, "client certificate's password"),
        send_chain_(config.send_chain) {}

  std::string Description() const override {
    return Format("the {}{}", certificate_.Description(), Whom());
  }
  bool HasNewCredential() const override { return certificate_.Changed(); }

 private:
  absl::Status AddProof(const std::string& client_id, const Audience& audience,
                        LoginForm& form) override {
    SECRETFS_ASSIGN_OR_RETURN(const SecretBytes material, certificate_.ReadExact());
    SecretBytes password;
    if (!password_.empty()) {
      SECRETFS_ASSIGN_OR_RETURN(password, password_.Read());
    }
    absl::StatusOr<SigningIdentity> identity = ReadSigningIdentity(material, password);
    if (!identity.ok()) {
      return absl::FailedPreconditionError(Format(
          "the {} cannot be used: {}", certificate_.Description(), MessageOf(identity.status())));
    }
    absl::StatusOr<SecretBytes> assertion = Sign(*identity, client_id, audience);
    if (!assertion.ok()) {
      return absl::FailedPreconditionError(Format(
          "the {} cannot be used: {}", certificate_.Description(), MessageOf(assertion.status())));
    }
    form.Add("client_assertion_type", kAssertionType);
    form.Add("client_assertion", assertion->ExposeAsText());
    return absl::OkStatus();
  }

  absl::StatusOr<SecretBytes> Sign(const SigningIdentity& identity, const std::string& client_id,
                                   const Audience& audience) {
    unsigned char id[16];
    if (RAND_bytes(id, sizeof id) != 1) return absl::InternalError("OpenSSL has no randomness");
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(
        entra().clock().WallNow().time_since_epoch());
    SecretJson claims = SecretJson::object();
    const auto set = [&claims](std::string_view name, std::string_view value) {
      claims[SecretString(name)] = SecretString(value);
    };
    set("aud", entra().TokenUrl(audience.tenant));
    set("iss", client_id);
    set("sub", client_id);
    set("jti", EncodeBase64Url(std::as_bytes(std::span(id))).ExposeAsText());
    claims["iat"] = static_cast<int64_t>(now.count());
    claims["nbf"] = static_cast<int64_t>(now.count());
    claims["exp"] = static_cast<int64_t>((now + kAssertionLife).count());
    SecretJson header = SecretJson::object();
    header["x5t#S256"] = SecretString(std::string_view(identity.sha256));
    if (send_chain_) {
      SecretJson chain = SecretJson::array();
      for (const std::string& one : identity.chain) {
        chain.push_back(SecretString(std::string_view(one)));
      }
      header["x5c"] = std::move(chain);
    }
    return SignJwt(JwtAlgorithm::kPs256, header, claims, identity.key);
  }

  Credential certificate_;
  Credential password_;
  const bool send_chain_;
};

}  // namespace

std::unique_ptr<TokenSource> MakeClientSecretSource(const AzureClientSecretAuth& config,
                                                    std::string authority_host,
                                                    std::shared_ptr<Transport> transport) {
  return std::make_unique<ClientSecretSource>(config, std::move(authority_host),
                                              std::move(transport));
}

std::unique_ptr<TokenSource> MakeClientCertificateSource(const AzureClientCertificateAuth& config,
                                                         std::string authority_host,
                                                         std::shared_ptr<Transport> transport) {
  return std::make_unique<ClientCertificateSource>(config, std::move(authority_host),
                                                   std::move(transport));
}

std::unique_ptr<TokenSource> MakeWorkloadIdentitySource(const AzureWorkloadIdentityAuth& config,
                                                        std::string authority_host,
                                                        std::shared_ptr<Transport> transport) {
  return std::make_unique<WorkloadIdentitySource>(config, std::move(authority_host),
                                                  std::move(transport));
}

}  // namespace secretfs::providers::azure
