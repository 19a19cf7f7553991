#pragma once

// JMESPath's functions, by name. Arguments come evaluated; a reference to an expression (&…) comes
// as something that can be applied to values. Stateless; errors name types, never values.

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "providers/secret_json.h"

namespace secretfs::providers::jmespath {

using Apply = std::function<absl::StatusOr<SecretJson>(const SecretJson&)>;

struct Argument {
  const SecretJson* value = nullptr;  // null for a reference
  Apply apply;
};

struct Function {
  std::string_view name;
  size_t least = 1;  // arguments
  size_t most = 1;
  absl::StatusOr<SecretJson> (*call)(std::span<const Argument> arguments) = nullptr;
};

// Null when there is none.
const Function* FindFunction(std::string_view name);

// InvalidArgument saying how many arguments are wanted.
absl::Status CheckArity(const Function& function, size_t count);

}  // namespace secretfs::providers::jmespath
