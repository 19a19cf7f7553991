#include "k8s/manifest/object_header.h"

namespace secretfs::k8s {

ObjectHeader ReadObjectHeader(const Fields& object) {
  const std::optional<Value> metadata = object.Require("metadata");
  if (!metadata) return {};
  std::vector<std::string_view> known{"name", "namespace"};
  // Labels, annotations and what the API server adds are all fine: declared as known.
  if (metadata->node().kind == YamlNode::Kind::kMapping) {
    for (const YamlEntry& entry : metadata->node().entries) known.push_back(entry.key);
  }
  const Fields fields(*metadata, std::move(known));
  return {fields.RequiredString("name"), fields.String("namespace")};
}

}  // namespace secretfs::k8s
