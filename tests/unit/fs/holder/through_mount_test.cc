// What may be named through a mount. The steps themselves are tested with real mounts.

#include "fs/through_mount.h"

#include <gtest/gtest.h>

namespace secretfs::fs {
namespace {

TEST(ThroughMount, PathsBelowTheMount) {
  for (const char* good : {"a", "a/b", "..data/a", "..2024_01_01/a", "...", "a b", ".hidden"}) {
    EXPECT_TRUE(IsPathBelowMount(good)) << good;
  }
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "./a"}) {
    EXPECT_FALSE(IsPathBelowMount(bad)) << bad;
  }
  EXPECT_FALSE(IsPathBelowMount(std::string(256, 'x')));
  EXPECT_FALSE(IsPathBelowMount(std::string("a\0b", 3)));
}

TEST(ThroughMount, NamesInTheMount) {
  EXPECT_TRUE(IsNameInMount("..2024_01_01"));
  for (const char* bad : {"", ".", "..", "a/b", "/a"}) EXPECT_FALSE(IsNameInMount(bad)) << bad;
  EXPECT_EQ(SwitchDataThroughMount(-1, "../x"), EINVAL);
  EXPECT_EQ(TouchThroughMount(-1, "../x", 0), EINVAL);
  EXPECT_EQ(LookUpThroughMount(-1, "/x"), EINVAL);
}

}  // namespace
}  // namespace secretfs::fs
