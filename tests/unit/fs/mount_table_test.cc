#include "fs/mount_table.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace secretfs::fs {
namespace {

constexpr char kTable[] =
    "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    "90 22 0:40 / /mnt/with\\040space rw,nosuid,nodev - tmpfs tmpfs rw\n"
    "91 90 0:41 / /mnt/with\\040space rw,nosuid shared:7 master:2 - fuse.secretfs secret\\134s "
    "rw,x=1\n"
    "broken line\n"
    "92 22 0:42 / /mnt/other rw - fuse.other other rw\n";

TEST(MountTableTest, FindsTheMountOnTop) {
  const auto mounts = MountsAtIn(kTable, "/mnt/with space");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].type, "tmpfs");
  EXPECT_EQ(mounts[1].type, "fuse.secretfs");
  EXPECT_EQ(mounts[1].source, "secret\\s");
  EXPECT_EQ(mounts[1].device_number, makedev(0, 41));
}

TEST(MountTableTest, NothingThere) {
  EXPECT_TRUE(MountsAtIn(kTable, "/mnt").empty());
  EXPECT_TRUE(MountsAtIn("", "/").empty());
  EXPECT_TRUE(MountsAtIn("1 2 3", "/").empty());
}

TEST(MountTableTest, DeviceNumberIsTheOneOfStat) {
  struct stat attributes = {};
  ASSERT_EQ(stat("/proc", &attributes), 0);
  EXPECT_EQ(DeviceNumberOf("/proc"), attributes.st_dev);
  EXPECT_EQ(DeviceNumberOf("/nowhere/at/all"), std::nullopt);
  EXPECT_FALSE(MountsAt("/proc").empty());
}

}  // namespace
}  // namespace secretfs::fs
