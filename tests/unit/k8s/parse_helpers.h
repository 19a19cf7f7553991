#pragma once

// Short ways to parse manifests in tests.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "k8s/manifest/manifest.h"

namespace secretfs::k8s {

// One text that stands for the file "m.yaml".
inline absl::StatusOr<Manifest> Parse(const std::string& text) {
  return ParseManifests({{"m.yaml", text}});
}

inline Manifest ParseOk(const std::vector<std::pair<std::string, std::string>>& named_texts) {
  absl::StatusOr<Manifest> manifest = ParseManifests(named_texts);
  if (!manifest.ok()) {
    ADD_FAILURE() << MessageOf(manifest.status());
    return {};
  }
  return *std::move(manifest);
}
inline Manifest ParseOk(const std::string& text) { return ParseOk({{"m.yaml", text}}); }

// All problems of `text`, one a line; "" when there are none.
inline std::string ProblemsOf(const std::string& text) {
  const absl::StatusOr<Manifest> manifest = Parse(text);
  if (manifest.ok()) return "";
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(MessageOf(manifest.status()));
}

}  // namespace secretfs::k8s
