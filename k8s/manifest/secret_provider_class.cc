#include "k8s/manifest/secret_provider_class.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/aws_class.h"
#include "k8s/manifest/azure_class.h"
#include "k8s/manifest/embedded_yaml.h"
#include "k8s/manifest/gcp_class.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/object_header.h"
#include "k8s/manifest/scalars.h"
#include "k8s/manifest/store_reader.h"
#include "k8s/manifest/value_selection.h"
#include "k8s/manifest/vault_reader.h"

namespace secretfs::k8s {
namespace {

// A parameter that is a path in the provider's pod: taken as a path here.
void CheckPair(const Fields& parameters, const providers::TlsConfig& tls) {
  if (tls.client_certificate_file.empty() != tls.client_key_file.empty()) {
    parameters.value().Problem(
        "has one half of a client certificate; expected vaultTLSClientCertPath and "
        "vaultTLSClientKeyPath together");
  }
}

providers::VaultStoreConfig ReadVaultParameters(const Fields& parameters) {
  providers::VaultStoreConfig vault;
  vault.server = parameters.String("vaultAddress");
  if (const auto address = parameters.Find("vaultAddress")) CheckServer(*address, vault.server);
  vault.name_space = parameters.String("vaultNamespace");
  vault.tls.ca_file = ReadPath(parameters, "vaultCACertPath");
  vault.tls.ca_directory = ReadPath(parameters, "vaultCADirectory");
  vault.tls.server_name = parameters.String("vaultTLSServerName");
  vault.tls.client_certificate_file = ReadPath(parameters, "vaultTLSClientCertPath");
  vault.tls.client_key_file = ReadPath(parameters, "vaultTLSClientKeyPath");
  CheckPair(parameters, vault.tls);
  if (const auto skip = parameters.Find("vaultSkipTLSVerify")) {
    vault.tls.skip_verify = skip->AsBool().value_or(false);
  }
  providers::VaultKubernetesAuth auth;
  auth.role = parameters.RequiredString("roleName");
  if (const auto mount =
          parameters.FindOneOf({"vaultAuthMountPath", "vaultKubernetesMountPath"}, false)) {
    auth.mount_path = mount->second.AsNonEmptyString().value_or(auth.mount_path);
  }
  if (const auto audience = parameters.Find("audience")) {
    audience->Warn("has no effect: the token is taken from a file, whose audience is already set");
  }
  vault.auth = std::move(auth);
  return vault;
}

// `secret/data/app?version=2` as key and version. The "data" of the key-value engine's second
// version stays: which mounts have that version the provider finds out.
providers::SecretRef ReadSecretPath(const Value& value) {
  const std::string path = value.AsNonEmptyString().value_or("");
  const size_t query_start = std::min(path.find('?'), path.size());
  providers::SecretRef ref;
  std::string_view key = std::string_view(path).substr(0, query_start);
  for (const std::string_view prefix : {"/", "v1/"}) {
    if (key.starts_with(prefix)) key.remove_prefix(prefix.size());
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  ref.key = key;
  if (!path.empty() && ref.key.empty())
    value.Problem("names no secret; expected a path such as secret/data/app");
  std::string_view query = std::string_view(path).substr(query_start);
  while (!query.empty()) {
    query.remove_prefix(1);  // '?' or '&'
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end);
    if (pair.starts_with("version=") && pair.size() > 8) {
      ref.version = pair.substr(8);
    } else if (!pair.empty()) {
      value.Problem(Format("the query {} is not built into this version; expected version=N only",
                           Quote(pair)));
    }
  }
  return ref;
}

void RefuseWrites(const Fields& object) {
  if (const auto method = object.Find("method")) {
    const std::string name = method->AsString().value_or("GET");
    if (name != "GET" && !name.empty()) {
      method->Problem(
          Format("the method {} is not built into this version; expected GET", Quote(name)));
    }
  }
  if (const auto arguments = object.Find("secretArgs")) {
    const YamlNode& node = arguments->node();
    if (!node.entries.empty() || node.kind != YamlNode::Kind::kMapping) {
      arguments->Problem(
          "arguments for writing requests are not built into this version; expected none");
    }
  }
}

void ReadObject(const Value& block, const std::string& store, Draft& draft) {
  const Fields fields(block, {"objectName", "secretPath", "secretKey", "method", "secretArgs",
                              "filePermission", "encoding"});
  if (!fields.valid()) return;
  Unresolved<ManifestFile> file;
  file.where = block.location();
  file.store = {store, StoreKind::kSecretProviderClass, file.where};
  if (const auto name = fields.Require("objectName")) {
    file.where = name->location();
    file.value.path = name->AsString().value_or("");
    if (const auto problem = PathProblem(file.value.path)) {
      name->Problem(Format("{} {}", Quote(file.value.path), *problem));
      file.value.path.clear();
    }
  }
  if (const auto path = fields.Require("secretPath")) file.value.ref = ReadSecretPath(*path);
  file.value.selection.property = fields.String("secretKey");
  if (file.value.selection.property.empty()) {
    block.Warn(
        "has no secretKey: its file holds the secret's fields as JSON, without the lease and "
        "metadata that HashiCorp's provider adds around them");
  }
  // The encoding is the one that the value has in the store: the file holds the decoded bytes.
  if (const auto encoding = fields.Find("encoding")) {
    file.value.selection.decoding = ReadStoredEncoding(*encoding);
  }
  if (const auto mode = fields.Find("filePermission")) file.value.mode = mode->AsMode(true);
  RefuseWrites(fields);
  draft.files.push_back(std::move(file));
}

void ReadVaultClass(const Value& parameters, const ObjectHeader& header, const Location& where,
                    Draft& draft) {
  const Fields fields(
      parameters, {"roleName", "vaultAddress", "vaultNamespace", "vaultAuthMountPath",
                   "vaultKubernetesMountPath", "audience", "vaultSkipTLSVerify", "vaultCACertPath",
                   "vaultCADirectory", "vaultTLSServerName", "vaultTLSClientCertPath",
                   "vaultTLSClientKeyPath", "objects"});
  if (!fields.valid()) return;
  StoreDraft store;
  store.kind = StoreKind::kSecretProviderClass;
  store.name = header.name;
  store.where = where;
  store.config = providers::StoreConfig{header.name, ReadVaultParameters(fields)};
  draft.AddStore(std::move(store));
  if (const auto objects = fields.Require("objects")) {
    ReadEmbeddedList(*objects, [&](const Value& item) { ReadObject(item, header.name, draft); });
  }
}

}  // namespace

void ReadSecretProviderClass(const Value& document, Draft& draft) {
  const Fields fields(document, {"apiVersion", "kind", "metadata", "spec", "status"});
  const ObjectHeader header = ReadObjectHeader(fields);
  draft.has_kubernetes_files = true;
  const std::optional<Value> spec = fields.Require("spec");
  if (!spec) return;
  const Fields spec_fields(*spec, {"provider", "parameters", "secretObjects"});
  if (const auto objects = spec_fields.Find("secretObjects")) {
    objects->Warn("has no effect on a mount: no Kubernetes Secret is written");
  }
  const std::optional<Value> provider = spec_fields.Require("provider");
  const std::optional<Value> parameters = spec_fields.Require("parameters");
  if (!provider || !parameters) return;
  const std::optional<size_t> index = provider->AsOneOf({"vault", "aws", "azure", "gcp"});
  if (!index) return;
  switch (*index) {
    case 0:
      return ReadVaultClass(*parameters, header, document.location(), draft);
    case 1:
      return ReadAwsClass(*parameters, header, document.location(), draft);
    case 2:
      return ReadAzureClass(*parameters, header, document.location(), draft);
    default:
      return ReadGcpClass(*parameters, header, document.location(), draft);
  }
}

}  // namespace secretfs::k8s
