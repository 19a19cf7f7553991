#include "cli/store/dotenv.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/text.h"

namespace secretfs::cli {
namespace {

class DotenvParser {
 public:
  explicit DotenvParser(std::string_view text) : rest_(text), limit_(text.size()) {}

  absl::StatusOr<std::vector<NamedValue>> Parse() {
    std::vector<NamedValue> values;
    for (SkipToName(); !rest_.empty(); SkipToName()) {
      NamedValue one;
      SECRETFS_ASSIGN_OR_RETURN(one.name, Name());
      SECRETFS_ASSIGN_OR_RETURN(one.value, Value());
      values.push_back(std::move(one));
    }
    return values;
  }

 private:
  absl::Status Refuse(std::string_view why) const {
    return absl::InvalidArgumentError(Format("line {}: {}", line_, why));
  }
  bool At(char c) const { return !rest_.empty() && rest_.front() == c; }
  char Take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '\n') ++line_;
    return c;
  }
  void SkipBlanks() {
    while (At(' ') || At('\t') || At('\r')) Take();
  }
  void SkipLine() {
    while (!rest_.empty() && !At('\n')) Take();
  }
  // Over blank lines and comments.
  void SkipToName() {
    for (;;) {
      SkipBlanks();
      if (At('#')) SkipLine();
      if (!At('\n')) return;
      Take();
    }
  }

  absl::StatusOr<std::string> Name() {
    static constexpr std::string_view kExport = "export";
    if (rest_.starts_with(kExport) && rest_.size() > kExport.size() &&
        (rest_[kExport.size()] == ' ' || rest_[kExport.size()] == '\t')) {
      rest_.remove_prefix(kExport.size());
      SkipBlanks();
    }
    std::string name;
    while (!rest_.empty() && (std::isalnum(static_cast<unsigned char>(rest_.front())) != 0 ||
                              At('_') || At('.') || At('-') || At('/'))) {
      name.push_back(Take());
    }
    SkipBlanks();
    if (name.empty() || !At('=')) return Refuse("expected NAME=VALUE");
    Take();
    SkipBlanks();
    return name;
  }

  absl::StatusOr<SecretBytes> Value() {
    if (At('\'') || At('"')) return Quoted(Take());
    const std::string_view line = rest_.substr(0, rest_.find('\n'));
    SkipLine();
    // A comment begins at a '#' after a blank.
    size_t end = line.size();
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
        end = i;
        break;
      }
    }
    while (end > 0 && std::isspace(static_cast<unsigned char>(line[end - 1])) != 0) --end;
    return SecretBytes::CopyOf(line.substr(0, end));
  }

  absl::StatusOr<SecretBytes> Quoted(char quote) {
    const size_t first_line = line_;
    SecretBuilder value(limit_);
    for (;;) {
      if (rest_.empty()) {
        return absl::InvalidArgumentError(
            Format("line {}: the quote that begins here is not closed", first_line));
      }
      char c = Take();
      if (c == quote) break;
      if (c == '\\' && quote == '"' && !rest_.empty()) c = Escaped(value);
      if (c != '\0') SECRETFS_RETURN_IF_ERROR(value.Append(std::string_view(&c, 1)));
    }
    SkipBlanks();
    if (At('#')) SkipLine();
    if (!rest_.empty() && !At('\n')) return Refuse("something follows the closing quote");
    return value.Finish();
  }

  // What a backslash and the next character mean; an unknown pair stays as it is.
  char Escaped(SecretBuilder& value) {
    const char c = Take();
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '"':
      case '\\':
      case '$':
        return c;
      default:
        value.Append("\\").IgnoreError();  // the value is never longer than the text
        return c;
    }
  }

  std::string_view rest_;
  size_t limit_;
  size_t line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<NamedValue>> ValuesFromDotenv(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("there is a NUL byte in it");
  }
  return DotenvParser(text).Parse();
}

}  // namespace secretfs::cli
