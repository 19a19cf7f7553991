#include "providers/secret_json.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers {
namespace {

// The text that a parsed value is written back as.
std::string RoundTrip(std::string_view text) {
  const auto json = ParseSecretJson(text);
  if (!json.ok()) return std::string(MessageOf(json.status()));
  return std::string(DumpSecretJson(*json).ExposeAsText());
}

TEST(SecretJsonTest, EveryKindOfValueIsParsedAndWrittenBack) {
  for (const std::string_view text :
       {"null", "true", "false", "0", "-1", "18446744073709551615", "-9223372036854775808", "1.5",
        R"("")", R"("text")", R"("\"\\\n\u0001")", R"("ünïcödé €")", "[]", "{}", "[1,[2,[]],{}]",
        R"({"a":1,"b":{"c":[true,null]},"d":"x"})"}) {
    EXPECT_EQ(RoundTrip(text), text);
  }
  EXPECT_EQ(RoundTrip(" { \"b\" : 1 ,\n\"a\" : [ ] } "), R"({"a":[],"b":1})");
  EXPECT_EQ(RoundTrip(R"({"a":1,"a":{"b":2}})"), R"({"a":{"b":2}})") << "the last one counts";
  EXPECT_EQ(RoundTrip(R"("\ud83d\ude00")"), "\"\xf0\x9f\x98\x80\"");
}

TEST(SecretJsonTest, NumbersKeepTheTextThatTheyWereWrittenWith) {
  for (const std::string_view text :
       {"1e5", "1E+5", "1.0", "1.50", "-0.0", "0.1e-7", "123456789012345678901234567890",
        "18446744073709551616", "-9223372036854775809", "3.14159265358979323846",
        R"({"a":[1e5,{"b":1.10}],"c":100000000000000000000})"}) {
    EXPECT_EQ(RoundTrip(text), text);
  }
  const auto json = ParseSecretJson(R"({"account":123456789012345678901234567890})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(SecretJsonToBytes((*json)["account"]).ExposeAsText(), "123456789012345678901234567890");
}

TEST(SecretJsonTest, NestedContainersLandWhereTheyBelong) {
  const auto json = ParseSecretJson(R"({"a":[{"x":1},{"y":[2,3]}],"b":{"c":{"d":4},"e":5}})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["a"][1]["y"][1], 3);
  EXPECT_EQ((*json)["b"]["c"]["d"], 4);
  EXPECT_EQ((*json)["b"]["e"], 5);
}

TEST(SecretJsonTest, AnErrorTellsTheOffsetAndNotTheContent) {
  const auto json = ParseSecretJson(R"({"password": hunter2})");
  EXPECT_EQ(json.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(json.status()), "not valid JSON (first problem at byte 14)");
}

TEST(SecretJsonTest, WhatIsNotJsonIsRefused) {
  for (const std::string_view text : {"", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "nul", "01",
                                      "'a'", "\"a", "[1] 2", "\"\x01\"", "// c\n1", "NaN", "1e999",
                                      "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\\ud800\""}) {
    EXPECT_EQ(ParseSecretJson(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ParseSecretJson(std::string_view("1\0", 2)).ok());
  EXPECT_FALSE(ParseSecretJson(std::string_view("[1]\0[2]", 7)).ok());
}

TEST(SecretJsonTest, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(ParseSecretJson(nested(64)).ok());
  const auto json = ParseSecretJson(nested(65));
  EXPECT_EQ(json.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(MessageOf(json.status()).find("64") != std::string_view::npos);
  EXPECT_FALSE(ParseSecretJson(std::string(1'000'000, '[')).ok());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(ParseSecretJson(objects).ok());
}

TEST(SecretJsonTest, DumpingInvalidUtf8DoesNotThrow) {
  const SecretJson json = SecretString("a\xff\xfe\xc3");
  const SecretBytes text = DumpSecretJson(json);
  EXPECT_TRUE(ParseSecretJson(text.ExposeAsText()).ok());
  EXPECT_TRUE(text.ExposeAsText().starts_with("\"a\xef\xbf\xbd"));
}

TEST(SecretJsonTest, AStringIsItsBytesAndAnythingElseIsJson) {
  const auto json = ParseSecretJson(R"({"s":"a\nb","e":"","n":1,"o":{"x":[1]},"z":null})");
  ASSERT_TRUE(json.ok());
  const auto bytes = [&](const char* name) {
    return std::string(SecretJsonToBytes((*json)[name]).ExposeAsText());
  };
  EXPECT_EQ(bytes("s"), "a\nb");
  EXPECT_EQ(bytes("e"), "");
  EXPECT_EQ(bytes("n"), "1");
  EXPECT_EQ(bytes("o"), R"({"x":[1]})");
  EXPECT_EQ(bytes("z"), "null");
}

TEST(SecretJsonTest, LongValuesLiveInLockedMemoryAndGoBackToIt) {
  const size_t before = GetLockedMemoryStats().bytes_in_use;
  {
    const std::string text = Format(R"({{"value":"{}"}})", std::string(100'000, 'x'));
    const auto json = ParseSecretJson(text);
    ASSERT_TRUE(json.ok());
    EXPECT_GE(GetLockedMemoryStats().bytes_in_use, before + 100'000);
  }
  EXPECT_EQ(GetLockedMemoryStats().bytes_in_use, before);
}

}  // namespace
}  // namespace secretfs::providers
