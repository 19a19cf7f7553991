// Credential plugins (https://kubernetes.io/docs/reference/access-authn-authz/authentication/
// #client-go-credential-plugins): a program prints an ExecCredential, which is kept until it
// expires or the server refuses it.

#include <fcntl.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/auth/command_output.h"
#include "providers/kubernetes/issued_authorizer.h"
#include "providers/kubernetes/kubernetes_response.h"
#include "providers/selection/codec.h"

namespace secretfs::providers::kubernetes {
namespace {

// A credential this close to its end would not survive the request.
constexpr Duration kBeforeExpiry = std::chrono::seconds(5);

// The certificates that the server is verified with, in base64 of PEM; empty: the system's.
std::string AuthorityData(const TlsConfig& tls) {
  std::string pem = tls.ca_bundle;
  if (pem.empty() && !tls.ca_file.empty()) {
    std::stringstream content;
    content << std::ifstream(tls.ca_file).rdbuf();
    pem = content.str();
  }
  const SecretBytes encoded = EncodeBase64(std::as_bytes(std::span(pem.data(), pem.size())));
  return std::string(encoded.ExposeAsText());
}

class ExecAuthorizer final : public IssuedAuthorizer {
 public:
  ExecAuthorizer(const KubernetesExecAuth& config, const KubernetesAccess& cluster,
                 asio::io_context& context, const Clock& clock)
      : IssuedAuthorizer("credential plugin", context, clock),
        config_(config),
        url_(cluster.url),
        tls_(cluster.tls),
        context_(context) {}

  void Stop() override {
    stopped_ = true;
    if (run_ != nullptr) run_->End();
  }

 protected:
  asio::awaitable<absl::StatusOr<Issued>> Issue() override {
    if (stopped_) co_return absl::CancelledError("the store is closed");
    Command command;
    command.words = config_.arguments;
    command.words.insert(command.words.begin(), config_.command);
    command.environment = config_.environment;
    command.environment.emplace_back("KUBERNETES_EXEC_INFO", ExecInfo());
    run_ = std::make_shared<CommandRun>(context_, std::move(command));
    const absl::StatusOr<SecretBytes> output = co_await CommandRun::OutputOf(run_);
    run_.reset();
    if (!output.ok()) co_return Explained(output.status());
    absl::StatusOr<ExecCredential> credential =
        ParseExecCredential(output->ExposeAsText(), config_.api_version);
    if (!credential.ok()) {
      co_return WithContext(credential.status(), Format("'{}'", config_.command));
    }
    co_return IssuedFrom(*std::move(credential));
  }

 private:
  // What the plugin is told: that nobody can be asked, and where its credential will be used.
  std::string ExecInfo() const {
    nlohmann::json spec = {{"interactive", false}};
    if (config_.provide_cluster_info) {
      nlohmann::json cluster = {{"server", url_}};
      if (!tls_.server_name.empty()) cluster["tls-server-name"] = tls_.server_name;
      if (tls_.skip_verify) cluster["insecure-skip-tls-verify"] = true;
      const std::string authority = AuthorityData(tls_);
      if (!authority.empty()) cluster["certificate-authority-data"] = authority;
      nlohmann::json config = nlohmann::json::parse(config_.cluster_config, nullptr, false);
      if (!config.is_discarded()) cluster["config"] = std::move(config);
      spec["cluster"] = std::move(cluster);
    }
    const nlohmann::json info = {
        {"apiVersion", config_.api_version}, {"kind", "ExecCredential"}, {"spec", spec}};
    return info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  absl::Status Explained(const absl::Status& status) const {
    absl::Status explained = WithContext(status, "the credential plugin of the kubeconfig");
    if (absl::IsPermissionDenied(status)) {
      return absl::FailedPreconditionError(
          Format("{}; the walls around a mount's server let it start no programs: mount with "
                 "--no-sandbox, or use a token file",
                 MessageOf(explained)));
    }
    if (!absl::IsFailedPrecondition(status) || config_.install_hint.empty()) return explained;
    return absl::FailedPreconditionError(
        Format("{}; {}", MessageOf(explained), config_.install_hint));
  }

  Issued IssuedFrom(ExecCredential credential) const {
    Issued issued;
    if (!credential.token.empty()) {
      issued.authorization.token = std::make_shared<const SecretBytes>(std::move(credential.token));
    }
    if (!credential.client_key.empty()) {
      auto certificate = std::make_shared<ClientCertificate>();
      certificate->certificate =
          std::make_shared<const SecretBytes>(std::move(credential.client_certificate));
      certificate->key = std::make_shared<const SecretBytes>(std::move(credential.client_key));
      issued.authorization.certificate = std::move(certificate);
    }
    if (credential.expires_at.has_value()) {
      issued.expires_at = clock().Now() + (*credential.expires_at - clock().WallNow());
      issued.renew_at = issued.expires_at - kBeforeExpiry;
    }
    return issued;
  }

  const KubernetesExecAuth config_;
  const std::string url_;
  const TlsConfig tls_;
  asio::io_context& context_;
  std::shared_ptr<CommandRun> run_;  // the one under way
  bool stopped_ = false;
};

}  // namespace

std::shared_ptr<Authorizer> MakeExecAuthorizer(const KubernetesExecAuth& config,
                                               const KubernetesAccess& cluster,
                                               asio::io_context& context, const Clock& clock) {
  return std::make_shared<ExecAuthorizer>(config, cluster, context, clock);
}

}  // namespace secretfs::providers::kubernetes
