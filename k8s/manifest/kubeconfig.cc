#include "k8s/manifest/kubeconfig.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/resource_index.h"
#include "k8s/manifest/store_reader.h"
#include "k8s/manifest/yaml_tree.h"

namespace secretfs::k8s {
namespace {

using providers::CredentialSource;
using providers::KubernetesAccess;
using providers::KubernetesExecAuth;

// A place in a kubeconfig: where it stands, for messages and relative paths. Empty: not there.
struct Node {
  const std::string* file = nullptr;
  const YamlNode* yaml = nullptr;

  explicit operator bool() const { return yaml != nullptr; }
  // The member of that name; null counts as not there.
  Node operator[](std::string_view name) const {
    if (yaml == nullptr || yaml->kind != YamlNode::Kind::kMapping) return {};
    for (const YamlEntry& entry : yaml->entries) {
      if (entry.key == name && entry.value->kind != YamlNode::Kind::kNull) {
        return {file, entry.value.get()};
      }
    }
    return {};
  }
  // A scalar's text; "" for anything else.
  std::string Text() const {
    return yaml != nullptr && yaml->kind == YamlNode::Kind::kScalar ? yaml->scalar : "";
  }
  bool IsTrue() const { return Text() == "true"; }
  std::vector<Node> Items() const {
    std::vector<Node> items;
    if (yaml == nullptr || yaml->kind != YamlNode::Kind::kSequence) return items;
    for (const YamlNodePtr& item : yaml->items) items.push_back({file, item.get()});
    return items;
  }
  absl::Status Problem(std::string_view message) const {
    return absl::InvalidArgumentError(
        Format("kubeconfig {}:{}: {}", *file, yaml->position.line, message));
  }
};

// A scalar's value as locked memory.
std::shared_ptr<const SecretBytes> SecretOf(const Node& node) {
  return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(
      node.yaml->kind == YamlNode::Kind::kScalar ? std::string_view(node.yaml->scalar)
                                                 : std::string_view()));
}

// The bytes of a ...-data member.
absl::StatusOr<std::shared_ptr<const SecretBytes>> DataOf(const Node& node) {
  std::optional<SecretBytes> bytes = DecodeBase64(SecretOf(node)->ExposeAsText());
  if (!bytes.has_value()) return node.Problem("this is not base64");
  return std::make_shared<const SecretBytes>(*std::move(bytes));
}

std::string PathOf(const Node& node) { return ResolvePath(node.Text(), *node.file); }

struct Config {
  std::string name;
  YamlNodePtr root;
};

absl::StatusOr<Config> Parse(const KubeconfigText& text) {
  YamlStream stream = ParseYaml(text.text->ExposeAsText());
  if (!stream.problems.empty()) {
    return absl::InvalidArgumentError(Format("kubeconfig {}:{}: {}", text.name,
                                             stream.problems.front().position.line,
                                             stream.problems.front().message));
  }
  if (stream.documents.size() > 1) {
    return absl::InvalidArgumentError(
        Format("kubeconfig {}: has several documents; expected one", text.name));
  }
  YamlNodePtr root = stream.documents.empty() ? std::make_shared<const YamlNode>()
                                              : std::move(stream.documents.front());
  return Config{text.name, std::move(root)};
}

// The content of the first entry of that name in a list such as `clusters`.
absl::StatusOr<Node> Entry(const std::vector<Config>& configs, std::string_view list,
                           std::string_view member, const std::string& name, const Node& wanted) {
  std::vector<std::string> names;
  for (const Config& config : configs) {
    for (const Node& item : Node{&config.name, config.root.get()}[list].Items()) {
      names.push_back(item["name"].Text());
      if (names.back() != name) continue;
      const Node content = item[member];
      if (!content) return item.Problem(Format("has no {}", member));
      return content;
    }
  }
  const std::string near =
      DidYouMean(name, std::vector<std::string_view>(names.begin(), names.end()));
  const std::string message = Format("there is no '{}' in {}{}", name, list, near);
  if (wanted) return wanted.Problem(message);
  std::string files;
  for (const Config& config : configs) files += (files.empty() ? "" : ", ") + config.name;
  return absl::InvalidArgumentError(Format("kubeconfig {}: {}", files, message));
}

absl::Status ReadCluster(const Node& cluster, KubernetesAccess& access) {
  access.url = cluster["server"].Text();
  if (access.url.empty()) return cluster.Problem("the cluster has no server");
  if (const Node proxy = cluster["proxy-url"]) {
    return proxy.Problem(
        "proxy-url is not built in; the proxy comes from the environment (HTTPS_PROXY, NO_PROXY)");
  }
  access.tls.server_name = cluster["tls-server-name"].Text();
  access.tls.skip_verify = cluster["insecure-skip-tls-verify"].IsTrue();
  if (const Node data = cluster["certificate-authority-data"]) {
    SECRETFS_ASSIGN_OR_RETURN(const std::shared_ptr<const SecretBytes> pem, DataOf(data));
    access.tls.ca_bundle = pem->ExposeAsText();
  } else if (const Node file = cluster["certificate-authority"]) {
    access.tls.ca_file = PathOf(file);
  }
  return absl::OkStatus();
}

// Any YAML as JSON, for a plugin that reads it.
nlohmann::json ToJson(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kSequence: {
      nlohmann::json items = nlohmann::json::array();
      for (const YamlNodePtr& item : node.items) items.push_back(ToJson(*item));
      return items;
    }
    case YamlNode::Kind::kMapping: {
      nlohmann::json members = nlohmann::json::object();
      for (const YamlEntry& entry : node.entries) members[entry.key] = ToJson(*entry.value);
      return members;
    }
    case YamlNode::Kind::kScalar:
      break;
  }
  if (!node.is_text) {
    nlohmann::json plain = nlohmann::json::parse(node.scalar, nullptr, false);
    if (plain.is_boolean() || plain.is_number()) return plain;
  }
  return node.scalar;
}

absl::StatusOr<KubernetesExecAuth> ReadExec(const Node& exec, const Node& cluster) {
  KubernetesExecAuth auth;
  auth.api_version = exec["apiVersion"].Text();
  if (auth.api_version != "client.authentication.k8s.io/v1" &&
      auth.api_version != "client.authentication.k8s.io/v1beta1") {
    return exec.Problem(
        "the plugin's apiVersion is not built in; expected client.authentication.k8s.io/v1");
  }
  auth.command = exec["command"].Text();
  if (auth.command.empty()) return exec.Problem("the plugin has no command");
  // A name is looked for on PATH; a path is relative to the kubeconfig.
  if (auth.command.find('/') != std::string::npos) auth.command = PathOf(exec["command"]);
  for (const Node& argument : exec["args"].Items()) auth.arguments.push_back(argument.Text());
  for (const Node& variable : exec["env"].Items()) {
    auth.environment.emplace_back(variable["name"].Text(), variable["value"].Text());
  }
  if (exec["interactiveMode"].Text() == "Always") {
    return exec.Problem(
        "the plugin wants a terminal (interactiveMode: Always), which a mount has "
        "not");
  }
  auth.install_hint = exec["installHint"].Text();
  auth.provide_cluster_info = exec["provideClusterInfo"].IsTrue();
  for (const Node& extension : cluster["extensions"].Items()) {
    const Node content = extension["extension"];
    if (extension["name"].Text() == "client.authentication.k8s.io/exec" && content) {
      auth.cluster_config = ToJson(*content.yaml).dump();
    }
  }
  return auth;
}

absl::Status ReadClientCertificate(const Node& user, KubernetesAccess& access) {
  const Node certificate_data = user["client-certificate-data"], key_data = user["client-key-data"];
  const Node certificate = user["client-certificate"], key = user["client-key"];
  if (certificate_data && key_data) {
    SECRETFS_ASSIGN_OR_RETURN(access.tls.client_certificate, DataOf(certificate_data));
    SECRETFS_ASSIGN_OR_RETURN(access.tls.client_key, DataOf(key_data));
  } else if (certificate && key) {
    access.tls.client_certificate_file = PathOf(certificate);
    access.tls.client_key_file = PathOf(key);
  } else if (certificate_data || key_data || certificate || key) {
    return user.Problem(
        "the user has one half of a client certificate, or halves of different kinds; expected "
        "client-certificate and client-key, or client-certificate-data and client-key-data");
  } else {
    return absl::OkStatus();
  }
  access.auth = providers::KubernetesCertificateAuth{};
  return absl::OkStatus();
}

absl::Status ReadUser(const Node& user, const Node& cluster, KubernetesAccess& access) {
  for (const char* name : {"auth-provider", "username", "password", "as", "as-uid", "as-groups"}) {
    if (const Node field = user[name]) {
      return field.Problem(Format(
          "{} is not built in; expected a client certificate, token, tokenFile or exec", name));
    }
  }
  SECRETFS_RETURN_IF_ERROR(ReadClientCertificate(user, access));
  CredentialSource token;
  // A file wins over a token beside it, as in kubectl.
  if (const Node file = user["tokenFile"]) {
    token.file = PathOf(file);
  } else if (const Node text = user["token"]) {
    token.inline_value = SecretOf(text);
  }
  const Node exec = user["exec"];
  if (!token.empty()) {
    access.auth = providers::KubernetesTokenAuth{std::move(token)};
  } else if (exec) {
    SECRETFS_ASSIGN_OR_RETURN(access.auth, ReadExec(exec, cluster));
  }
  if (std::holds_alternative<std::monostate>(access.auth)) {
    return user.Problem(
        "the user has no credential; expected a client certificate, token, tokenFile or exec");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<KubeconfigContext> ReadKubeconfig(const std::vector<KubeconfigText>& texts,
                                                 const std::string& context) {
  std::vector<Config> configs;
  for (const KubeconfigText& text : texts) {
    SECRETFS_ASSIGN_OR_RETURN(Config config, Parse(text));
    configs.push_back(std::move(config));
  }
  std::string name = context;
  Node asks;  // what names the context
  for (const Config& config : configs) {
    const Node current = Node{&config.name, config.root.get()}["current-context"];
    if (!name.empty() || current.Text().empty()) continue;
    name = current.Text();
    asks = current;
  }
  if (name.empty()) {
    return absl::InvalidArgumentError(
        Format("kubeconfig {}: has no current-context, and none is chosen",
               texts.empty() ? "(none)" : texts.front().name));
  }
  SECRETFS_ASSIGN_OR_RETURN(const Node chosen, Entry(configs, "contexts", "context", name, asks));
  SECRETFS_ASSIGN_OR_RETURN(
      const Node cluster, Entry(configs, "clusters", "cluster", chosen["cluster"].Text(), chosen));
  SECRETFS_ASSIGN_OR_RETURN(const Node user,
                            Entry(configs, "users", "user", chosen["user"].Text(), chosen));
  KubeconfigContext result;
  result.name_space = chosen["namespace"].Text();
  SECRETFS_RETURN_IF_ERROR(ReadCluster(cluster, result.access));
  SECRETFS_RETURN_IF_ERROR(ReadUser(user, cluster, result.access));
  return result;
}

}  // namespace secretfs::k8s
