#include "base/status.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace secretfs {
namespace {

TEST(Status, RetryAfterTravelsWithTheFailureAndItsContext) {
  absl::Status status = absl::ResourceExhaustedError("throttled");
  EXPECT_FALSE(RetryAfter(status).has_value());
  SetRetryAfter(status, std::chrono::milliseconds(1500));
  const absl::Status wrapped = WithContext(status, "store 'team'");
  EXPECT_EQ(MessageOf(wrapped), "store 'team': throttled");
  EXPECT_EQ(wrapped.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfter(wrapped), std::chrono::milliseconds(1500));
}

TEST(Status, ContextLeavesSuccessAlone) {
  EXPECT_TRUE(WithContext(absl::OkStatus(), "anything").ok());
}

TEST(Status, AnswersOfTheStoreAreNotOutages) {
  EXPECT_TRUE(IsTransient(absl::UnavailableError("")));
  EXPECT_TRUE(IsTransient(absl::ResourceExhaustedError("")));
  EXPECT_TRUE(IsTransient(absl::DeadlineExceededError("")));
  EXPECT_FALSE(IsTransient(absl::NotFoundError("")));
  EXPECT_FALSE(IsTransient(absl::PermissionDeniedError("")));
  EXPECT_FALSE(IsTransient(absl::UnauthenticatedError("")));
  EXPECT_FALSE(IsTransient(absl::InvalidArgumentError("")));
  EXPECT_FALSE(IsTransient(absl::OkStatus()));
}

}  // namespace
}  // namespace secretfs
