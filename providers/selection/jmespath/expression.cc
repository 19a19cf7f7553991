#include "providers/selection/jmespath/expression.h"

#include <utility>

#include "base/status.h"
#include "providers/selection/jmespath/interpreter.h"
#include "providers/selection/jmespath/parser.h"

namespace secretfs::providers::jmespath {

Expression::Expression(NodePtr tree) : tree_(std::move(tree)) {}
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

absl::StatusOr<Expression> Expression::Parse(std::string_view text) {
  SECRETFS_ASSIGN_OR_RETURN(NodePtr tree, jmespath::Parse(text));
  return Expression(std::move(tree));
}

absl::StatusOr<SecretJson> Expression::Search(const SecretJson& document) const {
  return Evaluate(*tree_, document);
}

}  // namespace secretfs::providers::jmespath
