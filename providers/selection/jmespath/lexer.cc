#include "providers/selection/jmespath/lexer.h"

#include <charconv>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::providers::jmespath {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool BeginsIdentifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::optional<TokenKind> SingleCharacter(char c) {
  switch (c) {
    case '.':
      return TokenKind::kDot;
    case '*':
      return TokenKind::kStar;
    case ',':
      return TokenKind::kComma;
    case ':':
      return TokenKind::kColon;
    case '@':
      return TokenKind::kCurrent;
    case ']':
      return TokenKind::kCloseBracket;
    case '(':
      return TokenKind::kOpenParenthesis;
    case ')':
      return TokenKind::kCloseParenthesis;
    case '{':
      return TokenKind::kOpenBrace;
    case '}':
      return TokenKind::kCloseBrace;
    default:
      return std::nullopt;
  }
}

// `c`, alone or with `next` behind it.
struct Pair {
  char c;
  char next;
  TokenKind both;
  std::optional<TokenKind> alone;
};
constexpr Pair kPairs[] = {
    {'|', '|', TokenKind::kOr, TokenKind::kPipe},
    {'&', '&', TokenKind::kAnd, TokenKind::kReference},
    {'!', '=', TokenKind::kNotEqual, TokenKind::kNot},
    {'<', '=', TokenKind::kLessOrEqual, TokenKind::kLess},
    {'>', '=', TokenKind::kGreaterOrEqual, TokenKind::kGreater},
    {'=', '=', TokenKind::kEqual, std::nullopt},
    {'[', '?', TokenKind::kFilter, std::nullopt},
    {'[', ']', TokenKind::kFlatten, TokenKind::kOpenBracket},
};

// `text` with the backslash before each `delimiter` dropped.
SecretString WithoutEscapes(std::string_view text, char delimiter) {
  SecretString result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == delimiter) ++i;
    result += text[i];
  }
  return result;
}

class Lexer {
 public:
  explicit Lexer(std::string_view expression) : expression_(expression) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (true) {
      while (at_ < expression_.size() && IsSpace(expression_[at_])) ++at_;
      Token token;
      token.position = at_;
      if (at_ < expression_.size()) SECRETFS_RETURN_IF_ERROR(Read(token));
      tokens_.push_back(std::move(token));
      if (tokens_.back().kind == TokenKind::kEnd) return std::move(tokens_);
    }
  }

 private:
  absl::Status Read(Token& token) {
    const char c = expression_[at_];
    if (const auto kind = SingleCharacter(c)) {
      token.kind = *kind;
      ++at_;
      return absl::OkStatus();
    }
    if (BeginsIdentifier(c)) return ReadIdentifier(token);
    if (IsDigit(c) || c == '-') return ReadNumber(token);
    if (c == '"') return ReadQuotedIdentifier(token);
    if (c == '\'') return ReadRawString(token);
    if (c == '`') return ReadLiteral(token);
    return ReadPair(token);
  }

  absl::Status ReadPair(Token& token) {
    const char c = expression_[at_];
    const char next = at_ + 1 < expression_.size() ? expression_[at_ + 1] : '\0';
    std::optional<TokenKind> alone;
    for (const Pair& pair : kPairs) {
      if (pair.c != c) continue;
      if (pair.next == next) {
        token.kind = pair.both;
        at_ += 2;
        return absl::OkStatus();
      }
      if (pair.alone.has_value()) alone = pair.alone;
    }
    if (!alone.has_value()) return SyntaxError(at_, "a character that has no meaning here");
    token.kind = *alone;
    ++at_;
    return absl::OkStatus();
  }

  absl::Status ReadIdentifier(Token& token) {
    const size_t begin = at_;
    while (at_ < expression_.size() &&
           (BeginsIdentifier(expression_[at_]) || IsDigit(expression_[at_]))) {
      ++at_;
    }
    token.kind = TokenKind::kIdentifier;
    token.text = expression_.substr(begin, at_ - begin);
    return absl::OkStatus();
  }

  absl::Status ReadNumber(Token& token) {
    const char* begin = expression_.data() + at_;
    const char* end = begin + (*begin == '-' ? 1 : 0);
    while (end < expression_.data() + expression_.size() && IsDigit(*end)) ++end;
    const auto parsed = std::from_chars(begin, end, token.number);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return SyntaxError(at_, "expected a whole number of at most 63 bits");
    }
    token.kind = TokenKind::kNumber;
    at_ += static_cast<size_t>(end - begin);
    return absl::OkStatus();
  }

  // What stands between delimiters, the first of which is at `at_`.
  absl::StatusOr<std::string_view> Delimited() {
    const size_t begin = at_;
    const char delimiter = expression_[at_++];
    while (at_ < expression_.size() && expression_[at_] != delimiter) {
      at_ += expression_[at_] == '\\' ? 2 : 1;
    }
    if (at_ >= expression_.size()) return SyntaxError(begin, "a quote that does not end");
    return expression_.substr(begin + 1, at_++ - begin - 1);
  }

  absl::Status ReadQuotedIdentifier(Token& token) {
    const size_t begin = at_;
    SECRETFS_RETURN_IF_ERROR(Delimited().status());
    const absl::StatusOr<SecretJson> json = ParseSecretJson(expression_.substr(begin, at_ - begin));
    const SecretString* text = json.ok() ? json->get_ptr<const SecretString*>() : nullptr;
    if (text == nullptr) return SyntaxError(begin, "a quoted name that is no JSON string");
    token.kind = TokenKind::kQuotedIdentifier;
    token.text = *text;
    return absl::OkStatus();
  }

  absl::Status ReadRawString(Token& token) {
    SECRETFS_ASSIGN_OR_RETURN(const std::string_view text, Delimited());
    token.kind = TokenKind::kLiteral;
    token.literal = SecretJson(WithoutEscapes(text, '\''));
    return absl::OkStatus();
  }

  // JSON; or, as older expressions have it, a string without its quotes.
  absl::Status ReadLiteral(Token& token) {
    const size_t begin = at_;
    SECRETFS_ASSIGN_OR_RETURN(const std::string_view between, Delimited());
    SecretString text = WithoutEscapes(between, '`');
    absl::StatusOr<SecretJson> json = ParseSecretJson(std::string_view(text));
    if (!json.ok()) {
      text.erase(0, text.find_first_not_of(" \t\n\r"));
      const SecretString quoted = '"' + text + '"';
      json = ParseSecretJson(std::string_view(quoted));
    }
    if (!json.ok()) return SyntaxError(begin, "a literal that is not JSON");
    token.kind = TokenKind::kLiteral;
    token.literal = *std::move(json);
    return absl::OkStatus();
  }

  const std::string_view expression_;
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

absl::Status SyntaxError(size_t position, std::string_view problem) {
  return absl::InvalidArgumentError(
      Format("not a JMESPath expression: {} (character {})", problem, position + 1));
}

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view expression) {
  return Lexer(expression).Run();
}

}  // namespace secretfs::providers::jmespath
