#include "base/secret_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include "base/text.h"

namespace secretfs {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_convertible_v<SecretBytes, std::string>);
static_assert(!std::is_convertible_v<SecretBytes, std::string_view>);

TEST(SecretBytes, HoldsWhatItWasGivenAndMovesIt) {
  SecretBytes value = SecretBytes::CopyOf("s3cret");
  EXPECT_EQ(value.ExposeAsText(), "s3cret");
  SecretBytes moved = std::move(value);
  EXPECT_EQ(moved.ExposeAsText(), "s3cret");
  EXPECT_TRUE(value.empty());  // NOLINT(bugprone-use-after-move): the moved-from state is promised
}

TEST(SecretBytes, ComparesBytes) {
  const SecretBytes value = SecretBytes::CopyOf("abc");
  EXPECT_TRUE(value.ConstantTimeEquals(SecretBytes::CopyOf("abc")));
  EXPECT_FALSE(value.ConstantTimeEquals(SecretBytes::CopyOf("abd")));
  EXPECT_FALSE(value.ConstantTimeEquals(SecretBytes::CopyOf("ab")));
  EXPECT_TRUE(SecretBytes().ConstantTimeEquals(SecretBytes(0)));
}

TEST(SecretBuilder, GrowsToItsLimitAndKeepsWhatFitted) {
  SecretBuilder builder(5000);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(builder.Append(std::string(100, static_cast<char>('a' + i % 26))).ok());
    expected += std::string(100, static_cast<char>('a' + i % 26));
  }
  const absl::Status over = builder.Append("x");
  EXPECT_EQ(over.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(over), "larger than the limit of 5000 bytes");
  EXPECT_EQ(builder.Finish().ExposeAsText(), expected);
  EXPECT_EQ(builder.size(), 0u);
}

}  // namespace
}  // namespace secretfs
