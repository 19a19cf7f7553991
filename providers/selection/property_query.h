#pragma once

// The conditions inside "#(…)" of a property path. Free functions without state.

#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret_bytes.h"

namespace secretfs::providers {

struct PropertyQuery {
  enum class Operator {
    kExists,
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kLike,
    kNotLike,
  };
  std::string_view path;  // empty: the element itself
  Operator compare = Operator::kExists;
  SecretString operand;  // without its quotes
};

// `text` is what stands between the parentheses, which must outlive the query.
absl::StatusOr<PropertyQuery> ParsePropertyQuery(std::string_view text);

// Whether the condition holds for a value that is there.
bool Matches(const PropertyQuery& query, std::string_view value);

// '*' stands for any characters, '?' for one, '\' before a character for that.
bool MatchesPattern(std::string_view text, std::string_view pattern);

}  // namespace secretfs::providers
