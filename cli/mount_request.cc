#include "cli/mount_request.h"

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>

#include "base/sealed_memory.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/store_url.h"

namespace secretfs::cli {
namespace {

using nlohmann::json;

constexpr size_t kLongestRequest = 64 << 20;

json ToJson(const MountOverrides& overrides) {
  json object = json::object();
  if (overrides.ttl) object["ttl"] = overrides.ttl->count();
  if (overrides.layout) object["layout"] = *overrides.layout == fs::Layout::kAtomic;
  if (overrides.uid) object["uid"] = *overrides.uid;
  if (overrides.gid) object["gid"] = *overrides.gid;
  if (overrides.file_mode) object["fileMode"] = *overrides.file_mode;
  return object;
}

MountOverrides OverridesFrom(const json& object) {
  MountOverrides overrides;
  if (object.contains("ttl")) overrides.ttl = Duration(object["ttl"].get<int64_t>());
  if (object.contains("layout")) {
    overrides.layout = object["layout"].get<bool>() ? fs::Layout::kAtomic : fs::Layout::kFlat;
  }
  if (object.contains("uid")) overrides.uid = object["uid"].get<uid_t>();
  if (object.contains("gid")) overrides.gid = object["gid"].get<gid_t>();
  if (object.contains("fileMode")) overrides.file_mode = object["fileMode"].get<mode_t>();
  return overrides;
}

}  // namespace

absl::StatusOr<UniqueFd> WriteMountRequest(const MountRequest& request) {
  json manifests = json::array();
  for (const auto& [name, text] : request.manifests) {
    manifests.push_back({{"name", name}, {"text", text}});
  }
  const json object = {{"storeUrl", request.store_url},
                       {"manifests", std::move(manifests)},
                       {"overrides", ToJson(request.overrides)},
                       {"source", request.source},
                       {"owner", request.owner},
                       {"group", request.group},
                       {"logLevel", request.log_level},
                       {"logFormat", request.log_format}};
  // Bytes that are not UTF-8 cannot stand in JSON; the manifest's reader refuses them anyway.
  const std::string text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return MakeSealedMemory("secretfs-mount-request",
                          std::as_bytes(std::span(text.data(), text.size())));
}

absl::StatusOr<MountRequest> ReadMountRequest(int memory) {
  absl::StatusOr<SealedView> view = SealedView::Of(memory, kLongestRequest);
  if (!view.ok()) return WithContext(view.status(), "the request to mount");
  try {
    const json object = json::parse(view->text());
    MountRequest request;
    request.store_url = object.at("storeUrl").get<std::string>();
    for (const json& manifest : object.at("manifests")) {
      request.manifests.emplace_back(manifest.at("name").get<std::string>(),
                                     manifest.at("text").get<std::string>());
    }
    request.source = object.at("source").get<std::string>();
    request.overrides = OverridesFrom(object.at("overrides"));
    request.owner = object.at("owner").get<uid_t>();
    request.group = object.at("group").get<gid_t>();
    request.log_level = object.at("logLevel").get<std::string>();
    request.log_format = object.at("logFormat").get<std::string>();
    return request;
  } catch (const json::exception&) {
    // Without what() says, which quotes the text.
    return absl::InvalidArgumentError(
        "the request to mount is not of this version of secretfs; unmount, and mount anew");
  }
}

absl::StatusOr<k8s::Manifest> ManifestOf(const MountRequest& request,
                                         const Environment& environment) {
  k8s::Manifest manifest;
  if (request.manifests.empty()) {
    SECRETFS_ASSIGN_OR_RETURN(const StoreUrl url, ParseStoreUrl(request.store_url));
    SECRETFS_ASSIGN_OR_RETURN(manifest, ManifestForUrl(url, environment));
  } else {
    SECRETFS_ASSIGN_OR_RETURN(manifest, ReadManifestTexts(request.manifests));
  }
  ApplyOverrides(request.overrides, manifest);
  if (!manifest.uid) manifest.uid = request.owner;
  if (!manifest.gid) manifest.gid = request.group;
  return manifest;
}

}  // namespace secretfs::cli
