#include "k8s/manifest/manifest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/locked_memory.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "k8s/manifest/draft.h"
#include "k8s/manifest/external_secret.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/resolve.h"
#include "k8s/manifest/secret_provider_class.h"
#include "k8s/manifest/secret_store.h"
#include "k8s/manifest/secretfs_yaml.h"

namespace secretfs::k8s {
namespace {

enum class Kind {
  kSecretfs,
  kSecret,
  kConfigMap,
  kSecretStore,
  kClusterSecretStore,
  kSecretProviderClass,
  kExternalSecret,
};

constexpr std::string_view kExternalSecretsV1 = "external-secrets.io/v1";
constexpr std::string_view kExternalSecretsV1beta1 = "external-secrets.io/v1beta1";

struct Document {
  Kind kind;
  Value value;
};

struct KnownKind {
  std::string_view name;
  Kind kind;
  std::vector<std::string_view> api_versions;
};

const std::vector<KnownKind>& KnownKinds() {
  static const std::vector<KnownKind> kKinds{
      {"SecretProviderClass",
       Kind::kSecretProviderClass,
       {"secrets-store.csi.x-k8s.io/v1", "secrets-store.csi.x-k8s.io/v1alpha1"}},
      {"SecretStore", Kind::kSecretStore, {kExternalSecretsV1, kExternalSecretsV1beta1}},
      {"ClusterSecretStore",
       Kind::kClusterSecretStore,
       {kExternalSecretsV1, kExternalSecretsV1beta1}},
      {"ExternalSecret", Kind::kExternalSecret, {kExternalSecretsV1, kExternalSecretsV1beta1}},
      {"Secret", Kind::kSecret, {"v1"}},
      {"ConfigMap", Kind::kConfigMap, {"v1"}},
  };
  return kKinds;
}

Value Child(const Value& parent, const YamlEntry& entry) {
  return Value(&parent.source(), entry.value, entry.key_position,
               parent.field().empty() ? entry.key : parent.field() + "." + entry.key);
}

// Sorts one document (or the items of a List) by its kind.
class Classifier {
 public:
  explicit Classifier(std::vector<Document>& documents) : documents_(documents) {}

  void Add(const Value& document) {
    if (document.node().kind != YamlNode::Kind::kMapping) {
      document.Problem("is not a mapping; expected secretfs.yaml or a Kubernetes object");
      return;
    }
    const YamlEntry* kind = FindEntry(document.node(), "kind");
    if (kind == nullptr) {
      documents_.push_back({Kind::kSecretfs, document});
    } else if (kind->value->scalar == "List") {
      AddList(document);
    } else {
      AddObject(document, Child(document, *kind));
    }
  }

 private:
  void AddList(const Value& list) {
    const Fields fields(list, {"apiVersion", "kind", "metadata", "items"});
    const std::optional<Value> items = fields.Require("items");
    if (!items) return;
    for (const Value& item : items->Items()) Add(item);
  }

  void AddObject(const Value& document, const Value& kind_value) {
    std::vector<std::string_view> names;
    for (const KnownKind& known : KnownKinds()) names.push_back(known.name);
    names.push_back("List");
    const std::optional<size_t> index = kind_value.AsOneOf(names);
    if (!index) return;
    const KnownKind& known = KnownKinds()[*index];
    const YamlEntry* version = FindEntry(document.node(), "apiVersion");
    if (version == nullptr) {
      document.Problem(Format("lacks apiVersion; expected {}", JoinWithOr(known.api_versions)));
    } else {
      Child(document, *version).AsOneOf(known.api_versions);
    }
    documents_.push_back({known.kind, document});
  }

  std::vector<Document>& documents_;
};

void Read(const Document& document, Draft& draft) {
  switch (document.kind) {
    case Kind::kSecretfs:
      return ReadSecretfsYaml(document.value, draft);
    case Kind::kSecret:
      return draft.resources.AddSecret(document.value);
    case Kind::kConfigMap:
      return draft.resources.AddConfigMap(document.value);
    case Kind::kSecretStore:
      return ReadSecretStore(document.value, StoreKind::kSecretStore, draft);
    case Kind::kClusterSecretStore:
      return ReadSecretStore(document.value, StoreKind::kClusterSecretStore, draft);
    case Kind::kSecretProviderClass:
      return ReadSecretProviderClass(document.value, draft);
    case Kind::kExternalSecret:
      return ReadExternalSecret(document.value, draft);
  }
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return absl::InvalidArgumentError(Format("{}: cannot be opened: {}", path, strerror(errno)));
  }
  std::string text;
  std::array<char, 16384> buffer;
  while (text.size() <= kLargestManifest) {
    const ssize_t got = read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::InvalidArgumentError(Format("{}: cannot be read: {}", path, strerror(errno)));
    }
    if (got == 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  Wipe(buffer.data(), buffer.size());
  return text;
}

}  // namespace

absl::StatusOr<Manifest> ParseManifests(const NamedTexts& named_texts) {
  Draft draft;
  std::vector<std::unique_ptr<const Source>> sources;
  std::vector<Document> documents;
  Classifier classifier(documents);
  for (const auto& [name, text] : named_texts) {
    sources.push_back(std::make_unique<const Source>(name, &draft.problems));
    const YamlStream stream = ParseYaml(text);
    for (const YamlProblem& problem : stream.problems) {
      draft.problems.Add({name, problem.position, problem.field}, problem.message);
    }
    if (stream.documents.empty() && stream.problems.empty()) {
      draft.problems.Add({name, {}, ""}, "is empty; expected secretfs.yaml or a Kubernetes object");
    }
    for (const YamlNodePtr& root : stream.documents) {
      classifier.Add(Value(sources.back().get(), root, ""));
    }
  }
  if (!draft.problems.empty()) return draft.problems.ToStatus();
  // Stores refer to Secrets and ConfigMaps while they are read.
  const auto is_resource = [](const Document& document) {
    return document.kind == Kind::kSecret || document.kind == Kind::kConfigMap;
  };
  for (const bool resources : {true, false}) {
    for (const Document& document : documents) {
      if (is_resource(document) == resources) Read(document, draft);
    }
  }
  Manifest manifest = ResolveDraft(draft);
  if (!draft.problems.empty()) return draft.problems.ToStatus();
  manifest.warnings = draft.problems.Warnings();
  return manifest;
}

absl::StatusOr<NamedTexts> ReadManifestTexts(const std::vector<std::string>& paths) {
  NamedTexts named_texts;
  std::string unreadable;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> text = ReadText(path);
    if (text.ok()) {
      named_texts.emplace_back(path, *std::move(text));
    } else {
      unreadable += Format("{}{}", unreadable.empty() ? "" : "\n", MessageOf(text.status()));
    }
  }
  if (!unreadable.empty()) return absl::InvalidArgumentError(unreadable);
  return named_texts;
}

absl::StatusOr<Manifest> ReadManifests(const std::vector<std::string>& paths) {
  absl::StatusOr<NamedTexts> named_texts = ReadManifestTexts(paths);
  if (!named_texts.ok()) return named_texts.status();
  absl::StatusOr<Manifest> manifest = ParseManifests(*named_texts);
  // A Secret given along is a credential.
  for (auto& [name, text] : *named_texts) Wipe(text.data(), text.size());
  return manifest;
}

}  // namespace secretfs::k8s
