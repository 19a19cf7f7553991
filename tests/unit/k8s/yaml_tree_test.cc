#include "k8s/manifest/yaml_tree.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace secretfs::k8s {
namespace {

// "LINE:COLUMN: FIELD: MESSAGE" of the first problem, or "".
std::string ProblemIn(std::string_view text) {
  const YamlStream stream = ParseYaml(text);
  if (stream.problems.empty()) return "";
  const YamlProblem& problem = stream.problems.front();
  return Format("{}:{}: {}: {}", problem.position.line, problem.position.column, problem.field,
                problem.message);
}

TEST(YamlTree, PositionsCountFromOne) {
  const YamlStream stream = ParseYaml("a:\n  - b: 1\n    c: '2'\n");
  ASSERT_EQ(stream.documents.size(), 1u);
  const YamlNode& item = *stream.documents[0]->entries[0].value->items[0];
  EXPECT_EQ(item.entries[1].key, "c");
  EXPECT_EQ(item.entries[1].key_position, (Position{3, 5}));
  EXPECT_EQ(item.entries[1].value->position, (Position{3, 8}));
  EXPECT_TRUE(item.entries[1].value->is_text);
  EXPECT_FALSE(item.entries[0].value->is_text);
}

TEST(YamlTree, ManyDocumentsWithoutTheEmptyOnes) {
  EXPECT_EQ(ParseYaml("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n").documents.size(), 2u);
  EXPECT_TRUE(ParseYaml("").documents.empty());
  EXPECT_TRUE(ParseYaml("").problems.empty());
}

TEST(YamlTree, LiteralBlocksKnowWhereTheirTextStands) {
  const YamlStream stream =
      ParseYaml("a:\n  b: |\n\n    text\n  c: >\n    folded\n  d: |2-\n    x\n");
  const YamlNode& a = *stream.documents.at(0)->entries[0].value;
  EXPECT_EQ(a.entries[0].value->literal_start, (Position{3, 5}));
  EXPECT_EQ(a.entries[0].value->scalar, "\ntext\n");
  EXPECT_EQ(a.entries[1].value->literal_start, std::nullopt);
  EXPECT_EQ(a.entries[2].value->literal_start, std::nullopt);
}

TEST(YamlTree, AliasesAndMergeKeys) {
  const YamlStream stream =
      ParseYaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b, &s {z: 4}, *s]\n");
  ASSERT_TRUE(stream.problems.empty()) << stream.problems[0].message;
  const YamlNode& use = *stream.documents[0]->entries[1].value;
  ASSERT_EQ(use.entries.size(), 2u);
  EXPECT_EQ(use.entries[0].key, "y");
  EXPECT_EQ(use.entries[0].value->scalar, "3");
  EXPECT_EQ(use.entries[1].key, "x");
  EXPECT_EQ(stream.documents[0]->entries[2].value->items.size(), 3u);
}

TEST(YamlTree, DuplicatesAreNamedWithTheirPath) {
  EXPECT_EQ(ProblemIn("a:\n  - b: 1\n    b: 2\n"),
            "3:5: a[0].b: stands twice; expected each field once");
}

TEST(YamlTree, AliasesThatGrowWithoutBound) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb +=
        Format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  EXPECT_NE(ProblemIn(bomb).find("too many values"), std::string::npos);
  EXPECT_EQ(ProblemIn("a: &a [1, *a]"), "1:11: : an alias must not stand inside what it refers to");
  EXPECT_EQ(ProblemIn("a: &a {b: &b [*a]}"),
            "1:15: : an alias must not stand inside what it refers to");
  std::string chain = "a0: &a0 [x]\n";
  for (int i = 1; i < 80; ++i) chain += Format("a{0}: &a{0} [*a{1}]\n", i, i - 1);
  EXPECT_NE(ProblemIn(chain).find("nested too deeply"), std::string::npos);
}

TEST(YamlTree, Nesting) {
  EXPECT_EQ(ProblemIn(std::string(60, '[') + std::string(60, ']')), "");
  EXPECT_NE(ProblemIn(std::string(65, '[') + std::string(65, ']')).find("nested too deeply"),
            std::string::npos);
  EXPECT_NE(ProblemIn(std::string(100'000, '[')), "");
  EXPECT_NE(ProblemIn(std::string(100'000, '{')), "");
}

TEST(YamlTree, OnlyText) {
  EXPECT_EQ(ProblemIn(std::string_view("a: b\nc: \x04 d\n")),
            "2:4: : byte 0x04 is not text; expected UTF-8 without control characters");
  for (const std::string& bad :
       {std::string("\xff\xfe"
                    "a\0",
                    4),
        std::string("a\0b", 3), std::string("\xc0\xaf"), std::string("\xed\xa0\x80"),
        std::string("\xf5\x80\x80\x80"), std::string("x\xe4")}) {
    EXPECT_NE(ProblemIn(bad).find("is not text"), std::string::npos);
  }
  EXPECT_EQ(ProblemIn("ä: 🔑\n"), "");
  EXPECT_EQ(ProblemIn("\xef\xbb\xbf"
                      "a: b\n"),
            "");
}

TEST(YamlTree, TextThatYamlCppNeverGetsPast) {
  EXPECT_EQ(ProblemIn(" &i ,x,a"), "1:5: : not valid YAML: expected a value here");
  EXPECT_NE(ProblemIn("a: 1\n---\n,\n"), "");
}

TEST(YamlTree, Size) {
  EXPECT_NE(ProblemIn(std::string(kLargestManifest + 1, '#')).find("expected at most"),
            std::string::npos);
  EXPECT_EQ(ProblemIn(std::string(kLargestManifest, '#')), "");
}

TEST(YamlTree, SyntaxErrorsDoNotQuoteTheText) {
  for (const char* bad : {"a: *planted", "planted: [", "a: \"planted", "!<planted", "a: b: planted",
                          "a:\n\tplanted: 1", "? [planted]\n: 1", "<<: planted"}) {
    const std::string problem = ProblemIn(bad);
    EXPECT_NE(problem, "") << bad;
    EXPECT_EQ(problem.find("planted"), std::string::npos) << problem;
  }
}

}  // namespace
}  // namespace secretfs::k8s
