#pragma once

// From an expression's text to its tree. A free function without state.

#include <string_view>

#include "absl/status/statusor.h"
#include "providers/selection/jmespath/syntax_tree.h"

namespace secretfs::providers::jmespath {

inline constexpr size_t kLongestExpression = 8192;

// InvalidArgument naming the position of the first problem: bad syntax, a function that does not
// exist or takes another number of arguments, an expression that is too long or too deep.
absl::StatusOr<NodePtr> Parse(std::string_view expression);

}  // namespace secretfs::providers::jmespath
