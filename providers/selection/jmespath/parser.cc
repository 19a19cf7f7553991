#include "providers/selection/jmespath/parser.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "providers/selection/jmespath/functions.h"
#include "providers/selection/jmespath/lexer.h"

namespace secretfs::providers::jmespath {
namespace {

// How strongly a token holds what stands left of it.
enum Power : int {
  kNothing = 0,
  kPipePower = 1,
  kOrPower = 2,
  kAndPower = 3,
  kComparisonPower = 5,
  kFlattenPower = 9,
  kEndsProjection = 10,  // tokens below this end a projection
  kStarPower = 20,
  kFilterPower = 21,
  kDotPower = 40,
  kNotPower = 45,
  kBracePower = 50,
  kBracketPower = 55,
  kParenthesisPower = 60,
};

int PowerOf(TokenKind kind) {
  switch (kind) {
    case TokenKind::kPipe:
      return kPipePower;
    case TokenKind::kOr:
      return kOrPower;
    case TokenKind::kAnd:
      return kAndPower;
    case TokenKind::kEqual:
    case TokenKind::kNotEqual:
    case TokenKind::kLess:
    case TokenKind::kLessOrEqual:
    case TokenKind::kGreater:
    case TokenKind::kGreaterOrEqual:
      return kComparisonPower;
    case TokenKind::kFlatten:
      return kFlattenPower;
    case TokenKind::kStar:
      return kStarPower;
    case TokenKind::kFilter:
      return kFilterPower;
    case TokenKind::kDot:
      return kDotPower;
    case TokenKind::kNot:
      return kNotPower;
    case TokenKind::kOpenBrace:
      return kBracePower;
    case TokenKind::kOpenBracket:
      return kBracketPower;
    case TokenKind::kOpenParenthesis:
      return kParenthesisPower;
    default:
      return kNothing;
  }
}

Comparator ComparatorOf(TokenKind kind) {
  switch (kind) {
    case TokenKind::kNotEqual:
      return Comparator::kNotEqual;
    case TokenKind::kLess:
      return Comparator::kLess;
    case TokenKind::kLessOrEqual:
      return Comparator::kLessOrEqual;
    case TokenKind::kGreater:
      return Comparator::kGreater;
    case TokenKind::kGreaterOrEqual:
      return Comparator::kGreaterOrEqual;
    default:
      return Comparator::kEqual;
  }
}

template <typename... Children>
NodePtr Make(NodeKind kind, Children... children) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  (node->children.push_back(std::move(children)), ...);
  for (const NodePtr& child : node->children) {
    node->height = std::max(node->height, child->height + 1);
  }
  return node;
}

// Operator precedence: `Prefix` reads what can begin an expression, `Suffix` what can follow one.
// Each expression's depth is counted in `depth_`, each tree's in its nodes.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  absl::StatusOr<NodePtr> Run() {
    SECRETFS_ASSIGN_OR_RETURN(NodePtr tree, Expression(kNothing));
    if (Next().kind != TokenKind::kEnd) return Unexpected();
    return tree;
  }

 private:
  using Result = absl::StatusOr<NodePtr>;

  const Token& Next(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool Take(TokenKind kind) {
    if (Next().kind != kind) return false;
    ++at_;
    return true;
  }
  absl::Status Unexpected() const {
    return SyntaxError(Next().position, Next().kind == TokenKind::kEnd
                                            ? "it ends too early"
                                            : "something that cannot stand here");
  }
  absl::Status Expect(TokenKind kind) { return Take(kind) ? absl::OkStatus() : Unexpected(); }
  absl::Status CheckHeight(const NodePtr& node) const {
    if (node->height <= kDeepestTree) return absl::OkStatus();
    return SyntaxError(Next().position, Format("more than {} steps deep", kDeepestTree));
  }

  Result Expression(int power) {
    if (++depth_ > kDeepestTree) {
      return SyntaxError(Next().position, Format("more than {} levels deep", kDeepestTree));
    }
    SECRETFS_ASSIGN_OR_RETURN(NodePtr left, Prefix());
    while (power < PowerOf(Next().kind)) {
      SECRETFS_RETURN_IF_ERROR(CheckHeight(left));
      SECRETFS_ASSIGN_OR_RETURN(left, Suffix(std::move(left)));
    }
    SECRETFS_RETURN_IF_ERROR(CheckHeight(left));
    --depth_;
    return left;
  }

  Result Prefix() {
    switch (Next().kind) {
      case TokenKind::kLiteral: {
        NodePtr node = Make(NodeKind::kLiteral);
        node->literal = std::move(tokens_[at_++].literal);
        return node;
      }
      case TokenKind::kIdentifier:
        if (Next(1).kind == TokenKind::kOpenParenthesis) return Call();
        return Field();
      case TokenKind::kQuotedIdentifier:
        return Field();
      case TokenKind::kCurrent:
        ++at_;
        return Make(NodeKind::kIdentity);
      case TokenKind::kStar: {
        ++at_;
        if (Next().kind == TokenKind::kCloseBracket) {
          return Make(NodeKind::kValueProjection, Make(NodeKind::kIdentity),
                      Make(NodeKind::kIdentity));
        }
        return Projection(NodeKind::kValueProjection, Make(NodeKind::kIdentity), kStarPower);
      }
      case TokenKind::kFlatten:
        ++at_;
        return Projection(NodeKind::kProjection,
                          Make(NodeKind::kFlatten, Make(NodeKind::kIdentity)), kFlattenPower);
      case TokenKind::kFilter:
        ++at_;
        return Filter(Make(NodeKind::kIdentity));
      case TokenKind::kOpenBracket:
        return BracketPrefix();
      case TokenKind::kOpenBrace:
        ++at_;
        return Hash();
      case TokenKind::kOpenParenthesis: {
        ++at_;
        SECRETFS_ASSIGN_OR_RETURN(NodePtr inner, Expression(kNothing));
        SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kCloseParenthesis));
        return inner;
      }
      case TokenKind::kNot: {
        ++at_;
        SECRETFS_ASSIGN_OR_RETURN(NodePtr operand, Expression(kNotPower));
        return Make(NodeKind::kNot, std::move(operand));
      }
      default:
        return Unexpected();
    }
  }

  Result BracketPrefix() {
    ++at_;
    if (Next().kind == TokenKind::kNumber || Next().kind == TokenKind::kColon) {
      return IndexOrSlice(Make(NodeKind::kIdentity));
    }
    if (Next().kind == TokenKind::kStar && Next(1).kind == TokenKind::kCloseBracket) {
      at_ += 2;
      return Projection(NodeKind::kProjection, Make(NodeKind::kIdentity), kStarPower);
    }
    return List();
  }

  Result Suffix(NodePtr left) {
    const TokenKind kind = Next().kind;
    ++at_;
    switch (kind) {
      case TokenKind::kDot: {
        if (Take(TokenKind::kStar)) {
          return Projection(NodeKind::kValueProjection, std::move(left), kStarPower);
        }
        SECRETFS_ASSIGN_OR_RETURN(NodePtr right, AfterDot(kDotPower));
        return Make(NodeKind::kSequence, std::move(left), std::move(right));
      }
      case TokenKind::kPipe:
        return Binary(NodeKind::kSequence, std::move(left), kPipePower);
      case TokenKind::kOr:
        return Binary(NodeKind::kOr, std::move(left), kOrPower);
      case TokenKind::kAnd:
        return Binary(NodeKind::kAnd, std::move(left), kAndPower);
      case TokenKind::kEqual:
      case TokenKind::kNotEqual:
      case TokenKind::kLess:
      case TokenKind::kLessOrEqual:
      case TokenKind::kGreater:
      case TokenKind::kGreaterOrEqual: {
        SECRETFS_ASSIGN_OR_RETURN(NodePtr node,
                                  Binary(NodeKind::kComparison, std::move(left), kComparisonPower));
        node->comparator = ComparatorOf(kind);
        return node;
      }
      case TokenKind::kFlatten:
        return Projection(NodeKind::kProjection, Make(NodeKind::kFlatten, std::move(left)),
                          kFlattenPower);
      case TokenKind::kFilter:
        return Filter(std::move(left));
      case TokenKind::kOpenBracket:
        if (Next().kind == TokenKind::kNumber || Next().kind == TokenKind::kColon) {
          return IndexOrSlice(std::move(left));
        }
        SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kStar));
        SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kCloseBracket));
        return Projection(NodeKind::kProjection, std::move(left), kStarPower);
      default:
        --at_;
        return Unexpected();
    }
  }

  Result Binary(NodeKind kind, NodePtr left, int power) {
    SECRETFS_ASSIGN_OR_RETURN(NodePtr right, Expression(power));
    return Make(kind, std::move(left), std::move(right));
  }

  Result Field() {
    NodePtr node = Make(NodeKind::kField);
    node->name = std::move(tokens_[at_++].text);
    if (Next().kind == TokenKind::kOpenParenthesis) return Unexpected();
    return node;
  }

  // REQUIRES: a name and an opening parenthesis come next.
  Result Call() {
    const size_t position = Next().position;
    const Function* function = FindFunction(std::string_view(Next().text));
    if (function == nullptr) return SyntaxError(position, "a function that does not exist");
    at_ += 2;
    NodePtr node = Make(NodeKind::kFunction);
    node->function = function;
    while (!Take(TokenKind::kCloseParenthesis)) {
      if (!node->children.empty()) SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kComma));
      SECRETFS_ASSIGN_OR_RETURN(NodePtr argument, Argument());
      node->height = std::max(node->height, argument->height + 1);
      node->children.push_back(std::move(argument));
    }
    const absl::Status arity = CheckArity(*function, node->children.size());
    if (!arity.ok()) return SyntaxError(position, MessageOf(arity));
    return node;
  }

  Result Argument() {
    if (!Take(TokenKind::kReference)) return Expression(kNothing);
    SECRETFS_ASSIGN_OR_RETURN(NodePtr referred, Expression(kNothing));
    return Make(NodeKind::kReference, std::move(referred));
  }

  // A projection of `left` with whatever follows.
  Result Projection(NodeKind kind, NodePtr left, int power) {
    SECRETFS_ASSIGN_OR_RETURN(NodePtr right, AfterProjection(power));
    return Make(kind, std::move(left), std::move(right));
  }

  Result AfterProjection(int power) {
    const TokenKind kind = Next().kind;
    if (PowerOf(kind) < kEndsProjection) return Make(NodeKind::kIdentity);
    if (kind == TokenKind::kOpenBracket || kind == TokenKind::kFilter) return Expression(power);
    SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kDot));
    return AfterDot(power);
  }

  Result AfterDot(int power) {
    switch (Next().kind) {
      case TokenKind::kIdentifier:
      case TokenKind::kQuotedIdentifier:
      case TokenKind::kStar:
        return Expression(power);
      case TokenKind::kOpenBracket:
        ++at_;
        return List();
      case TokenKind::kOpenBrace:
        ++at_;
        return Hash();
      default:
        return Unexpected();
    }
  }

  // After "[?".
  Result Filter(NodePtr left) {
    SECRETFS_ASSIGN_OR_RETURN(NodePtr condition, Expression(kNothing));
    SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kCloseBracket));
    NodePtr right = Make(NodeKind::kIdentity);
    if (Next().kind != TokenKind::kFlatten) {
      SECRETFS_ASSIGN_OR_RETURN(right, AfterProjection(kFilterPower));
    }
    return Make(NodeKind::kFilter, std::move(left), std::move(right), std::move(condition));
  }

  // After "[", before a number or a colon.
  Result IndexOrSlice(NodePtr left) {
    if (Next().kind == TokenKind::kNumber && Next(1).kind == TokenKind::kCloseBracket) {
      NodePtr index = Make(NodeKind::kIndex);
      index->index = Next().number;
      at_ += 2;
      return Make(NodeKind::kSequence, std::move(left), std::move(index));
    }
    NodePtr slice = Make(NodeKind::kSlice);
    size_t part = 0;
    while (!Take(TokenKind::kCloseBracket)) {
      if (Next().kind == TokenKind::kNumber && !slice->slice[part].has_value()) {
        slice->slice[part] = tokens_[at_++].number;
      } else if (Next().kind == TokenKind::kColon && part < 2) {
        ++part;
        ++at_;
      } else {
        return Unexpected();
      }
    }
    return Projection(NodeKind::kProjection,
                      Make(NodeKind::kSequence, std::move(left), std::move(slice)), kStarPower);
  }

  // After "[".
  Result List() {
    NodePtr node = Make(NodeKind::kList);
    do {
      SECRETFS_RETURN_IF_ERROR(AddElement(*node));
    } while (Take(TokenKind::kComma));
    SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kCloseBracket));
    return node;
  }

  // After "{".
  Result Hash() {
    NodePtr node = Make(NodeKind::kHash);
    do {
      if (Next().kind != TokenKind::kIdentifier && Next().kind != TokenKind::kQuotedIdentifier) {
        return Unexpected();
      }
      node->names.push_back(std::move(tokens_[at_++].text));
      SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kColon));
      SECRETFS_RETURN_IF_ERROR(AddElement(*node));
    } while (Take(TokenKind::kComma));
    SECRETFS_RETURN_IF_ERROR(Expect(TokenKind::kCloseBrace));
    return node;
  }

  absl::Status AddElement(Node& node) {
    SECRETFS_ASSIGN_OR_RETURN(NodePtr element, Expression(kNothing));
    node.height = std::max(node.height, element->height + 1);
    node.children.push_back(std::move(element));
    return absl::OkStatus();
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

absl::StatusOr<NodePtr> Parse(std::string_view expression) {
  if (expression.size() > kLongestExpression) {
    return absl::InvalidArgumentError(Format(
        "a JMESPath expression of more than {} characters is not accepted", kLongestExpression));
  }
  SECRETFS_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(expression));
  return Parser(std::move(tokens)).Run();
}

}  // namespace secretfs::providers::jmespath
