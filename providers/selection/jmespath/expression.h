#pragma once

// JMESPath (https://jmespath.org/specification.html), the language in which AWS selects a part of a
// JSON value: this header is all that the rest of the program needs. Strings are ordered for
// sorting only; comparisons with <, <=, > and >= are for numbers, as the specification has it.
// Objects are in the order of their names.
//
// Immutable once parsed; safe to use from any thread. Bounded in size, depth and work.

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "providers/secret_json.h"

namespace secretfs::providers::jmespath {

struct Node;

class Expression {
 public:
  // InvalidArgument naming the position of the first problem.
  static absl::StatusOr<Expression> Parse(std::string_view text);

  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;
  ~Expression();

  // Null when there is no such part. InvalidArgument when a function gets a value of a type that it
  // does not take, or when the expression makes too much of the document.
  absl::StatusOr<SecretJson> Search(const SecretJson& document) const;

 private:
  explicit Expression(std::unique_ptr<Node> tree);
  std::unique_ptr<Node> tree_;
};

}  // namespace secretfs::providers::jmespath
