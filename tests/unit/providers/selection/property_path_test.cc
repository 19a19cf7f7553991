#include "providers/selection/property_path.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"
#include "providers/secret_json.h"
#include "providers/selection/property_query.h"

namespace secretfs::providers {
namespace {

constexpr std::string_view kDocument = R"({
  "name": {"first": "Ada", "last": "Byron"},
  "age": 37, "price": 1.50, "none": null, "yes": true,
  "fruits": ["fig", "plum", "sloe"],
  "good.fruit": "fig", "good": {"fruit": "plum"},
  "a*b": "star", "a?b": "mark", "@type": "at", "#": "hash",
  "users": [
    {"name": "bob",  "key": "B1", "age": 44, "groups": ["x", "y"], "admin": true},
    {"name": "eve",  "key": "E2", "age": 68, "groups": ["y"],      "admin": false},
    {"name": "carl", "key": "C3", "age": 47, "groups": [],         "extra": {"a.b": 1}}
  ],
  "deep": [[1, [2, 3]], 4, []]
})";

// The JSON text, "-" when there is nothing, or the code's name.
std::string At(std::string_view document, std::string_view path) {
  const auto found = FindProperty(document, path);
  if (!found.ok()) return absl::StatusCodeToString(found.status().code());
  const std::optional<SecretString>& text = *found;
  return text.has_value() ? std::string(text->begin(), text->end()) : "-";
}
std::string At(std::string_view path) { return At(kDocument, path); }

TEST(PropertyPathTest, NamesAndElements) {
  EXPECT_EQ(At("name.last"), R"("Byron")");
  EXPECT_EQ(At("name"), R"({"first": "Ada", "last": "Byron"})") << "as it is written";
  EXPECT_EQ(At("age"), "37");
  EXPECT_EQ(At("price"), "1.50");
  EXPECT_EQ(At("none"), "null");
  EXPECT_EQ(At("fruits.1"), R"("plum")");
  EXPECT_EQ(At("fruits.3"), "-");
  EXPECT_EQ(At("fruits.-1"), "-");
  EXPECT_EQ(At("fruits.x"), "-");
  EXPECT_EQ(At("users.1.key"), R"("E2")");
  EXPECT_EQ(At("users|1|key"), R"("E2")");
  EXPECT_EQ(At("age.x"), "-");
  EXPECT_EQ(At("none.x"), "-");
  EXPECT_EQ(At("name."), "-");
  EXPECT_EQ(At(".name"), "-");
  EXPECT_EQ(At("[1,2]", "1"), "2");
  EXPECT_EQ(At("\"text\"", "x"), "-");
  EXPECT_EQ(At(R"({"":"empty"})", ""), R"("empty")");
  EXPECT_EQ(At(R"({"1":"one"})", "1"), R"("one")") << "a number can be a name";
}

TEST(PropertyPathTest, NamesWithCharactersThatMeanSomething) {
  EXPECT_EQ(At("good.fruit"), R"("fig")") << "as a whole name first";
  EXPECT_EQ(At("good\\.fruit"), R"("fig")");
  EXPECT_EQ(At("a\\*b"), R"("star")");
  EXPECT_EQ(At("a\\?b"), R"("mark")");
  EXPECT_EQ(At("@type"), R"("at")");
  EXPECT_EQ(At("#"), R"("hash")");
  EXPECT_EQ(At("users.2.extra.a.b"), "1") << "what is left of the path as one name";
  EXPECT_EQ(At("users.2.extra.a\\.b"), "1");
  EXPECT_EQ(At(R"({"a":{"b.c":1,"b":{"c":2}}})", "a.b.c"), "2");
  EXPECT_EQ(At(R"({"é\"\\":"quoted"})", "é\"\\\\"), R"("quoted")");
}

TEST(PropertyPathTest, Wildcards) {
  EXPECT_EQ(At("na*.first"), R"("Ada")");
  EXPECT_EQ(At("?ge"), "37");
  EXPECT_EQ(At("*zzz"), "-");
  EXPECT_EQ(At("a\\*?"), R"("star")");
}

TEST(PropertyPathTest, HowManyAndOfEach) {
  EXPECT_EQ(At("users.#"), "3");
  EXPECT_EQ(At("fruits.#"), "3");
  EXPECT_EQ(At("users.#.key"), R"(["B1","E2","C3"])");
  EXPECT_EQ(At("users.#.groups.#"), "[2,1,0]");
  EXPECT_EQ(At("users.#.groups.0"), R"(["x","y"])");
  EXPECT_EQ(At("users.#.missing"), "[]");
  EXPECT_EQ(At("users.#|x"), "-");
}

TEST(PropertyPathTest, Queries) {
  EXPECT_EQ(At(R"(users.#(name=="eve").key)"), R"("E2")");
  EXPECT_EQ(At(R"(users.#(name="eve").key)"), R"("E2")");
  EXPECT_EQ(At("users.#(name==eve).key"), R"("E2")");
  EXPECT_EQ(At("users.#(age>45).name"), R"("eve")");
  EXPECT_EQ(At("users.#(age>45)#.name"), R"(["eve","carl"])");
  EXPECT_EQ(At("users.#(age<=47)#.name"), R"(["bob","carl"])");
  EXPECT_EQ(At("users.#(age>45)#|0.name"), R"("eve")");
  EXPECT_EQ(At("users.#(age>45)#|#"), "2");
  EXPECT_EQ(At("users.#(age>45)#.0"), "[]");
  EXPECT_EQ(At("users.#(age>99)#"), "[]");
  EXPECT_EQ(At("users.#(age>99)"), "-");
  EXPECT_EQ(At(R"(users.#(name%"*r*").key)"), R"("C3")");
  EXPECT_EQ(At(R"(users.#(name!%"b*")#.key)"), R"(["E2","C3"])");
  EXPECT_EQ(At("users.#(admin==true).name"), R"("bob")");
  EXPECT_EQ(At("users.#(admin==false).name"), R"("eve")");
  EXPECT_EQ(At("users.#(extra)#.name"), R"(["carl"])");
  EXPECT_EQ(At(R"(users.#(groups.#(=="x"))#.name)"), R"(["bob"])");
  EXPECT_EQ(At(R"(fruits.#(=="plum"))"), R"("plum")");
  EXPECT_EQ(At(R"(fruits.#(!="plum")#)"), R"(["fig","sloe"])");
  EXPECT_EQ(At(R"(users.#(name=="a)b").key)"), "-");
  EXPECT_EQ(At("users.#(name==~true)"), "INVALID_ARGUMENT");
  EXPECT_EQ(At("users.#(name"), "INVALID_ARGUMENT");
}

TEST(PropertyPathTest, Modifiers) {
  EXPECT_EQ(At("fruits.@this.0"), R"("fig")");
  EXPECT_EQ(At("fruits.@reverse.0"), R"("sloe")");
  EXPECT_EQ(At("name.@keys"), R"(["first","last"])");
  EXPECT_EQ(At("name.@values"), R"(["Ada","Byron"])");
  EXPECT_EQ(At("deep.@flatten"), "[1, [2, 3],4]");
  EXPECT_EQ(At("name.@pretty"), "INVALID_ARGUMENT");
  EXPECT_EQ(At("{name.first,age}"), "INVALID_ARGUMENT");
  EXPECT_EQ(At("name.[first,last]"), "INVALID_ARGUMENT");
}

TEST(PropertyPathTest, PathsAreBounded) {
  std::string deep = "1";
  for (int i = 0; i < 63; ++i) deep = "[" + deep + "]";
  std::string path = "0";
  for (int i = 0; i < 62; ++i) path += ".0";
  EXPECT_EQ(At(deep, path), "1");
  std::string same = "@this";
  for (int i = 0; i < 64; ++i) same += ".@this";
  EXPECT_EQ(At(deep, same), "INVALID_ARGUMENT");
  EXPECT_EQ(At(std::string(5000, 'a')), "INVALID_ARGUMENT");
}

TEST(PropertyPathTest, Patterns) {
  EXPECT_TRUE(MatchesPattern("", "*"));
  EXPECT_TRUE(MatchesPattern("abc", "a*c"));
  EXPECT_TRUE(MatchesPattern("abcbc", "a*bc"));
  EXPECT_TRUE(MatchesPattern("a*c", "a\\*c"));
  EXPECT_FALSE(MatchesPattern("abc", "a\\*c"));
  EXPECT_FALSE(MatchesPattern("abc", "ab"));
  EXPECT_FALSE(MatchesPattern("ab", "ab?"));
  EXPECT_FALSE(MatchesPattern(std::string(2000, 'a'), "*a*a*a*a*a*a*b"));
}

}  // namespace
}  // namespace secretfs::providers
