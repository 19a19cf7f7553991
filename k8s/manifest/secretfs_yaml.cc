#include "k8s/manifest/secretfs_yaml.h"

#include <limits>
#include <utility>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"
#include "k8s/manifest/scalars.h"
#include "k8s/manifest/store_reader.h"
#include "k8s/manifest/value_selection.h"

namespace secretfs::k8s {
namespace {

constexpr std::string_view kApiVersion = "secretfs/v1";

// A store's fields; `name` is known where stores are a list.
void ReadStore(const Value& block, std::optional<std::string> name, Draft& draft) {
  std::vector<std::string_view> known = ProviderNames();
  if (!name) known.insert(known.begin(), "name");
  known.push_back("policy");
  const Fields fields(block, std::move(known));
  StoreDraft store;
  store.kind = StoreKind::kNative;
  store.name = name ? *name : fields.RequiredString("name");
  store.where = block.location();
  if (std::optional<ProviderConfig> config = ReadProvider(fields, {&draft.resources, ""})) {
    store.config = providers::StoreConfig{store.name, *std::move(config)};
  }
  if (const auto policy = fields.Find("policy")) store.policy = ReadPolicy(*policy);
  draft.AddStore(std::move(store));
}

void ReadStores(const Value& stores, Draft& draft) {
  if (stores.node().kind == YamlNode::Kind::kSequence) {
    for (const Value& block : stores.Items()) ReadStore(block, std::nullopt, draft);
    return;
  }
  for (const auto& [name, block] : stores.Entries()) {
    if (name.empty()) {
      block.Problem("has an empty name; expected a name for the store");
      continue;
    }
    ReadStore(block, name, draft);
  }
}

StoreReference ReadStoreReference(const Fields& fields) {
  StoreReference reference;
  reference.where = fields.value().location();
  reference.where.field += ".store";
  if (const auto store = fields.Find("store")) {
    reference.name = store->AsNonEmptyString().value_or("");
    reference.where = store->location();
  }
  return reference;
}

std::string ReadFilePath(const Fields& fields, Location& where) {
  const std::optional<Value> value = fields.Require("path");
  if (!value) return "";
  where = value->location();
  const std::optional<std::string> path = value->AsString();
  if (!path) return "";
  if (const std::optional<std::string> problem = PathProblem(*path)) {
    value->Problem(Format("{} {}", Quote(*path), *problem));
    return "";
  }
  return *path;
}

void ReadFile(const Value& block, Draft& draft) {
  const Fields fields(block,
                      {"path", "store", "key", "version", "property", "jmesPath", "extractJSONKey",
                       "extractYAMLKey", "decoding", "encoding", "mode", "policy"});
  if (!fields.valid()) return;
  Unresolved<ManifestFile> file;
  file.where = block.location();
  file.value.path = ReadFilePath(fields, file.where);
  file.store = ReadStoreReference(fields);
  file.value.ref.key = fields.RequiredString("key");
  file.value.ref.version = fields.String("version");
  ReadPart(fields, file.value.selection);
  if (const auto decoding = fields.Find("decoding")) {
    file.value.selection.decoding = ReadDecoding(*decoding);
  }
  if (const auto encoding = fields.Find("encoding")) {
    file.value.selection.encoding = ReadEncoding(*encoding);
  }
  if (const auto mode = fields.Find("mode")) file.value.mode = mode->AsMode(false);
  if (const auto policy = fields.Find("policy")) file.policy = ReadPolicy(*policy);
  draft.files.push_back(std::move(file));
}

void ReadBrowse(const Value& block, Draft& draft) {
  const Fields fields(block, {"path", "store", "prefix", "policy"});
  if (!fields.valid()) return;
  Unresolved<ManifestBrowse> tree;
  tree.where = block.location();
  if (const auto path = fields.Find("path")) {
    tree.where = path->location();
    tree.value.path = path->AsString().value_or("");
    if (tree.value.path == ".") tree.value.path.clear();
    const std::optional<std::string> problem =
        tree.value.path.empty() ? std::nullopt : PathProblem(tree.value.path);
    if (problem) path->Problem(Format("{} {}", Quote(tree.value.path), *problem));
  }
  tree.store = ReadStoreReference(fields);
  tree.value.prefix = fields.Selector("prefix", "'/' or no prefix for the whole store");
  while (tree.value.prefix.ends_with('/')) tree.value.prefix.pop_back();
  if (const auto policy = fields.Find("policy")) tree.policy = ReadPolicy(*policy);
  draft.browse.push_back(std::move(tree));
}

void ReadMount(const Value& block, Draft& draft) {
  if (draft.mount) {
    block.Problem(Format("is set at {} already; expected one mount block over all files",
                         draft.mount->second.Origin()));
    return;
  }
  const Fields fields(block, {"layout", "uid", "gid", "mode", "directoryMode", "audit"});
  constexpr int64_t kHighestId = std::numeric_limits<uint32_t>::max() - 1;
  MountSettings mount;
  if (const auto layout = fields.Find("layout")) {
    mount.layout =
        layout->AsEnum<fs::Layout>({{"flat", fs::Layout::kFlat}, {"atomic", fs::Layout::kAtomic}});
  }
  if (const auto uid = fields.Find("uid")) mount.uid = uid->AsInteger(0, kHighestId);
  if (const auto gid = fields.Find("gid")) mount.gid = gid->AsInteger(0, kHighestId);
  if (const auto mode = fields.Find("mode")) mount.file_mode = mode->AsMode(false);
  if (const auto mode = fields.Find("directoryMode")) mount.directory_mode = mode->AsMode(false);
  if (const auto audit = fields.Find("audit")) {
    mount.audit_open = audit->AsEnum<bool>({{"none", false}, {"open", true}}).value_or(false);
  }
  draft.mount.emplace(mount, block.location());
}

}  // namespace

void ReadSecretfsYaml(const Value& document, Draft& draft) {
  const Fields fields(document, {"apiVersion", "stores", "files", "browse", "mount", "policy"});
  if (const auto version = fields.Find("apiVersion")) version->AsOneOf({kApiVersion});
  if (const auto stores = fields.Find("stores")) ReadStores(*stores, draft);
  if (const auto files = fields.Find("files")) {
    for (const Value& block : files->Items()) ReadFile(block, draft);
  }
  if (const auto browse = fields.Find("browse")) {
    for (const Value& block : browse->Items()) {
      ReadBrowse(block, draft);
    }
  }
  if (const auto mount = fields.Find("mount")) ReadMount(*mount, draft);
  if (const auto policy = fields.Find("policy")) {
    if (draft.policy) {
      policy->Problem(Format("is set at {} already; expected one policy block over all files",
                             draft.policy->second.Origin()));
    } else {
      draft.policy.emplace(ReadPolicy(*policy), policy->location());
    }
  }
}

}  // namespace secretfs::k8s
