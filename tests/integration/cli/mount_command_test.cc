// `secretfs mount`, `umount`, `status` and `refresh` as a user runs them.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "tests/integration/cli/cli_fixture.h"

namespace secretfs::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class MountCommandTest : public CliTest {};

constexpr std::chrono::seconds kPatience(10);

TEST_F(MountCommandTest, ServesInTheForegroundUntilSigterm) {
  Put("db/password", "first");
  ChildProcess& daemon = Mount({Url()});
  EXPECT_EQ(ReadFile(mount_point() / "db/password"), "first");
  Put("db/password", "second");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "db/password") == "second"; }));
  daemon.Signal(SIGTERM);
  EXPECT_EQ(daemon.Wait(kPatience), 0);
  EXPECT_FALSE(IsMounted());
  EXPECT_THAT(daemon.errors(), AllOf(HasSubstr("serves local:"), HasSubstr("unmounted")));
}

TEST_F(MountCommandTest, SigintEndsItTheSameWay) {
  ChildProcess& daemon = Mount({Url()});
  daemon.Signal(SIGINT);
  EXPECT_EQ(daemon.Wait(kPatience), 0);
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountCommandTest, SigtermEndsItWhileAFileIsOpen) {
  Put("a", "value");
  ChildProcess& daemon = Mount({Url()});
  const UniqueFd open_file(open((mount_point() / "a").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(open_file.valid());
  daemon.Signal(SIGTERM);
  EXPECT_EQ(daemon.Wait(kPatience), 0) << daemon.errors();
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountCommandTest, UmountOfTheKernelEndsItToo) {
  ChildProcess& daemon = Mount({Url()});
  EXPECT_EQ(testing::Run({"umount", mount_point()}).exit_code, 0);
  EXPECT_EQ(daemon.Wait(kPatience), 0) << daemon.errors();
}

TEST_F(MountCommandTest, DaemonReturnsOnceTheMountIsUsable) {
  Put("db/password", "first");
  const Finished mounted = MountDaemon({Url()});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
  EXPECT_EQ(mounted.output, "");
  EXPECT_EQ(ReadFile(mount_point() / "db/password"), "first");

  const nlohmann::json status = StatusJson();
  ASSERT_TRUE(status.is_object());
  const pid_t pid = status["pid"];
  EXPECT_EQ(getsid(pid), pid);  // a session of its own
  EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/cwd"), "/");
  for (const char* stream : {"0", "1", "2"}) {
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + stream),
              "/dev/null");
  }

  const Finished unmounted = Secretfs({"umount", mount_point()});
  EXPECT_EQ(unmounted.exit_code, 0) << unmounted.errors;
  EXPECT_FALSE(IsMounted());
  EXPECT_TRUE(Eventually([pid] { return kill(pid, 0) != 0; }));
}

TEST_F(MountCommandTest, DaemonWritesItsLogFile) {
  const std::filesystem::path log = folder() / "log";
  ASSERT_EQ(MountDaemon({"--log-file", log, "--log-format", "json", Url()}).exit_code, 0);
  ASSERT_EQ(Secretfs({"umount", mount_point()}).exit_code, 0);
  struct stat info{};
  ASSERT_EQ(stat(log.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const std::string text = ReadFile(log);
  const auto first = nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, false);
  ASSERT_TRUE(first.is_object()) << text;
  EXPECT_EQ(first["level"], "info");
}

TEST_F(MountCommandTest, DaemonTellsItsErrorBeforeItReturns) {
  const Finished missing = Secretfs({"mount", "--daemon", Url(), folder() / "nowhere"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.errors, HasSubstr((folder() / "nowhere").string()));
}

TEST_F(MountCommandTest, SaysWhatIsWrongWithTheStoreOrTheDirectory) {
  const Finished no_store = Secretfs({"mount", "local:/nowhere/s.sfs", mount_point()});
  EXPECT_EQ(no_store.exit_code, 3);
  EXPECT_EQ(no_store.errors,
            "secretfs: there is no store at /nowhere/s.sfs; 'secretfs store init --store "
            "/nowhere/s.sfs' makes one\n");
  const Finished no_directory = Secretfs({"mount", Url(), folder() / "nowhere"});
  EXPECT_EQ(no_directory.exit_code, 3);
  EXPECT_THAT(no_directory.errors, HasSubstr("does not exist"));
  const Finished file = Secretfs({"mount", Url(), store()});
  EXPECT_EQ(file.exit_code, 1);
  EXPECT_THAT(file.errors, HasSubstr(store().string()));
}

// /dev is empty in a mount namespace of this test.
TEST_F(MountCommandTest, SaysWhatIsWrongWithTheDevice) {
  if (geteuid() != 0) GTEST_SKIP() << "a mount namespace takes root";
  for (const char* daemon : {"", "--daemon"}) {
    const Finished mounted =
        testing::Run({"unshare", "-m", "sh", "-c",
                      "mount -t tmpfs none /dev && exec \"$0\" mount $4 \"$1\" \"$2\"",
                      SecretfsBinary(), Url(), mount_point(), "", daemon});
    EXPECT_EQ(mounted.exit_code, 1) << daemon;
    EXPECT_THAT(mounted.errors, HasSubstr("/dev/fuse")) << daemon;
  }
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountCommandTest, WrongUseEndsWithTwo) {
  const auto expect = [this](std::vector<std::string> arguments, const std::string& part) {
    const Finished finished = Secretfs(arguments);
    EXPECT_EQ(finished.exit_code, 2) << finished.errors;
    EXPECT_THAT(finished.errors, HasSubstr(part));
  };
  expect({"mount"}, "STORE_URL");
  expect({"mount", mount_point()}, "STORE_URL");
  expect({"mount", "-f", "x.yaml", Url(), mount_point()}, "with -f");
  expect({"mount", "locl", mount_point()}, "did you mean 'local'");
  expect({"mount", "--daemn", Url(), mount_point()}, "did you mean '--daemon'");
  expect({"mount", "--ttl", "soon", Url(), mount_point()}, "--ttl 'soon'");
  expect({"mount", "--ttl", "0s", Url(), mount_point()}, "--ttl");
  expect({"mount", "--mode", "rw", Url(), mount_point()}, "--mode 'rw'");
  expect({"mount", "vault:secret/app#password", mount_point()}, "secretfs get");
  expect({"mount", "--layout", "atmic", Url(), mount_point()}, "did you mean 'atomic'");
  expect({"mount", "--log-level", "loud", Url(), mount_point()}, "log level 'loud'");
  expect({"mont", Url(), mount_point()}, "did you mean 'mount'");
  expect({}, "--help");
}

TEST_F(MountCommandTest, OneDirectoryIsMountedOnce) {
  ASSERT_EQ(MountDaemon({Url()}).exit_code, 0);
  const Finished again = MountDaemon({Url()});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.errors, HasSubstr("secretfs umount " + mount_point().string()));
}

TEST_F(MountCommandTest, FlagsWinOverTheManifest) {
  Put("a", "value");
  const std::string manifest = Manifest(
      "mount:\n  layout: flat\n  mode: \"0400\"\nfiles:\n  - path: a\n    key: a\n"
      "policy:\n  ttl: 1h\n");
  ASSERT_EQ(MountDaemon({"-f", manifest, "--layout", "atomic", "--mode", "0440", "--uid", "7",
                         "--gid", "8", "--ttl", "30s"})
                .exit_code,
            0);
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  struct stat info{};
  ASSERT_EQ(stat((mount_point() / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0440u);
  EXPECT_EQ(info.st_uid, 7u);
  EXPECT_EQ(info.st_gid, 8u);
  EXPECT_TRUE(std::filesystem::is_symlink(mount_point() / "..data"));
  const nlohmann::json status = StatusJson();
  EXPECT_EQ(status["layout"], "atomic");
  // RFC 3339 times of one day compare as texts; the difference is at most a minute, not an hour.
  const auto fetched = status["files"][0]["fetchedAt"].get<std::string>();
  const auto expires = status["files"][0]["expiresAt"].get<std::string>();
  const auto minute = [](const std::string& time) {
    return std::stoi(time.substr(11, 2)) * 60 + std::stoi(time.substr(14, 2));
  };
  EXPECT_LE((minute(expires) - minute(fetched) + 24 * 60) % (24 * 60), 1);
}

TEST_F(MountCommandTest, StatusShowsStatesButNoValues) {
  Put("db/password", "planted-value");
  Put("db/user", "planted-user");
  const std::string manifest = Manifest(
      "files:\n  - path: password\n    key: db/password\n  - path: user\n    key: db/user\n"
      "  - path: none\n    key: db/none\n");
  ASSERT_EQ(MountDaemon({"-f", manifest}).exit_code, 0);
  ReadFile(mount_point() / "password");
  EXPECT_EQ(ReadFile(mount_point() / "none"), "");
  const nlohmann::json status = StatusJson();
  EXPECT_EQ(status["directory"], mount_point().string());
  EXPECT_EQ(status["layout"], "flat");
  ASSERT_EQ(status["files"].size(), 3u);
  std::map<std::string, nlohmann::json> files;
  for (const auto& file : status["files"]) files[file["path"]] = file;
  EXPECT_EQ(files["password"]["state"], "fresh");
  EXPECT_EQ(files["password"]["store"], "dev");
  EXPECT_EQ(files["password"]["key"], "db/password");
  EXPECT_NE(files["password"]["version"], "");
  EXPECT_EQ(files["user"]["state"], "absent");
  EXPECT_THAT(files["none"]["error"].get<std::string>(), HasSubstr("db/none"));

  const Finished text = Secretfs({"status"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.output,
              AllOf(HasSubstr(mount_point().string() + ": flat, mounted"), HasSubstr("password"),
                    HasSubstr("fresh"), HasSubstr("FILE"), Not(HasSubstr("\033"))));
  EXPECT_THAT(text.output + status.dump(), Not(HasSubstr("planted")));
}

TEST_F(MountCommandTest, StatusWithoutMounts) {
  const Finished all = Secretfs({"status", "--json"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_TRUE(nlohmann::json::parse(all.output)["mounts"].is_array());
  const Finished one = Secretfs({"status", mount_point()});
  EXPECT_EQ(one.exit_code, 3);
  EXPECT_THAT(one.errors, HasSubstr("no secretfs"));
}

TEST_F(MountCommandTest, RefreshAsksTheStoreNow) {
  Put("a", "1");
  ASSERT_EQ(MountDaemon({Url()}).exit_code, 0);
  EXPECT_EQ(ReadFile(mount_point() / "a"), "1");
  EXPECT_EQ(Secretfs({"refresh", mount_point()}).exit_code, 0);
  EXPECT_EQ(Secretfs({"refresh", mount_point(), "a"}).exit_code, 0);
  EXPECT_EQ(Secretfs({"refresh", mount_point(), mount_point() / "a"}).exit_code, 0);
  const Finished missing = Secretfs({"refresh", mount_point(), "nope"});
  EXPECT_EQ(missing.exit_code, 3) << missing.errors;
  EXPECT_THAT(missing.errors, HasSubstr("nope"));
  EXPECT_EQ(Secretfs({"refresh", folder()}).exit_code, 3);
}

TEST_F(MountCommandTest, UmountTakesAwayWhatAKilledDaemonLeft) {
  ASSERT_EQ(MountDaemon({Url()}).exit_code, 0);
  const pid_t pid = StatusJson()["pid"];
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] {
    struct statfs info{};
    return statfs(mount_point().c_str(), &info) != 0;
  }));
  const Finished status = Secretfs({"status", mount_point()});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.errors, HasSubstr("umount"));
  const Finished unmounted = Secretfs({"umount", mount_point()});
  EXPECT_EQ(unmounted.exit_code, 0) << unmounted.errors;
  EXPECT_FALSE(IsMounted());
  const Finished again = Secretfs({"umount", mount_point()});
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_THAT(again.errors, HasSubstr("no secretfs mount"));
}

TEST_F(MountCommandTest, AutoUnmountLeavesNothingBehind) {
  ASSERT_EQ(MountDaemon({"--auto-unmount", Url()}).exit_code, 0);
  ASSERT_TRUE(IsMounted());
  const pid_t pid = StatusJson()["pid"];
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_TRUE(Eventually([this] { return !IsMounted(); }));
}

constexpr char kExternalSecret[] =
    "apiVersion: external-secrets.io/v1\n"
    "kind: ExternalSecret\n"
    "metadata:\n  name: app\n"
    "spec:\n"
    "  secretStoreRef:\n    name: dev\n    kind: SecretStore\n"
    "  dataFrom:\n    - extract:\n        key: app/db\n"
    "---\n"
    "apiVersion: external-secrets.io/v1\n"
    "kind: SecretStore\n"
    "metadata:\n  name: dev\n"
    "spec:\n  provider:\n    local:\n      path: ";

TEST_F(MountCommandTest, ExtractedFieldsAreFilesOfAFlatMountAndFollowRotations) {
  Put("app/db", R"({"user":"u1","pass":"p1"})");
  const std::string manifest =
      WriteFile("external.yaml", kExternalSecret + store().string() + "\n");
  const Finished mounted = MountDaemon({"-f", manifest, "--layout", "flat"});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
  EXPECT_EQ(ReadFile(mount_point() / "pass"), "p1");
  EXPECT_EQ(ReadFile(mount_point() / "user"), "u1");
  Put("app/db", R"({"user":"u1","pass":"p2","port":5432})");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "pass") == "p2"; }));
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "port") == "5432"; }));
}

TEST_F(MountCommandTest, ExtractedFieldsAreFilesOfAnAtomicMount) {
  Put("app/db", R"({"user":"u1","pass":"p1"})");
  const std::string manifest =
      WriteFile("external.yaml", kExternalSecret + store().string() + "\n");
  ASSERT_EQ(MountDaemon({"-f", manifest}).exit_code, 0);
  EXPECT_EQ(ReadFile(mount_point() / "..data/pass"), "p1");
  Put("app/db", R"({"user":"u2","pass":"p2"})");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "pass") == "p2"; }));
  EXPECT_EQ(ReadFile(mount_point() / "user"), "u2");
}

TEST_F(MountCommandTest, ExtractedFieldsAppearOnceTheStoreHasThem) {
  const std::string manifest =
      WriteFile("external.yaml", kExternalSecret + store().string() + "\n");
  const Finished mounted = MountDaemon({"-f", manifest});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
  EXPECT_THAT(mounted.errors, HasSubstr("app/db"));
  EXPECT_EQ(ReadFile(mount_point() / "pass"), "");
  const pid_t pid = StatusJson()["pid"];
  Put("app/db", R"({"pass":"p1"})");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "pass") == "p1"; },
                         std::chrono::seconds(20)));
  EXPECT_EQ(StatusJson()["pid"], pid);
  Put("app/db", R"({"pass":"p2"})");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "pass") == "p2"; }));
  EXPECT_EQ(Secretfs({"umount", mount_point()}).exit_code, 0);
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountCommandTest, MountsWithoutContactingTheStore) {
  const std::string manifest =
      WriteFile("vault.yaml",
                "stores:\n  team:\n    vault:\n      server: http://127.0.0.1:1\n      auth:\n"
                "        token:\n          file: " +
                    (folder() / "token").string() +
                    "\nfiles:\n  - path: a\n    key: secret/a\npolicy:\n  deadline: 300ms\n");
  WriteFile("token", "t");
  const Finished mounted = MountDaemon({"-f", manifest});
  ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
  // The reader gets an error within its deadline instead of waiting.
  EXPECT_LT(open((mount_point() / "a").c_str(), O_RDONLY | O_CLOEXEC), 0);
  EXPECT_EQ(Secretfs({"umount", mount_point()}).exit_code, 0);
}

}  // namespace
}  // namespace secretfs::testing
