#include "k8s/manifest/store_reader.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"
#include "k8s/manifest/aws_reader.h"
#include "k8s/manifest/azure_reader.h"
#include "k8s/manifest/gcp_reader.h"
#include "k8s/manifest/kubernetes_reader.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/vault_reader.h"

namespace secretfs::k8s {
namespace {

constexpr std::array<std::string_view, 6> kProviders{"local",   "vault", "aws",
                                                     "azurekv", "gcpsm", "kubernetes"};

providers::LocalStoreConfig ReadLocal(const Value& block, const StoreContext& context) {
  const Fields fields(block, {"path", "key"});
  providers::LocalStoreConfig local;
  local.path = ReadPath(fields, "path");
  const std::optional<Value> key = fields.Find("key");
  if (!key) return local;
  const Fields key_fields(*key, {"file", "passphrase", "systemdCredential"});
  const auto source = key_fields.FindOneOf({"file", "passphrase", "systemdCredential"}, true);
  if (!source) return local;
  if (source->first == "file") {
    local.key.key_file = ReadPath(key_fields, "file");
  } else if (source->first == "passphrase") {
    local.key.passphrase =
        ReadCredential(source->second, context).value_or(providers::CredentialSource{});
  } else {
    local.key.systemd_credential = source->second.AsNonEmptyString().value_or("");
    if (local.key.systemd_credential.find('/') != std::string::npos) {
      source->second.Problem("holds a '/'; expected a name as in LoadCredential=");
    }
  }
  return local;
}

}  // namespace

std::vector<std::string_view> ProviderNames() { return {kProviders.begin(), kProviders.end()}; }

std::optional<ProviderConfig> ReadProvider(const Fields& parent, const StoreContext& context) {
  const auto provider = parent.FindOneOf(ProviderNames(), true);
  if (!provider) return std::nullopt;
  const auto& [name, block] = *provider;
  if (name == "local") return ReadLocal(block, context);
  if (name == "vault") return ReadVault(block, context);
  if (name == "aws") return ReadAws(block, context);
  if (name == "gcpsm") return ReadGcp(block, context);
  if (name == "azurekv") return ReadAzure(block, context);
  return ReadKubernetesStore(block, context);
}

std::string ResolvePath(const std::string& path, const std::string& manifest) {
  if (path.empty() || path.front() == '/') return path;
  if (path.starts_with("~/")) {
    const char* home = getenv("HOME");
    return home == nullptr ? path : home + path.substr(1);
  }
  const size_t folder = manifest.rfind('/');
  return folder == std::string::npos ? path : manifest.substr(0, folder + 1) + path;
}

std::string ReadPath(const Fields& fields, std::string_view name) {
  const std::optional<Value> value = fields.Find(name);
  if (!value) return "";
  const std::optional<std::string> path = value->AsNonEmptyString();
  return path ? ResolvePath(*path, value->source().file()) : "";
}

std::optional<providers::CredentialSource> ReadCredential(const Value& value,
                                                          const StoreContext& context) {
  if (value.node().kind != YamlNode::Kind::kMapping) {
    // Somebody put the credential itself here: say so without repeating it.
    value.Problem(
        "is not a reference; expected {file: PATH}, {env: NAME} or {name: SECRET, key: KEY}, "
        "so that no credential stands in the manifest");
    return std::nullopt;
  }
  const Fields fields(value, {"file", "env", "name", "key", "namespace"});
  const auto kind = fields.FindOneOf({"file", "env", "name"}, true);
  if (!kind) return std::nullopt;
  providers::CredentialSource source;
  if (kind->first == "file") {
    source.file = ReadPath(fields, "file");
  } else if (kind->first == "env") {
    source.environment = kind->second.AsNonEmptyString().value_or("");
    if (source.environment.find('=') != std::string::npos) {
      kind->second.Problem("holds a '='; expected the name of an environment variable");
    }
  } else {
    const std::string name = fields.RequiredString("name"), key = fields.RequiredString("key");
    if (name.empty() || key.empty()) return std::nullopt;
    const std::string own_namespace = fields.String("namespace");
    source.inline_value = context.resources->Find(
        ResourceIndex::Kind::kSecret, own_namespace.empty() ? context.name_space : own_namespace,
        name, key, value);
  }
  if (kind->first != "name") {
    for (const std::string_view extra : {"key", "namespace"}) {
      if (const auto field = fields.Find(extra)) {
        field->Problem(Format("goes with name only; expected no {} beside {}", extra, kind->first));
      }
    }
  }
  if (source.empty()) return std::nullopt;
  return source;
}

}  // namespace secretfs::k8s
