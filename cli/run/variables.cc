#include "cli/run/variables.h"

#include <algorithm>
#include <map>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

absl::StatusOr<Variable> VariableOfFlag(const std::string& flag, const ManifestValues& values) {
  const size_t equals = flag.find('=');
  if (equals == std::string::npos || equals + 1 == flag.size()) {
    return absl::InvalidArgumentError(
        Format("--env '{}': expected NAME=path, the path of a file in the manifest", flag));
  }
  const std::string name = flag.substr(0, equals);
  if (!IsVariableName(name)) {
    return absl::InvalidArgumentError(Format(
        "--env '{}': '{}' is no name of a variable; expected letters, digits and '_'", flag, name));
  }
  absl::StatusOr<ManifestValue> value = values.Find(flag.substr(equals + 1));
  if (!value.ok()) return WithContext(value.status(), Format("--env '{}'", flag));
  return Variable{.name = name, .value = *std::move(value)};
}

absl::Status CheckUnique(const std::vector<Variable>& variables) {
  std::map<std::string, std::string> paths;
  for (const Variable& variable : variables) {
    const auto [first, is_new] = paths.emplace(variable.name, variable.value.path);
    if (is_new) continue;
    return absl::InvalidArgumentError(
        Format("'{}' and '{}' would both be the variable {}; name them with --env NAME=path",
               first->second, variable.value.path, variable.name));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsVariableName(std::string_view name) {
  return !name.empty() && !IsDigit(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLetter(c) || IsDigit(c) || c == '_'; });
}

std::string VariableNameOf(std::string_view path) {
  std::string name;
  for (const char c : path) {
    if (c >= 'a' && c <= 'z') {
      name += static_cast<char>(c - 'a' + 'A');
    } else {
      name += IsLetter(c) || IsDigit(c) ? c : '_';
    }
  }
  if (name.empty() || IsDigit(name.front())) name.insert(name.begin(), '_');
  return name;
}

absl::StatusOr<std::vector<Variable>> MapVariables(const std::vector<std::string>& flags,
                                                   const ManifestValues& values) {
  std::vector<Variable> variables;
  for (const std::string& flag : flags) {
    SECRETFS_ASSIGN_OR_RETURN(Variable variable, VariableOfFlag(flag, values));
    variables.push_back(std::move(variable));
  }
  if (flags.empty()) {
    for (const ManifestValue& value : values.all()) {
      variables.push_back({.name = VariableNameOf(value.path), .value = value});
    }
  }
  if (variables.empty()) {
    return absl::InvalidArgumentError(
        "the manifest names no files, so there is nothing to put into the environment; for a "
        "browse "
        "tree, name its files with --env NAME=path");
  }
  SECRETFS_RETURN_IF_ERROR(CheckUnique(variables));
  return variables;
}

}  // namespace secretfs::cli
