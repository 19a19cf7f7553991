// The official JMESPath compliance tests.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/text.h"
#include "providers/selection/jmespath/expression.h"
#include "providers/selection/jmespath/values.h"
#include "tests/integration/selection/selection_fixture.h"

namespace secretfs::testing {
namespace {

using providers::DumpSecretJson;
using providers::ParseSecretJson;
using providers::SecretJson;
using providers::jmespath::Equal;
using providers::jmespath::Expression;

std::string Text(const SecretJson& json) {
  return std::string(DumpSecretJson(json).ExposeAsText());
}

std::string TextOf(const SecretJson& json) {
  const auto* text = json.get_ptr<const SecretString*>();
  return text == nullptr ? "" : std::string(text->begin(), text->end());
}

struct Counts {
  size_t results = 0;
  size_t errors = 0;
};

// What is wrong is told by GoogleTest.
void RunCase(const SecretJson& given, const SecretJson& the_case, Counts& counts) {
  const std::string expression = TextOf(the_case["expression"]);
  SCOPED_TRACE(expression + " of " + Text(given));
  const absl::StatusOr<Expression> parsed = Expression::Parse(expression);
  const absl::StatusOr<SecretJson> result =
      parsed.ok() ? parsed->Search(given) : absl::StatusOr<SecretJson>(parsed.status());
  if (the_case.contains("error")) {
    ++counts.errors;
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument)
        << "expected the error " << TextOf(the_case["error"]);
    EXPECT_FALSE(parsed.ok() && TextOf(the_case["error"]) == "syntax");
  } else if (the_case.contains("result")) {
    ++counts.results;
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(Equal(*result, the_case["result"]))
        << Text(*result) << " instead of " << Text(the_case["result"]);
  }
}

TEST(JmesPathCompliance, EveryCase) {
  Counts counts;
  for (const auto& entry :
       std::filesystem::directory_iterator(SelectionPrograms() / "compliance")) {
    SCOPED_TRACE(entry.path().filename().string());
    std::ifstream stream(entry.path());
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    const absl::StatusOr<SecretJson> suites = ParseSecretJson(text);
    ASSERT_TRUE(suites.ok()) << suites.status();
    for (const SecretJson& suite : *suites) {
      for (const SecretJson& the_case : suite["cases"]) RunCase(suite["given"], the_case, counts);
    }
  }
  std::cout << counts.results << " results, " << counts.errors << " errors\n";
  EXPECT_GE(counts.results, 700u);
  EXPECT_GE(counts.errors, 130u);
}

}  // namespace
}  // namespace secretfs::testing
