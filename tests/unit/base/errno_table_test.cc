#include "base/errno_table.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

namespace secretfs {
namespace {

// "NOT_FOUND" -> "ENOENT" of the first table in docs/errors.md.
std::map<std::string, std::string> DocumentedErrnos() {
  std::ifstream document(SECRETFS_SOURCE_DIR "/docs/errors.md");
  std::map<std::string, std::string> rows;
  bool in_table = false;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("| code | errno |")) in_table = true;
    if (!in_table || line.starts_with("|---")) continue;
    if (!line.starts_with("| ")) break;
    const size_t second = line.find(" | ");
    const size_t third = line.find(" | ", second + 3);
    rows.emplace(line.substr(2, second - 2), line.substr(second + 3, third - second - 3));
  }
  rows.erase("code");
  return rows;
}

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

TEST(ErrnoTable, TheDocumentSaysTheSame) {
  std::map<std::string, std::string> expected;
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "x");
    expected[absl::StatusCodeToString(status.code())] = strerrorname_np(StatusToErrno(status));
  }
  EXPECT_EQ(DocumentedErrnos(), expected);
}

}  // namespace
}  // namespace secretfs
