#pragma once

// Which environment variables `secretfs run` makes of which files. Free functions without state.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/manifest_values.h"

namespace secretfs::cli {

struct Variable {
  std::string name;
  ManifestValue value;
};

// True for letters, digits and '_', not beginning with a digit.
bool IsVariableName(std::string_view name);

// "db/password" is DB_PASSWORD: capitals, and '_' for whatever a name cannot hold.
std::string VariableNameOf(std::string_view path);

// `flags` as NAME=path each; without any, every file of the manifest under its own name.
// InvalidArgument for a flag that is not of that form, a name given twice, or two files with the
// same name; NotFound for a path that the manifest does not have.
absl::StatusOr<std::vector<Variable>> MapVariables(const std::vector<std::string>& flags,
                                                   const ManifestValues& values);

}  // namespace secretfs::cli
