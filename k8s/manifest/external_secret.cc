#include "k8s/manifest/external_secret.h"

#include <utility>

#include "base/text.h"
#include "k8s/manifest/object_header.h"
#include "k8s/manifest/regexp.h"
#include "k8s/manifest/scalars.h"
#include "k8s/manifest/value_selection.h"

namespace secretfs::k8s {
namespace {

StoreReference ReadStoreRef(const Value& block) {
  const Fields fields(block, {"name", "kind"});
  StoreReference reference{fields.RequiredString("name"), StoreKind::kSecretStore,
                           block.location()};
  if (const auto kind = fields.Find("kind")) {
    reference.kind =
        kind->AsEnum<StoreKind>({{"SecretStore", StoreKind::kSecretStore},
                                 {"ClusterSecretStore", StoreKind::kClusterSecretStore}})
            .value_or(StoreKind::kSecretStore);
  }
  return reference;
}

// A sourceRef of one entry instead of the whole object's store.
void ReadSourceRef(const Fields& entry, StoreReference& store) {
  const std::optional<Value> source = entry.Find("sourceRef");
  if (!source) return;
  const Fields fields(*source, {"storeRef", "generatorRef"});
  const auto reference = fields.FindOneOf({"storeRef", "generatorRef"}, true);
  if (!reference) return;
  if (reference->first == "generatorRef") {
    reference->second.Problem("generators are not built into this version; expected storeRef");
    return;
  }
  store = ReadStoreRef(reference->second);
}

// Zero refreshes, and the policies that amount to it: fetched once.
PolicyOverrides ReadRefresh(const Fields& spec) {
  enum class Refresh { kPeriodic, kOnce };
  PolicyOverrides policy;
  Refresh refresh = Refresh::kPeriodic;
  if (const auto value = spec.Find("refreshPolicy")) {
    refresh = value
                  ->AsEnum<Refresh>({{"Periodic", Refresh::kPeriodic},
                                     {"OnChange", Refresh::kOnce},
                                     {"CreatedOnce", Refresh::kOnce}})
                  .value_or(Refresh::kPeriodic);
  }
  if (const auto interval = spec.Find("refreshInterval")) {
    policy.ttl = interval->AsDuration();
    if (policy.ttl == Duration::zero()) refresh = Refresh::kOnce;
  }
  if (refresh == Refresh::kOnce) policy.ttl = kLongestDuration;
  return policy;
}

// How characters that a Secret's key cannot have are replaced in names that come from the store.
void CheckConversion(const Fields& fields) {
  const auto conversion = fields.Find("conversionStrategy");
  if (conversion && conversion->AsOneOf({"Default", "Unicode"}) == size_t{1}) {
    conversion->Warn(
        "has no effect: characters that a key cannot have become '_', as with Default");
  }
}

// What a remoteRef says besides which secret it is.
void CheckRemoteRef(const Fields& fields) {
  if (const auto metadata = fields.Find("metadataPolicy")) {
    if (metadata->AsOneOf({"None", "Fetch"}) == size_t{1}) {
      metadata->Problem(
          "fetching a secret's metadata is not built into this version; expected None");
    }
  }
  CheckConversion(fields);
  // A file takes zero bytes.
  if (const auto null_bytes = fields.Find("nullBytePolicy")) {
    if (null_bytes->AsOneOf({"Ignore", "Fail"}) == size_t{1}) {
      null_bytes->Warn("has no effect: files hold zero bytes as they are");
    }
  }
}

const std::vector<std::string_view>& RemoteRefFields() {
  static const std::vector<std::string_view> kFields{"key",
                                                     "property",
                                                     "version",
                                                     "metadataPolicy",
                                                     "conversionStrategy",
                                                     "decodingStrategy",
                                                     "nullBytePolicy"};
  return kFields;
}

void ReadData(const Value& block, const StoreReference& store, const PolicyOverrides& policy,
              Draft& draft) {
  const Fields fields(block, {"secretKey", "remoteRef", "sourceRef"});
  if (!fields.valid()) return;
  Unresolved<ManifestFile> file{{}, store, policy, block.location()};
  if (const auto key = fields.Require("secretKey")) {
    file.where = key->location();
    file.value.path = key->AsString().value_or("");
    if (const auto problem = PathProblem(file.value.path)) {
      key->Problem(Format("{} {}", Quote(file.value.path), *problem));
      file.value.path.clear();
    }
  }
  ReadSourceRef(fields, file.store);
  if (const auto reference = fields.Require("remoteRef")) {
    const Fields remote(*reference, RemoteRefFields());
    file.value.ref.key = remote.RequiredString("key");
    file.value.ref.version = remote.String("version");
    file.value.selection.property = remote.String("property");
    if (const auto property = remote.Find("property");
        property && file.value.selection.property.empty()) {
      property->Warn(
          "is empty: the file holds the whole secret, as with External Secrets; expected a "
          "property, or none if that is meant");
    }
    if (const auto decoding = remote.Find("decodingStrategy")) {
      file.value.selection.decoding = ReadDecodingStrategy(*decoding);
    }
    CheckRemoteRef(remote);
  }
  draft.files.push_back(std::move(file));
}

void ReadExtract(const Value& block, ManifestExpansion& expansion) {
  const Fields fields(block, RemoteRefFields());
  const std::string key = fields.RequiredString("key");
  expansion.source = ExtractFields{{.key = key, .version = fields.String("version")}};
  if (const auto property = fields.Find("property")) {
    property->Problem(
        "taking one property apart is not built into this version; expected the whole secret, or "
        "data entries for single properties");
  }
  if (const auto decoding = fields.Find("decodingStrategy")) {
    expansion.decoding = ReadDecodingStrategy(*decoding);
  }
  CheckRemoteRef(fields);
}

void ReadFind(const Value& block, ManifestExpansion& expansion) {
  const Fields fields(block, {"path", "name", "tags", "conversionStrategy", "decodingStrategy"});
  FindSecrets find;
  find.path = fields.Selector("path", "no path for the whole store");
  if (const auto tags = fields.Find("tags")) {
    tags->Problem("finding secrets by tags is not built into this version; expected name");
  }
  if (const auto name = fields.Find("name")) {
    const Fields name_fields(*name, {"regexp"});
    size_t groups = 0;
    if (const auto regexp = name_fields.Require("regexp")) {
      find.name_regexp = ReadRegexp(*regexp, groups).value_or("");
    }
  } else if (fields.valid() && !fields.Find("tags") && !fields.Find("path")) {
    block.Problem(
        "would find every secret of the store; expected name or path (all: name: {regexp: .*})");
  } else if (!find.path.empty() && find.path.find_first_not_of('/') == std::string::npos) {
    fields.Find("path")->Problem(
        "would find every secret of the store; expected name beside it (all: name: {regexp: .*})");
  }
  expansion.source = std::move(find);
  if (const auto decoding = fields.Find("decodingStrategy")) {
    expansion.decoding = ReadDecodingStrategy(*decoding);
  }
  CheckConversion(fields);
}

void ReadRewrite(const Value& block, ManifestExpansion& expansion) {
  const Fields fields(block, {"regexp", "transform", "merge"});
  const auto kind = fields.FindOneOf({"regexp", "transform", "merge"}, true);
  if (!kind) return;
  if (kind->first != "regexp") {
    kind->second.Problem(
        "this way to rewrite names is not built into this version; expected regexp");
    return;
  }
  const Fields regexp(kind->second, {"source", "target"});
  const auto source = regexp.Require("source"), target = regexp.Require("target");
  if (!source || !target) return;
  size_t groups = 0;
  std::optional<std::string> pattern = ReadRegexp(*source, groups);
  if (!pattern) return;
  std::optional<std::string> replacement = ReadReplacement(*target, groups);
  if (!replacement) return;
  expansion.rewrite_regexp.emplace_back(*std::move(pattern), *std::move(replacement));
}

// The extract or find in `mapping`, if that is one.
const YamlEntry* FindSelector(const YamlNode& mapping) {
  const YamlEntry* extract = FindEntry(mapping, "extract");
  return extract != nullptr ? extract : FindEntry(mapping, "find");
}

// How an item of dataFrom came to name a store and nothing in it: a wrong indentation is all that
// explains it. `next`: the item after it, `spec`: what the list stands in.
std::string LikelyIndentation(const Value& item, const Value* next, const Value& spec) {
  const auto place = [&item](const YamlEntry& entry, std::string_view what) {
    return Format("; '{}' on line {} {}", entry.key, item.source().Map(entry.key_position).line,
                  what);
  };
  const YamlEntry* source = FindEntry(item.node(), "sourceRef");
  if (source != nullptr) {
    const YamlEntry* store = FindEntry(*source->value, "storeRef");
    const YamlEntry* inside = FindSelector(*source->value);
    if (inside == nullptr && store != nullptr) inside = FindSelector(*store->value);
    if (inside != nullptr) return place(*inside, "is indented too far: move it under sourceRef");
  }
  if (const YamlEntry* empty = FindSelector(item.node()); empty != nullptr) {
    return place(*empty, "is empty: indent what belongs to it further than it");
  }
  const YamlEntry* after = next == nullptr ? nullptr : FindSelector(next->node());
  if (after != nullptr && FindEntry(next->node(), "sourceRef") == nullptr) {
    return place(*after, "begins an item of its own: take its '-' away");
  }
  const YamlEntry* outside = FindSelector(spec.node());
  if (outside != nullptr) return place(*outside, "is not indented enough: move it under sourceRef");
  return "";
}

void ReadDataFrom(const Value& block, const Value* next, const Value& spec,
                  const StoreReference& store, const PolicyOverrides& policy, Draft& draft) {
  const Fields fields(block, {"extract", "find", "sourceRef", "rewrite"});
  if (!fields.valid()) return;
  Unresolved<ManifestExpansion> expansion{{}, store, policy, block.location()};
  ReadSourceRef(fields, expansion.store);
  if (const auto what = fields.FindOneOf({"extract", "find"}, false)) {
    what->first == "extract" ? ReadExtract(what->second, expansion.value)
                             : ReadFind(what->second, expansion.value);
  } else if (const auto source = fields.Find("sourceRef");
             !source || FindEntry(source->node(), "generatorRef") == nullptr) {
    block.Problem(Format("names no secret of its store; expected one of extract or find{}{}",
                         source ? " beside sourceRef" : "", LikelyIndentation(block, next, spec)));
  }
  if (const auto rewrite = fields.Find("rewrite")) {
    for (const Value& step : rewrite->Items()) {
      ReadRewrite(step, expansion.value);
    }
  }
  draft.expansions.push_back(std::move(expansion));
}

// The target is the Secret that the operator would write. Only a template that makes values matters
// to somebody who reads files.
void ReadTarget(const Value& block) {
  const Fields fields(
      block, {"name", "creationPolicy", "deletionPolicy", "immutable", "manifest", "template"});
  if (const auto policy = fields.Find("creationPolicy")) {
    policy->AsOneOf({"Owner", "Orphan", "Merge", "CreateOrMerge", "None"});
  }
  if (const auto policy = fields.Find("deletionPolicy")) {
    policy->AsOneOf({"Retain", "Delete", "Merge"});
  }
  if (const auto immutable = fields.Find("immutable")) {
    if (immutable->AsBool().value_or(false)) {
      immutable->Warn(
          "has no effect: files follow the store; expected refreshInterval: 0 to keep them");
    }
  }
  if (const auto manifest = fields.Find("manifest")) {
    manifest->Warn("has no effect on a mount: no Kubernetes object is written");
  }
  const std::optional<Value> block_template = fields.Find("template");
  if (!block_template) return;
  const Fields parts(*block_template,
                     {"type", "engineVersion", "metadata", "mergePolicy", "data", "templateFrom"});
  for (const std::string_view name : {"data", "templateFrom"}) {
    if (const auto part = parts.Find(name)) {
      part->Problem(
          "templates are not applied to files in this version, so their content would differ; "
          "expected "
          "no template, or data entries only");
    }
  }
  for (const std::string_view name : {"type", "metadata"}) {
    if (const auto part = parts.Find(name)) {
      part->Warn("has no effect on a mount: no Kubernetes Secret is written");
    }
  }
}

}  // namespace

void ReadExternalSecret(const Value& document, Draft& draft) {
  const Fields fields(document, {"apiVersion", "kind", "metadata", "spec", "status"});
  ReadObjectHeader(fields);
  draft.has_kubernetes_files = true;
  const std::optional<Value> spec_value = fields.Require("spec");
  if (!spec_value) return;
  const Fields spec(*spec_value, {"secretStoreRef", "refreshPolicy", "refreshInterval",
                                  "syncWindows", "target", "data", "dataFrom"});
  if (!spec.valid()) return;
  StoreReference store{"", StoreKind::kSecretStore, spec_value->location()};
  store.where.field += ".secretStoreRef";
  if (const auto reference = spec.Find("secretStoreRef")) store = ReadStoreRef(*reference);
  const PolicyOverrides policy = ReadRefresh(spec);
  if (const auto windows = spec.Find("syncWindows")) {
    windows->Warn("has no effect on a mount: files are refreshed at any time");
  }
  if (const auto target = spec.Find("target")) ReadTarget(*target);
  const auto data = spec.Find("data"), data_from = spec.Find("dataFrom");
  if (!data && !data_from) spec_value->Problem("describes no files; expected data or dataFrom");
  if (data) {
    for (const Value& block : data->Items()) {
      ReadData(block, store, policy, draft);
    }
  }
  if (data_from) {
    const std::vector<Value> items = data_from->Items();
    for (size_t i = 0; i < items.size(); ++i) {
      const Value* next = i + 1 < items.size() ? &items[i + 1] : nullptr;
      ReadDataFrom(items[i], next, *spec_value, store, policy, draft);
    }
  }
}

}  // namespace secretfs::k8s
