#pragma once

// Environment variables out of a map, for tests.

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "cli/environment.h"

namespace secretfs::cli {

inline Environment FakeEnvironment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

}  // namespace secretfs::cli
