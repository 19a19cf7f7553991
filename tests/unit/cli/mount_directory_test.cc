#include "cli/mount_directory.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

namespace secretfs::cli {
namespace {

constexpr std::string_view kMountinfo =
    "29 1 254:1 / / rw,relatime - ext4 /dev/root rw\n"
    "88 29 0:46 / /home/dev/my\\040secrets rw,nosuid shared:9 - fuse.secretfs secretfs "
    "rw,user_id=0\n"
    "89 29 0:47 / /mnt/sshfs rw - fuse.sshfs host: rw\n"
    "90 29 0:48 / /mnt/twice rw - fuse.secretfs secretfs rw\n"
    "91 90 0:49 / /mnt/twice rw - fuse.secretfs secretfs rw\n"
    "92 29 0:50 / /mnt/plain rw - fuse secretfs rw\n"
    "cut 29 0:51";

TEST(MountDirectoryTest, FindsSecretfsMountsOnly) {
  EXPECT_EQ(FindSecretfsMount(kMountinfo, "/home/dev/my secrets"), makedev(0, 46));
  EXPECT_EQ(FindSecretfsMount(kMountinfo, "/mnt/plain"), makedev(0, 50));
  EXPECT_EQ(FindSecretfsMount(kMountinfo, "/mnt/sshfs"), std::nullopt);
  EXPECT_EQ(FindSecretfsMount(kMountinfo, "/"), std::nullopt);
  EXPECT_EQ(FindSecretfsMount(kMountinfo, "/mnt"), std::nullopt);
  EXPECT_EQ(FindSecretfsMount("", "/mnt"), std::nullopt);
}

TEST(MountDirectoryTest, TheTopmostOfStackedMountsCounts) {
  EXPECT_EQ(FindSecretfsMount(kMountinfo, "/mnt/twice"), makedev(0, 49));
}

TEST(MountDirectoryTest, ResolvesLinksAndSlashes) {
  std::string pattern = std::filesystem::temp_directory_path() / "secretfs-test.XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = std::filesystem::canonical(pattern);
  std::filesystem::create_directory(folder / "real");
  std::filesystem::create_directory_symlink(folder / "real", folder / "link");
  EXPECT_EQ(CanonicalMountDirectory(folder / "real/"), folder / "real");
  EXPECT_EQ(CanonicalMountDirectory(folder / "link"), folder / "real");
  EXPECT_EQ(CanonicalMountDirectory(folder / "link/../real"), folder / "real");
  EXPECT_EQ(CanonicalMountDirectory(folder / "gone"), folder / "gone");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace secretfs::cli
