// The server is killed and replaced under load, and nobody notices.

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/integration/survive/survive_fixture.h"
#include "tests/support/slowness.h"

namespace secretfs::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

// A kill on average every 150 ms: some hit servers that are just starting.
milliseconds LongestPause() { return Slower(milliseconds(300)); }

class SurviveLoadTest : public SurviveTest {
 protected:
  void SetUp() override {
    SurviveTest::SetUp();
    if (IsSkipped()) return;
    load_options_.directory = mount_point();
    load_options_.cold_files = Fewer(600);
    load_options_.hot_pause *= Slowness();
    load_options_.cold_pause *= Slowness();
    load_options_.rotate = [this](const std::string& value) {
      return Secretfs({"store", "put", "--store", store(), "rotating"}, {.input = value})
                 .exit_code == 0;
    };
    const char* seed = getenv("SECRETFS_SURVIVE_SEED");
    seed_ = seed != nullptr ? static_cast<unsigned>(strtoul(seed, nullptr, 10))
                            : static_cast<unsigned>(Clock::now().time_since_epoch().count());
    printf("SECRETFS_SURVIVE_SEED=%u\n", seed_);
  }

  // `kind`: browse, or the layout of a manifest's files.
  void MountForLoad(const std::string& kind, std::vector<std::string> arguments = {}) {
    load_options_.is_tree = kind == "browse";
    const auto values = Load::Values(load_options_);
    Import(values);
    if (kind == "browse") {
      arguments.push_back(Url());
    } else {
      std::vector<std::string> names;
      for (const auto& [name, value] : values) names.push_back(name);
      arguments.insert(arguments.end(), {"-f", ManifestOf(names, kind)});
    }
    ASSERT_NO_FATAL_FAILURE(MountDaemon(std::move(arguments)));
    if (kind != "browse") return;
    // A tree's file has no size before it was opened once.
    for (int i = 0; i < load_options_.hot_files; ++i) {
      ASSERT_EQ(ReadError(mount_point() / "hot" / std::to_string(i)), 0);
    }
    ASSERT_EQ(ReadError(mount_point() / "rotating"), 0);
  }

  void KillUnderLoad(int usual_count, const std::string& kind,
                     std::vector<std::string> arguments = {}) {
    const int count = Fewer(usual_count);
    ASSERT_NO_FATAL_FAILURE(MountForLoad(kind, std::move(arguments)));
    Load load(load_options_);
    ServerKiller killer(HolderPath(), seed_);
    load.Start();
    EXPECT_TRUE(killer.Kill(count, LongestPause()));
    EXPECT_TRUE(killer.AwaitReady());
    const LoadResult result = load.Stop();
    EXPECT_TRUE(result.IsClean()) << result.Text();
    EXPECT_GT(result.hot_reads, static_cast<uint64_t>(Fewer(100)));
    EXPECT_GT(result.cold_requests, static_cast<uint64_t>(Fewer(100)));
    EXPECT_GT(result.listings, static_cast<uint64_t>(Fewer(10)));
    EXPECT_GT(result.rotations, 1);
    // A kill that met a server which was dying already is no death of its own.
    EXPECT_GE(Status().restarts, static_cast<uint64_t>(count) * 3 / 4);
    const std::vector<double> waits = killer.ColdWaits(load);
    printf(
        "%s%zu kills, %d of servers not ready yet; cold waits: %.1f ms at the median kill, "
        "%.1f ms at worst\n",
        result.Text().c_str(), killer.kills(), killer.kills_while_starting(),
        waits[waits.size() / 2], waits.back());
  }

  LoadOptions load_options_;
  unsigned seed_ = 0;
};

TEST_F(SurviveLoadTest, KillsOfAFlatMount) { KillUnderLoad(30, "flat"); }

TEST_F(SurviveLoadTest, KillsOfAnAtomicMount) { KillUnderLoad(20, "atomic"); }

// Opens are served there, so every read takes the server.
TEST_F(SurviveLoadTest, KillsOfAStoresTree) { KillUnderLoad(12, "browse"); }

TEST_F(SurviveLoadTest, KillsWithTheJournalAlone) { KillUnderLoad(15, "flat", {"--no-resend"}); }

TEST_F(SurviveLoadTest, KillsWithTheJournalAloneOfAnAtomicMount) {
  KillUnderLoad(12, "atomic", {"--no-resend"});
}

TEST_F(SurviveLoadTest, KillsWithoutKeptValues) { KillUnderLoad(10, "flat", {"--no-keep-values"}); }

TEST_F(SurviveLoadTest, KillsWhileTheStoreIsDown) {
  load_options_.cold_files = 0;
  for (const char* kind : {"flat", "atomic", "browse"}) {
    ASSERT_NO_FATAL_FAILURE(MountForLoad(kind, {"--ttl", "1s"}));
    for (int i = 0; i < load_options_.hot_files; ++i) {
      ASSERT_EQ(ReadError(mount_point() / "hot" / std::to_string(i)), 0);
    }
    ASSERT_EQ(ReadError(mount_point() / "rotating"), 0);
    Load load(load_options_);
    ServerKiller killer(HolderPath(), seed_);
    load.Start();
    load.PauseRotations();
    std::filesystem::rename(store(), folder() / "away");
    EXPECT_TRUE(killer.Kill(6, LongestPause()));
    EXPECT_TRUE(killer.AwaitReady());
    std::this_thread::sleep_for(seconds(2));  // longer than the TTL
    std::filesystem::rename(folder() / "away", store());
    EXPECT_TRUE(killer.Kill(3, LongestPause()));
    const LoadResult result = load.Stop();
    EXPECT_TRUE(result.IsClean()) << kind << ": " << result.Text();
    const Finished unmounted = Secretfs({"umount", mount_point()});
    EXPECT_EQ(unmounted.exit_code, 0) << unmounted.errors;
    Put("rotating", LoadValue("rotating", 1));
  }
}

TEST_F(SurviveLoadTest, Upgrades) {
  constexpr uint64_t kUpgrades = 4;
  for (const char* kind : {"flat", "atomic", "browse"}) {
    ASSERT_NO_FATAL_FAILURE(MountForLoad(kind));
    const fs::HolderStatus before = Status();
    Load load(load_options_);
    load.Start();
    for (uint64_t i = 1; i <= kUpgrades; ++i) {
      const pid_t old = Status().server;
      const Finished upgraded = Secretfs({"upgrade", mount_point()});
      EXPECT_EQ(upgraded.exit_code, 0) << upgraded.errors;
      EXPECT_FALSE(IsAlive(old));
      EXPECT_EQ(Status().generation, before.generation + i);
    }
    const LoadResult result = load.Stop();
    EXPECT_TRUE(result.IsClean()) << kind << ": " << result.Text();
    EXPECT_EQ(Status().restarts, 0u);
    EXPECT_EQ(Status().holder, before.holder);
    EXPECT_EQ(Secretfs({"umount", mount_point()}).exit_code, 0);
    Put("rotating", LoadValue("rotating", 1));
  }
}

TEST_F(SurviveLoadTest, HangupUpgrades) {
  ASSERT_NO_FATAL_FAILURE(MountForLoad("flat"));
  const fs::HolderStatus before = Status();
  ASSERT_EQ(kill(before.holder, SIGHUP), 0);
  EXPECT_TRUE(Eventually(
      [&] { return Status().server_is_ready && Status().generation == before.generation + 1; }));
  EXPECT_FALSE(IsAlive(before.server));
  EXPECT_EQ(ReadFile(mount_point() / "hot/0"), LoadValue("hot/0", 1));
}

TEST_F(SurviveLoadTest, AnUpgradeToABrokenProgramLeavesTheOldServer) {
  UseCopyOfProgram();
  load_options_.cold_files = 50;
  ASSERT_NO_FATAL_FAILURE(MountForLoad("flat"));
  const fs::HolderStatus before = Status();
  Load load(load_options_);
  load.Start();
  ReplaceProgram("/bin/false");
  const Finished failed = Secretfs({"upgrade", mount_point()});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.errors, HasSubstr("exited with code 1"));
  EXPECT_THAT(failed.errors, HasSubstr("the old one goes on"));
  ReplaceProgram("/etc/hostname");
  const Finished no_program = Secretfs({"upgrade", "--all"});
  EXPECT_EQ(no_program.exit_code, 1);
  EXPECT_THAT(no_program.errors, HasSubstr("the old"));
  EXPECT_EQ(Status().server, before.server);
  EXPECT_EQ(Status().restarts, 0u);

  // And when the old one dies now, the program that it was made of is still there.
  ServerKiller killer(HolderPath(), seed_);
  EXPECT_TRUE(killer.Kill(2, LongestPause()));
  EXPECT_TRUE(killer.AwaitReady());
  const LoadResult result = load.Stop();
  EXPECT_TRUE(result.IsClean()) << result.Text();
}

// --- a normal user, for whom fusermount3 mounts

constexpr uid_t kUser = 65534;  // nobody: fusermount3 wants a user that has a name

class SurviveAsNormalUser : public SurviveLoadTest {
 protected:
  void SetUp() override {
    if (geteuid() == 0) GTEST_SKIP() << "runs within SurviveTest.KillsOfANormalUsersMount";
    SurviveLoadTest::SetUp();
  }
};

TEST_F(SurviveAsNormalUser, DISABLED_Kills) {
  load_options_.cold_files = 100;
  KillUnderLoad(8, "flat");
}

TEST(SurviveUnprivilegedTest, KillsOfANormalUsersMount) {
  if (geteuid() != 0) GTEST_SKIP() << "becomes another user, which takes root";
  if (access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/fuse cannot be opened";
  if (access("/usr/bin/fusermount3", X_OK) != 0) GTEST_SKIP() << "fusermount3 is missing";
  char program[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", program, sizeof(program) - 1), 0);
  // In a mount namespace where everybody may open /dev/fuse, as udev sets it up on a workstation.
  const Finished finished =
      testing::Run({"unshare", "-m", "sh", "-c",
                    "mount -t tmpfs none /mnt && mknod -m 666 /mnt/fuse c 10 229 && "
                    "chmod 666 /mnt/fuse && mount --bind /mnt/fuse /dev/fuse && "
                    "exec setpriv --reuid=\"$1\" --regid=\"$1\" --clear-groups \"$0\" "
                    "--gtest_filter=SurviveAsNormalUser.DISABLED_Kills "
                    "--gtest_also_run_disabled_tests",
                    program, std::to_string(kUser)});
  EXPECT_EQ(finished.exit_code, 0) << finished.output << finished.errors;
  EXPECT_THAT(finished.output, HasSubstr("[  PASSED  ] 1 test"));
  EXPECT_THAT(finished.output, Not(HasSubstr("SKIPPED")));
}

}  // namespace
}  // namespace secretfs::testing
