#include "k8s/manifest/resolve.h"

#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "k8s/manifest/near_miss.h"

namespace secretfs::k8s {
namespace {

class Resolver {
 public:
  explicit Resolver(Draft& draft) : draft_(draft) {}

  Manifest Run() {
    SetMount();
    ResolveAll(draft_.files, manifest_.files);
    ResolveAll(draft_.browse, manifest_.browse);
    ResolveAll(draft_.expansions, manifest_.expansions);
    for (StoreDraft& store : draft_.stores) {
      if (store.config) manifest_.stores.push_back(*std::move(store.config));
    }
    CheckPaths();
    WarnOfIdleParts();
    return std::move(manifest_);
  }

 private:
  void SetMount() {
    if (draft_.policy) {
      manifest_.default_policy = ApplyPolicy(manifest_.default_policy, draft_.policy->first);
    }
    if (draft_.mount) {
      const MountSettings& mount = draft_.mount->first;
      manifest_.layout = mount.layout;
      manifest_.uid = mount.uid;
      manifest_.gid = mount.gid;
      manifest_.file_mode = mount.file_mode;
      manifest_.directory_mode = mount.directory_mode;
      manifest_.audit_open = mount.audit_open;
    }
    if (!draft_.has_kubernetes_files) return;
    if (!manifest_.layout) {
      // A browse tree cannot be atomic: its files are not known together.
      manifest_.layout = draft_.browse.empty() ? fs::Layout::kAtomic : fs::Layout::kFlat;
    }
    if (!manifest_.file_mode) manifest_.file_mode = 0644;
    if (!manifest_.directory_mode) manifest_.directory_mode = 0755;
  }

  template <typename T>
  void ResolveAll(std::vector<Unresolved<T>>& drafts, std::vector<T>& resolved) {
    for (Unresolved<T>& draft : drafts) {
      const StoreDraft* store = FindStore(draft.store);
      T value = draft.value;
      value.origin = draft.where.Origin();
      value.policy = manifest_.default_policy;
      if (store != nullptr) {
        used_.insert(store);
        value.policy = ApplyPolicy(value.policy, store->policy);
        value.store = store->config ? store->config->name : store->name;
      }
      value.policy = ApplyPolicy(value.policy, draft.policy);
      resolved.push_back(std::move(value));
    }
  }

  const StoreDraft* FindStore(const StoreReference& reference) {
    std::vector<const StoreDraft*> candidates;
    std::vector<std::string_view> names;
    for (const StoreDraft& store : draft_.stores) {
      if (reference.kind && store.kind != *reference.kind) continue;
      if (store.name == reference.name) return &store;
      candidates.push_back(&store);
      names.push_back(store.name);
    }
    if (reference.name.empty() && candidates.size() == 1) return candidates.front();
    draft_.problems.Add(reference.where, MissingStore(reference, names));
    return nullptr;
  }

  std::string MissingStore(const StoreReference& reference,
                           const std::vector<std::string_view>& names) {
    if (reference.name.empty()) {
      if (names.empty()) return "no store is described; expected one under stores";
      return Format("missing, and there are several stores; expected {}", JoinWithOr(names));
    }
    if (reference.kind) {
      const std::string_view kind = StoreKindName(*reference.kind);
      for (const StoreDraft& other : draft_.stores) {
        if (other.name != reference.name) continue;
        return Format("{} is a {}, not a {}; expected kind: {}", Quote(reference.name),
                      StoreKindName(other.kind), kind, StoreKindName(other.kind));
      }
      return Format("the {} {} is not among the given manifests; expected it in one more -f FILE{}",
                    kind, Quote(reference.name), DidYouMean(reference.name, names));
    }
    return Format("there is no store {}; expected {}{}", Quote(reference.name),
                  names.empty() ? "one that is described under stores" : JoinWithOr(names),
                  DidYouMean(reference.name, names));
  }

  struct Place {
    Location where;
    bool is_tree;
  };
  using Places = std::map<std::string, Place>;

  void CheckPaths() {
    Places places;
    for (const Unresolved<ManifestFile>& file : draft_.files) {
      if (!file.value.path.empty()) AddPlace(places, file.value.path, {file.where, false});
    }
    for (const Unresolved<ManifestBrowse>& tree : draft_.browse) {
      AddPlace(places, tree.value.path, {tree.where, true});
      if (manifest_.layout == fs::Layout::kAtomic) {
        draft_.problems.Add(tree.where,
                            "a browse tree cannot be in the atomic layout; expected layout: flat");
      }
    }
    for (const auto& [path, place] : places) CheckParents(places, path, place.where);
  }

  void AddPlace(Places& places, const std::string& path, const Place& place) {
    const auto [known, added] = places.emplace(path, place);
    if (added) return;
    draft_.problems.Add(place.where, Format("{} stands twice, first at {}; expected each path once",
                                            Quote(path), known->second.where.Origin()));
  }

  // Nothing stands below a file, nor inside a browse tree, whose names are the store's.
  void CheckParents(const Places& places, const std::string& path, const Location& where) {
    if (path.empty()) return;
    CheckParent(places, path, "", where);
    for (size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
      CheckParent(places, path, path.substr(0, end), where);
    }
  }

  void CheckParent(const Places& places, const std::string& path, const std::string& parent,
                   const Location& where) {
    const auto found = places.find(parent);
    if (found == places.end()) return;
    const std::string origin = found->second.where.Origin();
    draft_.problems.Add(
        where, found->second.is_tree
                   ? Format("{} is inside the browse tree {} (at {}); expected another place for "
                            "one of them",
                            Quote(path), parent.empty() ? "at the root" : Quote(parent), origin)
                   : Format("{} is below {}, which is a file (at {}); expected a path that is not "
                            "both file and directory",
                            Quote(path), Quote(parent), origin));
  }

  void WarnOfIdleParts() {
    for (const StoreDraft& store : draft_.stores) {
      if (used_.contains(&store)) continue;
      draft_.problems.Warn(store.where, Format("the store {} is used by no file and no browse tree",
                                               Quote(store.name)));
    }
  }

  Draft& draft_;
  Manifest manifest_;
  std::set<const StoreDraft*> used_;
};

}  // namespace

std::string_view StoreKindName(StoreKind kind) {
  switch (kind) {
    case StoreKind::kNative:
      return "store of secretfs.yaml";
    case StoreKind::kSecretStore:
      return "SecretStore";
    case StoreKind::kClusterSecretStore:
      return "ClusterSecretStore";
    case StoreKind::kSecretProviderClass:
      return "SecretProviderClass";
  }
  return "";
}

void Draft::AddStore(StoreDraft store) {
  if (store.name.empty()) return;
  for (const StoreDraft& other : stores) {
    if (other.name != store.name) continue;
    problems.Add(store.where,
                 Format("the name {} is taken by another store, at {}; expected each store "
                        "to have a name of its own",
                        Quote(store.name), other.where.Origin()));
    return;
  }
  stores.push_back(std::move(store));
}

Manifest ResolveDraft(Draft& draft) { return Resolver(draft).Run(); }

}  // namespace secretfs::k8s
