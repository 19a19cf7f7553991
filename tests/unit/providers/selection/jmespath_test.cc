// What the compliance tests (tests/integration/jmespath) leave out: bounds, messages, numbers.

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"
#include "providers/selection/jmespath/expression.h"

namespace secretfs::providers::jmespath {
namespace {

// The result as JSON, or the message in angle brackets.
std::string Search(std::string_view document, std::string_view expression) {
  const auto parsed = Expression::Parse(expression);
  if (!parsed.ok()) return Format("<{}>", MessageOf(parsed.status()));
  const auto json = ParseSecretJson(document);
  if (!json.ok()) return Format("<{}>", MessageOf(json.status()));
  const auto result = parsed->Search(*json);
  if (!result.ok()) return Format("<{}>", MessageOf(result.status()));
  return std::string(DumpSecretJson(*result).ExposeAsText());
}

std::string Repeated(std::string_view text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

TEST(JmesPathTest, NumbersKeepTheirText) {
  EXPECT_EQ(Search(R"({"a":1.50,"b":12345678901234567890123})", "[a, b]"),
            "[1.50,12345678901234567890123]");
  EXPECT_EQ(Search("[1.0, 1, 1e0]", "[?@ == `1`]"), "[1.0,1,1e0]");
  EXPECT_EQ(Search("[9007199254740993, 9007199254740992]", "max(@)"), "9007199254740993");
  EXPECT_EQ(Search("[0.5, 0.25]", "sum(@)"), "0.75");
  EXPECT_EQ(Search("[1, 2]", "avg(@)"), "1.5");
  EXPECT_EQ(Search("[1, 3]", "avg(@)"), "2");
  EXPECT_EQ(Search("-1.5", "abs(@)"), "1.5");
  EXPECT_EQ(Search("[1e308, 1e308]", "sum(@)"), "null") << "no number that JSON can write";
  EXPECT_EQ(Search("1e-999", "@ == `0`"), "true");
}

TEST(JmesPathTest, CharactersAreCodePoints) {
  EXPECT_EQ(Search(R"("aé\u20ac\ud83d\ude00")", "length(@)"), "4");
  EXPECT_EQ(Search(R"("aé€")", "reverse(@)"), R"("€éa")");
}

TEST(JmesPathTest, ErrorsSayWhereAndNeverWhat) {
  EXPECT_EQ(Search("{}", "a.b["), "<not a JMESPath expression: it ends too early (character 5)>");
  EXPECT_EQ(Search("{}", "a ~ b"),
            "<not a JMESPath expression: a character that has no meaning here (character 3)>");
  EXPECT_EQ(Search("{}", "a.nothing(b)"),
            "<not a JMESPath expression: a function that does not exist (character 3)>");
  EXPECT_EQ(Search("{}", "length()"),
            "<not a JMESPath expression: length() with 0 arguments instead of 1 (character 1)>");
  EXPECT_EQ(Search(R"({"a":"hunter2"})", "abs(a)"),
            "<abs(): an argument is of type string where number is wanted>");
  EXPECT_EQ(Search(R"(["hunter2", 1])", "sort(@)"),
            "<sort(): an argument is of type array with number where array of numbers or of "
            "strings is wanted>");
}

TEST(JmesPathTest, ExpressionsAreBounded) {
  EXPECT_EQ(Search("1", Repeated("(", 90) + "@" + Repeated(")", 90)), "1");
  for (const std::string& expression :
       {Repeated("(", 5000), Repeated("!", 5000), Repeated("[", 5000), Repeated("a.", 2000) + "a",
        Repeated("{a:", 2000), Repeated("[?", 2000), Repeated("not_null(", 800),
        Repeated("@|", 4000) + "@", Repeated("[0]", 2000), Repeated("a", 9000)}) {
    EXPECT_FALSE(Expression::Parse(expression).ok()) << expression.substr(0, 20);
  }
}

TEST(JmesPathTest, WorkIsBounded) {
  const std::string refused = "<the JMESPath expression makes too much of this value>";
  EXPECT_EQ(Search("[1,2,3]", Repeated("[@,@]|", 40) + "@"), refused);
  const std::string numbers = "[" + Repeated("1,", 2000) + "1]";
  EXPECT_EQ(Search(numbers, "map(&`[1,2]`, @) | [?`[0]` == `[1]`]"), "[]");
  // A filter inside a filter inside a filter.
  EXPECT_EQ(Search("{\"a\":" + numbers + "}",
                   "[a, a, a] | [?[0]] | [@, @] | [?[?[?[?@]]]] | [@,@,@,@,@,@,@,@,@,@] | "
                   "[@,@,@,@,@,@,@,@,@,@] | [@,@,@,@,@,@,@,@,@,@] | [@,@,@,@,@,@,@,@,@,@] | "
                   "[@,@,@,@,@,@,@,@,@,@] | [@,@,@,@,@,@,@,@,@,@] | [@,@,@,@,@,@,@,@,@,@]"),
            refused);
}

TEST(JmesPathTest, SlicesAtTheEdgesOfIntegers) {
  EXPECT_EQ(Search("[0,1,2]", "[::9223372036854775807]"), "[0]");
  EXPECT_EQ(Search("[0,1,2]", "[::-9223372036854775808]"), "[2]");
  EXPECT_EQ(Search("[0,1,2]", "[-9223372036854775808:9223372036854775807]"), "[0,1,2]");
  EXPECT_EQ(Search("[0,1,2]", "[-9223372036854775808]"), "null");
  EXPECT_EQ(
      Search("[0,1,2]", "[9223372036854775808]"),
      "<not a JMESPath expression: expected a whole number of at most 63 bits (character 2)>");
  EXPECT_EQ(Search("[0,1,2]", "[::0]"), "<a JMESPath slice cannot step by zero>");
}

}  // namespace
}  // namespace secretfs::providers::jmespath
