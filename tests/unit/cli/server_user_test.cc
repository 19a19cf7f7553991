#include "cli/server_user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <set>

namespace secretfs::cli {
namespace {

constexpr uid_t kNobody = 65534;

TEST(ServerUser, AMadeUpOneIsNobodysAndItsOwnForEachMount) {
  const auto none_taken = [](uid_t) { return false; };
  const uid_t first = UnusedUser("/a", none_taken);
  EXPECT_EQ(UnusedUser("/a", none_taken), first) << "the same mount gets the same one";
  EXPECT_NE(UnusedUser("/b", none_taken), first);
  std::set<uid_t> taken;
  while (const uid_t user = UnusedUser("/a", [&](uid_t u) { return taken.contains(u); })) {
    EXPECT_GE(user, 60706u);
    EXPECT_LE(user, 61183u);
    EXPECT_TRUE(taken.insert(user).second) << user << " was taken";
  }
  EXPECT_EQ(taken.size(), 61183u - 60706u + 1);
}

TEST(ServerUser, IsNeverNobodyUnlessAskedFor) {
  const auto user = FindServerUser("", "/mount");
  ASSERT_TRUE(user.ok()) << user.status();
  if (geteuid() != 0) {
    EXPECT_EQ(*user, std::nullopt);
    EXPECT_FALSE(FindServerUser("nobody", "/mount").ok());
    GTEST_SKIP() << "only root chooses";
  }
  ASSERT_TRUE(user->has_value());
  EXPECT_NE((*user)->uid, kNobody);
  EXPECT_NE((*user)->uid, 0u);
  EXPECT_EQ((*user)->made_up, getpwnam("secretfs") == nullptr);
  const auto nobody = FindServerUser("nobody", "/mount");
  ASSERT_TRUE(nobody.ok() && nobody->has_value()) << nobody.status();
  EXPECT_EQ((*nobody)->uid, kNobody);
  const auto number = FindServerUser("60990", "/mount");
  ASSERT_TRUE(number.ok() && number->has_value()) << number.status();
  EXPECT_EQ((*number)->uid, 60990u);
  EXPECT_EQ((*number)->gid, 60990u);
  EXPECT_FALSE((*number)->made_up);
  for (const char* wrong : {"0", "root", "no such user", "-1", "12x", "99999999999"}) {
    EXPECT_FALSE(FindServerUser(wrong, "/mount").ok()) << wrong;
  }
}

}  // namespace
}  // namespace secretfs::cli
