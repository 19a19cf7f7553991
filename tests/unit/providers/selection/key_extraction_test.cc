#include "providers/selection/key_extraction.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers {
namespace {

// The bytes, or the message in angle brackets.
std::string Text(const absl::StatusOr<SecretBytes>& value) {
  if (!value.ok()) return Format("<{}>", MessageOf(value.status()));
  return std::string(value->ExposeAsText());
}
std::string Json(std::string_view value, std::string_view key) {
  return Text(ExtractJsonKey(value, key));
}
std::string Yaml(std::string_view value, std::string_view key) {
  return Text(ExtractYamlKey(value, key));
}

TEST(KeyExtractionTest, OneNameAtTheTopOfAnObject) {
  constexpr std::string_view kValue =
      R"({"user":"ada","a.b":"dotted","port":5432,"none":null,"nested":{"b":[1,true]},"empty":""})";
  EXPECT_EQ(Json(kValue, "user"), "ada");
  EXPECT_EQ(Json(kValue, "a.b"), "dotted");
  EXPECT_EQ(Json(kValue, "port"), "5432");
  EXPECT_EQ(Json(kValue, "none"), "");
  EXPECT_EQ(Json(kValue, "nested"), R"({"b":[1,true]})");
  EXPECT_EQ(Json(kValue, "empty"), "");
  EXPECT_EQ(ExtractJsonKey(kValue, "nested.b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Json(R"({"user":"hunter2"})", "usr"),
            "<key usr does not exist at the top; there is user>");
}

TEST(KeyExtractionTest, WhatIsNoObject) {
  for (const char* value : {"hunter2", "[\"hunter2\"]", "\"hunter2\"", "", "{\"a\":hunter2"}) {
    const auto result = ExtractJsonKey(value, "user");
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << value;
    EXPECT_EQ(Text(result).find("hunter2"), std::string::npos);
    EXPECT_NE(Text(result).find("user"), std::string::npos) << "names the key";
  }
}

TEST(KeyExtractionTest, OneNameAtTheTopOfAMapping) {
  constexpr std::string_view kValue =
      "# settings\n"
      "user: ada\n"
      "a.b: 'dotted'\n"
      "port: 5432\n"
      "version: 1.50\n"
      "quoted: \"5432\"\n"
      "none:\n"
      "text: |\n"
      "  first\n"
      "  second\n"
      "nested: {b: [1, true, \"true\", ~], c: {d: x}}\n"
      "yes: true\n"
      "---\n"
      "user: of another document\n";
  EXPECT_EQ(Yaml(kValue, "user"), "ada");
  EXPECT_EQ(Yaml(kValue, "a.b"), "dotted");
  EXPECT_EQ(Yaml(kValue, "port"), "5432");
  EXPECT_EQ(Yaml(kValue, "version"), "1.50");
  EXPECT_EQ(Yaml(kValue, "quoted"), "5432");
  EXPECT_EQ(Yaml(kValue, "none"), "");
  EXPECT_EQ(Yaml(kValue, "text"), "first\nsecond\n");
  EXPECT_EQ(Yaml(kValue, "nested"), R"({"b":[1,true,"true",null],"c":{"d":"x"}})");
  EXPECT_EQ(Yaml(kValue, "yes"), "true");
  EXPECT_EQ(Yaml(R"({"user": "ada"})", "user"), "ada") << "JSON is YAML";
  EXPECT_EQ(ExtractYamlKey(kValue, "missing").status().code(), absl::StatusCode::kNotFound);
}

TEST(KeyExtractionTest, YamlThatIsNotAccepted) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "[";
  for (const std::string& value :
       {std::string("user: hunter2: x"), std::string("just hunter2"), std::string("- hunter2"),
        std::string("a: &x hunter2\nuser: *x"), std::string("? [hunter2]\n: x"),
        std::string("~: hunter2"), std::string("\"hunter2"), std::string(), "user: " + deep}) {
    const auto result = ExtractYamlKey(value, "user");
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << value;
    EXPECT_EQ(Text(result).find("hunter2"), std::string::npos) << Text(result);
  }
}

}  // namespace
}  // namespace secretfs::providers
