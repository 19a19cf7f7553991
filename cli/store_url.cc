#include "cli/store_url.h"

#include <algorithm>
#include <optional>

#include "base/status.h"
#include "base/text.h"
#include "k8s/manifest/near_miss.h"

namespace secretfs::cli {
namespace {

constexpr std::string_view kVersion = "?version=";

absl::Status UnknownScheme(std::string_view text, std::string_view scheme) {
  // "/path/store.sfs" alone, a natural first try.
  if (scheme.find('/') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Format("'{0}' names no store; a local store's file is 'local:{0}'", text));
  }
  return absl::InvalidArgumentError(Format(
      "unknown kind of store '{}' in '{}'{}; expected local, local:/path, vault:MOUNT/PREFIX, "
      "kubernetes:NAMESPACE, azure:VAULT, gcp:PROJECT/PREFIX, aws-secretsmanager:PREFIX or "
      "aws-parameterstore:PREFIX",
      scheme, text,
      k8s::DidYouMean(scheme, {"local", "vault", "kubernetes", "azure", "gcp", "aws-secretsmanager",
                               "aws-parameterstore"})));
}

std::string_view WithoutEndSlashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

std::string_view TrimSlashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return WithoutEndSlashes(path);
}

absl::Status CheckVaultPath(std::string_view path, std::string_view text) {
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component == "." || component == ".." || (component.empty() && !path.empty())) {
      return absl::InvalidArgumentError(
          Format("'{}' has an empty, '.' or '..' component; expected vault:MOUNT/PREFIX", text));
    }
    begin = end + 1;
  }
  return absl::OkStatus();
}

absl::StatusOr<StoreUrl> ParseKubernetesUrl(std::string_view path, std::string_view text) {
  if (path.empty() || path.find_first_of("/#?") != std::string_view::npos) {
    return absl::InvalidArgumentError(Format(
        "'{}' is no namespace's store; expected kubernetes:NAMESPACE (one value: 'secretfs get "
        "kubernetes:NAMESPACE/NAME#KEY')",
        text));
  }
  return StoreUrl{.scheme = StoreScheme::kKubernetes, .path = std::string(path)};
}

// "kubernetes:NAMESPACE/NAME": takes the name off the end of `url`.
absl::StatusOr<std::string> TakeSecretName(std::string_view& url, std::string_view text) {
  while (url.ends_with('/')) url.remove_suffix(1);
  const size_t slash = url.rfind('/');
  if (slash == std::string_view::npos || slash + 1 == url.size()) {
    return absl::InvalidArgumentError(
        Format("'{}' names no Secret; expected kubernetes:NAMESPACE/NAME#KEY", text));
  }
  std::string name(url.substr(slash + 1));
  url = url.substr(0, slash);
  return name;
}

absl::StatusOr<StoreUrl> ParseAzureUrl(std::string_view path, std::string_view text) {
  const std::string_view vault = path.substr(0, path.find('/'));
  const std::string_view kind = path.substr(std::min(vault.size() + 1, path.size()));
  if (vault.empty() || !(kind.empty() || kind == "secret" || kind == "cert" || kind == "key")) {
    return absl::InvalidArgumentError(
        Format("'{}' is no Key Vault; expected azure:VAULT, or azure:VAULT/cert or azure:VAULT/key "
               "(one value: 'secretfs get azure:VAULT/NAME')",
               text));
  }
  return StoreUrl{.scheme = StoreScheme::kAzure, .path = std::string(path)};
}

// "azure:VAULT/NAME" and "azure:VAULT/cert/NAME": takes all but the vault off the end of `url`.
absl::StatusOr<std::string> TakeAzureKey(std::string_view& url, std::string_view text) {
  const size_t slash = url.find('/');
  if (slash == std::string_view::npos || slash + 1 == url.size()) {
    return absl::InvalidArgumentError(
        Format("'{}' names no secret; expected azure:VAULT/NAME", text));
  }
  std::string key(url.substr(slash + 1));
  url = url.substr(0, slash);
  return key;
}

// "PROJECT/PREFIX" as the beginning of resource names, which may also stand there themselves.
absl::StatusOr<StoreUrl> ParseGcpUrl(std::string_view path, std::string_view text) {
  const size_t slash = std::min(path.find('/'), path.size());
  const std::string_view project = path.substr(0, slash);
  if (project.empty() || path.find_first_of("#?") != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Format("'{}' names no project; expected gcp:PROJECT or gcp:PROJECT/PREFIX", text));
  }
  if (project == "projects")
    return StoreUrl{.scheme = StoreScheme::kGcp, .path = std::string(path)};
  return StoreUrl{.scheme = StoreScheme::kGcp,
                  .path = Format("projects/{}/secrets{}", project, path.substr(slash))};
}

// Takes "?version=N" off the end of `text`.
absl::StatusOr<std::optional<std::string>> TakeVersion(std::string_view& text) {
  const size_t at = text.rfind(kVersion);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view version = text.substr(at + kVersion.size());
  // Something else stands behind it: not the end, or part of a name.
  if (version.find_first_of("/#") != std::string_view::npos) return std::nullopt;
  if (version.empty()) {
    return absl::InvalidArgumentError(
        Format("'{}' has an empty version; expected ?version=N", text));
  }
  text = text.substr(0, at);
  return std::string(version);
}

}  // namespace

absl::StatusOr<StoreUrl> ParseStoreUrl(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view scheme = text.substr(0, colon);
  const bool has_path = colon != std::string_view::npos;
  const std::string_view path = has_path ? text.substr(colon + 1) : std::string_view();
  if (path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("a store's path cannot hold a NUL byte");
  }
  if (scheme == "local") {
    if (has_path && path.empty()) {
      return absl::InvalidArgumentError(
          "'local:' has no path; expected local:/path, or local for the default store");
    }
    return StoreUrl{.scheme = StoreScheme::kLocal, .path = std::string(path)};
  }
  if (scheme == "vault") {
    if (path.starts_with("//")) {
      return absl::InvalidArgumentError(
          Format("'{}' holds a server; the server comes from VAULT_ADDR, and the URL is "
                 "vault:MOUNT/PREFIX",
                 text));
    }
    SECRETFS_RETURN_IF_ERROR(CheckVaultPath(TrimSlashes(path), text));
    return StoreUrl{.scheme = StoreScheme::kVault, .path = std::string(TrimSlashes(path))};
  }
  if (scheme == "azure") return ParseAzureUrl(TrimSlashes(path), text);
  if (scheme == "gcp") return ParseGcpUrl(TrimSlashes(path), text);
  if (scheme == "kubernetes") return ParseKubernetesUrl(TrimSlashes(path), text);
  if (scheme == "aws-secretsmanager" || scheme == "aws-parameterstore") {
    const StoreScheme service = scheme == "aws-secretsmanager" ? StoreScheme::kAwsSecretsManager
                                                               : StoreScheme::kAwsParameterStore;
    // A slash at the beginning is part of the names.
    return StoreUrl{.scheme = service, .path = std::string(WithoutEndSlashes(path))};
  }
  return UnknownScheme(text, scheme);
}

bool HasPrefix(StoreScheme scheme) {
  return scheme == StoreScheme::kVault || scheme == StoreScheme::kAwsSecretsManager ||
         scheme == StoreScheme::kAwsParameterStore || scheme == StoreScheme::kGcp;
}

std::string PrefixOf(const StoreUrl& url) {
  if (HasPrefix(url.scheme)) return url.path;
  const size_t slash = url.path.find('/');
  if (url.scheme != StoreScheme::kAzure || slash == std::string::npos) return "";
  return url.path.substr(slash + 1);
}

absl::StatusOr<SecretReference> ParseSecretReference(std::string_view text) {
  std::string_view rest = text;
  SECRETFS_ASSIGN_OR_RETURN(std::optional<std::string> version, TakeVersion(rest));
  const size_t hash = rest.find('#');
  std::string_view url = rest.substr(0, hash);
  const std::string fragment(hash == std::string_view::npos ? "" : rest.substr(hash + 1));
  if (!version.has_value()) {
    SECRETFS_ASSIGN_OR_RETURN(version, TakeVersion(url));
  }

  SecretReference reference;
  if (url.starts_with("kubernetes:")) {
    SECRETFS_ASSIGN_OR_RETURN(reference.ref.key, TakeSecretName(url, text));
  }
  if (url.starts_with("azure:")) {
    SECRETFS_ASSIGN_OR_RETURN(reference.ref.key, TakeAzureKey(url, text));
  }
  SECRETFS_ASSIGN_OR_RETURN(reference.store, ParseStoreUrl(url));
  reference.ref.version = version.value_or("");
  if (reference.store.scheme == StoreScheme::kLocal) {
    if (fragment.empty()) {
      return absl::InvalidArgumentError(
          Format("'{}' names a store but no secret in it; expected {}#KEY", text, url));
    }
    reference.ref.key = fragment;
    return reference;
  }
  if (reference.store.scheme == StoreScheme::kKubernetes ||
      reference.store.scheme == StoreScheme::kAzure) {
    reference.property = fragment;
    return reference;
  }
  if (reference.store.path.empty() ||
      (reference.store.scheme == StoreScheme::kGcp && reference.store.path.ends_with("/secrets"))) {
    return absl::InvalidArgumentError(
        Format("'{}' names no secret; expected {}:{}", text, url.substr(0, url.find(':')),
               reference.store.scheme == StoreScheme::kVault ? "MOUNT/PATH#FIELD"
               : reference.store.scheme == StoreScheme::kGcp ? "PROJECT/NAME"
                                                             : "NAME"));
  }
  reference.ref.key = reference.store.path;
  reference.store.path.clear();
  reference.property = fragment;
  return reference;
}

}  // namespace secretfs::cli
