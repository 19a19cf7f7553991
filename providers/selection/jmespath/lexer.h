#pragma once

// The words of a JMESPath expression (https://jmespath.org/specification.html). A free function
// without state.

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "providers/secret_json.h"

namespace secretfs::providers::jmespath {

enum class TokenKind {
  kEnd,
  kIdentifier,        // `text`
  kQuotedIdentifier,  // `text`, its escapes undone
  kLiteral,           // `literal`: `…` or '…'
  kNumber,            // `number`
  kDot,
  kStar,
  kComma,
  kColon,
  kCurrent,
  kOpenBracket,
  kCloseBracket,
  kFlatten,  // []
  kFilter,   // [?
  kOpenParenthesis,
  kCloseParenthesis,
  kOpenBrace,
  kCloseBrace,
  kPipe,
  kOr,
  kAnd,
  kNot,
  kReference,  // &
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t position = 0;  // of its first byte, from 0
  SecretString text;
  SecretJson literal;
  int64_t number = 0;
};

// InvalidArgument naming the position of the first problem.
absl::Status SyntaxError(size_t position, std::string_view problem);

// The last one is kEnd.
absl::StatusOr<std::vector<Token>> Tokenize(std::string_view expression);

}  // namespace secretfs::providers::jmespath
