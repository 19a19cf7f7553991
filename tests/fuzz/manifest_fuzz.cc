// Manifests of any kind: nothing may crash, leak, hang or escape as an exception, and a manifest
// that is accepted keeps its promises.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "k8s/manifest/manifest.h"
#include "k8s/manifest/scalars.h"

namespace {

void Require(bool condition, const char* promise) {
  if (condition) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using secretfs::MessageOf;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto manifest = secretfs::k8s::ParseManifests({{"m.yaml", text}});
  if (!manifest.ok()) {
    Require(manifest.status().code() == absl::StatusCode::kInvalidArgument,
            "one code for all problems");
    Require(MessageOf(manifest.status()).starts_with("m.yaml:"), "problems say where they are");
    return 0;
  }
  for (const auto& file : manifest->files) {
    Require(!secretfs::k8s::PathProblem(file.path), "paths stay below the mount");
    Require(!file.store.empty(), "files have a store");
    Require(!file.ref.key.empty(), "files have a key");
    Require(!file.mode || *file.mode <= 0777, "modes are permissions");
    Require(file.policy.ttl > secretfs::Duration::zero(), "values live for some time");
  }
  for (const auto& tree : manifest->browse) {
    Require(tree.path.empty() || !secretfs::k8s::PathProblem(tree.path),
            "trees stay below the mount");
  }
  return 0;
}
