#include "providers/selection/codec.h"

#include <gtest/gtest.h>

#include <string>

namespace secretfs::providers {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(CodecTest, Base64OfRfc4648) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string_view("\xfb\xff\xfe\0", 4), "+//+AA=="},
  };
  for (const auto& [plain, encoded] : table) {
    EXPECT_EQ(EncodeBase64(Bytes(plain)).ExposeAsText(), encoded);
    const auto decoded = DecodeBase64(encoded, Base64Form::kStandard);
    ASSERT_TRUE(decoded.has_value()) << encoded;
    EXPECT_EQ(decoded->ExposeAsText(), plain);
  }
}

TEST(CodecTest, EveryByteGoesThrough) {
  for (size_t size = 0; size < 300; ++size) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>(i * 7 + size);
    const SecretBytes encoded = EncodeBase64(Bytes(text));
    const auto decoded = DecodeBase64(encoded.ExposeAsText(), Base64Form::kStandard);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->ExposeAsText(), text);
  }
}

TEST(CodecTest, LineBreaksAreSkipped) {
  EXPECT_EQ(DecodeBase64("Zm9v\r\nYmFy\n", Base64Form::kStandard)->ExposeAsText(), "foobar");
}

TEST(CodecTest, WhatIsNotBase64IsRefused) {
  for (const std::string_view text : {"Zg", "Zg=", "Zg===", "Z", "=", "Zm9v=", "Z=g=", "Zm9v Zg==",
                                      "Zm9-", "Zm_v", "Zm9v!", "Zm\x80v"}) {
    EXPECT_FALSE(DecodeBase64(text, Base64Form::kStandard).has_value()) << text;
  }
}

TEST(CodecTest, TheUrlFormHasItsOwnCharactersAndMayLackPadding) {
  EXPECT_EQ(DecodeBase64("-__-AA==", Base64Form::kUrl)->size(), 4u);
  EXPECT_FALSE(DecodeBase64("-__-AA", Base64Form::kUrl).has_value());
  EXPECT_EQ(DecodeBase64("-__-AA", Base64Form::kUrlPaddingOptional)->size(), 4u);
  EXPECT_FALSE(DecodeBase64("-__-A", Base64Form::kUrlPaddingOptional).has_value());
  EXPECT_FALSE(DecodeBase64("+//+", Base64Form::kUrl).has_value());
}

TEST(CodecTest, HexIsReadInEitherCase) {
  EXPECT_EQ(DecodeHex("001FaB\r\n")->ExposeAsText(), std::string_view("\0\x1f\xab", 3));
  EXPECT_EQ(DecodeHex("")->size(), 0u);
  for (const std::string_view text : {"0", "0g", "0x00", "00 11", "\n00"}) {
    EXPECT_FALSE(DecodeHex(text).has_value()) << text;
  }
}

TEST(CodecTest, HexIsLowerCase) {
  EXPECT_EQ(EncodeHex(Bytes(std::string_view("\0\x1f\xab", 3))).ExposeAsText(), "001fab");
}

}  // namespace
}  // namespace secretfs::providers
