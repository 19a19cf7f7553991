#include "base/errno_table.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace secretfs {
namespace {

TEST(ErrnoTable, AnswersAndOutagesDiffer) {
  EXPECT_EQ(StatusToErrno(absl::OkStatus()), 0);
  EXPECT_EQ(StatusToErrno(absl::NotFoundError("")), ENOENT);
  EXPECT_EQ(StatusToErrno(absl::PermissionDeniedError("")), EACCES);
  EXPECT_EQ(StatusToErrno(absl::UnauthenticatedError("")), EACCES);
  EXPECT_EQ(StatusToErrno(absl::DeadlineExceededError("")), ETIMEDOUT);
  EXPECT_EQ(StatusToErrno(absl::CancelledError("")), EINTR);
  EXPECT_EQ(StatusToErrno(absl::UnavailableError("")), EIO);
  EXPECT_EQ(StatusToErrno(absl::InvalidArgumentError("")), EIO);
  EXPECT_EQ(StatusToErrno(absl::UnimplementedError("")), EOPNOTSUPP);
}

}  // namespace
}  // namespace secretfs
