#include "k8s/manifest/kubernetes_reader.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/tls_reader.h"
#include "k8s/manifest/vault_reader.h"

namespace secretfs::k8s {
namespace {

using providers::CredentialSource;
using providers::KubernetesStoreConfig;

void ReadServer(const Value& block, const StoreContext& context,
                providers::KubernetesAccess& server) {
  const Fields fields(block,
                      {"url", "caBundle", "caProvider", "caFile", "serverName", "skipVerify"});
  if (const auto url = fields.Find("url")) {
    server.url = url->AsNonEmptyString().value_or("");
    // External Secrets takes "kubernetes.default" for the cluster's own.
    if (server.url.find("://") == std::string::npos && !server.url.empty()) {
      server.url = "https://" + server.url;
    }
    CheckServer(*url, server.url);
  }
  server.tls.ca_bundle = ReadAuthorities(fields, context);
  server.tls.ca_file = ReadPath(fields, "caFile");
  server.tls.server_name = fields.String("serverName");
  if (const auto skip = fields.Find("skipVerify")) {
    server.tls.skip_verify = skip->AsBool().value_or(false);
  }
}

// One half of a client certificate: a file, or a Secret that was given along.
void ReadHalf(const Fields& fields, std::string_view name, const StoreContext& context,
              std::string& file, std::shared_ptr<const SecretBytes>& text) {
  const auto value = fields.Require(name);
  if (!value) return;
  const std::optional<CredentialSource> source = ReadCredential(*value, context);
  if (!source) return;
  if (!source->environment.empty()) {
    value->Problem(
        "cannot come from an environment variable; expected {file: PATH} or {name: SECRET, key: "
        "KEY}");
    return;
  }
  file = source->file;
  text = source->inline_value;
}

void ReadCertificate(const Value& block, const StoreContext& context,
                     providers::KubernetesAccess& server) {
  const Fields fields(block, {"clientCert", "clientKey"});
  providers::TlsConfig& tls = server.tls;
  ReadHalf(fields, "clientCert", context, tls.client_certificate_file, tls.client_certificate);
  ReadHalf(fields, "clientKey", context, tls.client_key_file, tls.client_key);
  if (tls.client_certificate_file.empty() != tls.client_key_file.empty()) {
    block.Problem(
        "takes one half from a file; expected clientCert and clientKey both from files, "
        "or both from Secrets");
  }
  server.auth = providers::KubernetesCertificateAuth{};
}

// {bearerToken: CREDENTIAL} as External Secrets has it, or a credential itself.
void ReadToken(const Value& block, const StoreContext& context,
               providers::KubernetesAccess& server) {
  std::optional<CredentialSource> source;
  if (block.node().kind == YamlNode::Kind::kMapping && !block.node().entries.empty() &&
      block.node().entries.front().key == "bearerToken") {
    const Fields fields(block, {"bearerToken"});
    if (const auto token = fields.Find("bearerToken")) source = ReadCredential(*token, context);
  } else {
    source = ReadCredential(block, context);
  }
  server.auth = providers::KubernetesTokenAuth{source.value_or(CredentialSource{})};
}

void ReadServiceAccount(const Value& block, const StoreContext& context,
                        KubernetesStoreConfig& store) {
  const Fields fields(block, {"name", "namespace", "audiences"});
  providers::KubernetesServiceAccount account;
  account.name = fields.RequiredString("name");
  account.name_space = fields.String("namespace");
  if (account.name_space.empty()) account.name_space = context.name_space;
  if (account.name_space.empty()) account.name_space = store.remote_namespace;
  if (const auto audiences = fields.Find("audiences")) {
    for (const Value& audience : audiences->Items()) {
      const std::string text = audience.AsNonEmptyString().value_or("");
      if (!text.empty()) account.audiences.push_back(text);
    }
  }
  store.service_account = std::move(account);
}

void ReadKubernetesAuth(const Value& block, const StoreContext& context,
                        KubernetesStoreConfig& store) {
  const Fields fields(block, {"cert", "token", "serviceAccount"});
  const auto method = fields.FindOneOf({"cert", "token", "serviceAccount"}, true);
  if (!method) return;
  if (method->first == "cert") ReadCertificate(method->second, context, store.server);
  if (method->first == "token") ReadToken(method->second, context, store.server);
  if (method->first == "serviceAccount") ReadServiceAccount(method->second, context, store);
}

// authRef: a kubeconfig in a Secret, as External Secrets has it. kubeconfig: its file.
void ReadKubeconfigOf(const Fields& fields, const StoreContext& context,
                      KubernetesStoreConfig& store) {
  const auto source = fields.FindOneOf({"kubeconfig", "authRef"}, false);
  if (source && source->first == "authRef") {
    store.kubeconfig = ReadCredential(source->second, context).value_or(CredentialSource{});
  } else if (source) {
    store.kubeconfig.file = ReadPath(fields, "kubeconfig");
  }
  const auto chosen = fields.Find("context");
  if (!chosen) return;
  store.context = chosen->AsNonEmptyString().value_or("");
  if (!source) chosen->Problem("names a context of no kubeconfig; expected kubeconfig beside it");
}

}  // namespace

KubernetesStoreConfig ReadKubernetesStore(const Value& block, const StoreContext& context) {
  const Fields fields(block,
                      {"server", "remoteNamespace", "auth", "authRef", "kubeconfig", "context"});
  KubernetesStoreConfig store;
  if (const auto server = fields.Find("server")) ReadServer(*server, context, store.server);
  if (const auto name_space = fields.Find("remoteNamespace")) {
    store.remote_namespace = name_space->AsNonEmptyString().value_or(store.remote_namespace);
  }
  if (const auto auth = fields.Find("auth")) ReadKubernetesAuth(*auth, context, store);
  ReadKubeconfigOf(fields, context, store);
  return store;
}

}  // namespace secretfs::k8s
