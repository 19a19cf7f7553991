#pragma once

// What a JMESPath expression is made of: plain values. Trees are at most kDeepestTree high, so that
// everything that walks one has a bounded stack.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "providers/secret_json.h"

namespace secretfs::providers::jmespath {

inline constexpr int kDeepestTree = 100;

struct Function;  // functions.h

enum class NodeKind {
  kIdentity,         // the current value
  kField,            // `name` of an object
  kIndex,            // element `index` of an array, from its end if negative
  kSlice,            // elements by `slice`
  kLiteral,          // `literal`
  kSequence,         // the second child of what the first gives
  kOr,               // the first child unless it is false, else the second
  kAnd,              // the first child if it is false, else the second
  kNot,              // whether the child is false
  kComparison,       // `comparator` between two children
  kProjection,       // the second child for each element of the first, without nulls
  kValueProjection,  // the same for each value of an object
  kFilter,           // a projection of the elements for which the third child is not false
  kFlatten,          // the child with the elements of its arrays in their place
  kList,             // an array of the children
  kHash,             // an object of the children by `names`
  kFunction,         // `function` of the children
  kReference,        // the child itself, for functions to apply
};

enum class Comparator { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

struct Node {
  NodeKind kind = NodeKind::kIdentity;
  int height = 1;
  SecretString name;
  SecretJson literal;
  int64_t index = 0;
  std::array<std::optional<int64_t>, 3> slice;  // first, end, step
  Comparator comparator = Comparator::kEqual;
  const Function* function = nullptr;
  std::vector<SecretString> names;
  std::vector<std::unique_ptr<Node>> children;
};
using NodePtr = std::unique_ptr<Node>;

}  // namespace secretfs::providers::jmespath
