#pragma once

// What a JMESPath tree gives for a document. A free function without state. Bounded: an expression
// that would make far more than the document holds is refused.

#include "absl/status/statusor.h"
#include "providers/selection/jmespath/syntax_tree.h"

namespace secretfs::providers::jmespath {

// InvalidArgument when a function gets a value of a type that it does not take, when a slice steps
// by zero, and when the work or the result is beyond all measure. No error quotes a value.
absl::StatusOr<SecretJson> Evaluate(const Node& tree, const SecretJson& document);

}  // namespace secretfs::providers::jmespath
