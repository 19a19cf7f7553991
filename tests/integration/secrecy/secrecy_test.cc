// A planted value turns up in nothing that secretfs prints, logs, keeps or leaves behind.

#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

constexpr char kPlanted[] = "PLANTED-7f3a-value-that-must-not-leak";
constexpr char kRotated[] = "PLANTED-91bc-rotated-must-not-leak";

class SecrecyTest : public MountedBinaryTest {
 protected:
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (!IsSkipped()) InitStore();
  }

  void ExpectClean(const std::string& text, const std::string& where) {
    EXPECT_EQ(text.find("PLANTED"), std::string::npos) << where << " shows a value";
  }
  // The process that serves; 0 while none does.
  pid_t ServerProcess() {
    const Finished status = Secretfs({"status", "--json", mount_point()});
    const auto report = nlohmann::json::parse(status.output, nullptr, false);
    return report.is_object() ? report["mounts"][0].value("serverPid", 0) : 0;
  }

  void ExpectClean(const Finished& finished, const std::string& where) {
    ExpectClean(finished.output, where + " (stdout)");
    ExpectClean(finished.errors, where + " (stderr)");
  }
};

TEST_F(SecrecyTest, NoOutputOfAnyCommandShowsAValue) {
  ExpectClean(Secretfs({"store", "put", "--store", store(), "app/password"}, {.input = kPlanted}),
              "store put");
  ExpectClean(Secretfs({"store", "put", "--store", store(), "app/json"},
                       {.input = std::string("{\"broken\": \"") + kPlanted}),
              "store put of broken JSON");
  ExpectClean(Secretfs({"store", "list", "--json", "--store", store()}), "store list");
  ExpectClean(Secretfs({"store", "history", "--store", store(), "app/password"}), "store history");
  const std::string manifest = WriteFile(
      "secretfs.yaml", "stores:\n  here:\n    local:\n      path: " + store().string() +
                           "\nfiles:\n"
                           "  - path: password\n    key: app/password\n"
                           "  - path: broken\n    key: app/json\n    property: broken\n"
                           "  - path: undecodable\n    key: app/password\n    decoding: Base64\n"
                           "  - path: missing\n    key: app/missing\n");
  ChildProcess& daemon = Mount({"--log-level", "trace", "-f", manifest});
  EXPECT_EQ(ReadFile(mount_point() / "password"), kPlanted);
  EXPECT_EQ(ReadFile(mount_point() / "broken"), "");       // not JSON: an error
  EXPECT_EQ(ReadFile(mount_point() / "undecodable"), "");  // not base64: an error
  EXPECT_EQ(ReadFile(mount_point() / "missing"), "");
  Put("app/password", kRotated);
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password") == kRotated; }));

  ExpectClean(Secretfs({"status", mount_point()}), "status");
  ExpectClean(Secretfs({"status", "--json", mount_point()}), "status --json");
  ExpectClean(Secretfs({"refresh", mount_point()}), "refresh");
  ExpectClean(Secretfs({"check", "--online", "-f", manifest}), "check --online");
  for (const pid_t process : {daemon.pid(), ServerProcess()}) {
    const std::string proc = "/proc/" + std::to_string(process);
    ExpectClean(ReadFile(proc + "/cmdline"), "argv");
    ExpectClean(ReadFile(proc + "/environ"), "environ");
  }
  // What the next server says when it finds the values of this one.
  const pid_t first = ServerProcess();
  ASSERT_EQ(kill(first, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return ServerProcess() != first; }));
  EXPECT_EQ(ReadFile(mount_point() / "password"), kRotated);
  daemon.Signal(SIGTERM);
  EXPECT_EQ(daemon.Wait(std::chrono::seconds(10)), 0);
  ExpectClean(daemon.output(), "the daemon's stdout");
  ExpectClean(daemon.errors(), "the daemon's log");
  EXPECT_FALSE(daemon.errors().empty()) << "the trace log is empty, so this test saw nothing";

  // Nothing readable was left in the folder: the store is encrypted, the manifest holds names only.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder())) {
    if (entry.is_regular_file()) ExpectClean(ReadFile(entry.path()), entry.path().string());
  }
}

// Ends with SIGABRT and says whether the kernel wrote a core dump.
bool DumpsCore(ChildProcess& process) {
  process.Signal(SIGABRT);
  EXPECT_EQ(process.Wait(std::chrono::seconds(10)), 128 + SIGABRT);
  return process.core_dumped();
}

TEST_F(SecrecyTest, ACrashLeavesNoCoreDump) {
  Put("password", kPlanted);
  const std::filesystem::path old_folder = std::filesystem::current_path();
  std::filesystem::current_path(folder());  // where the kernel puts core files by default
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &limit), 0);
  const rlimit unlimited{limit.rlim_max, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &unlimited), 0);
  ChildProcess ordinary({"sleep", "60"});
  const bool possible = DumpsCore(ordinary);
  ChildProcess& daemon = Mount({"local:" + store().string()});
  EXPECT_EQ(ReadFile(mount_point() / "password"), kPlanted);
  ASSERT_EQ(kill(ServerProcess(), SIGABRT), 0);
  EXPECT_EQ(ReadFile(mount_point() / "password"), kPlanted);
  size_t cores = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().filename().string().starts_with("core")) ++cores;
  }
  EXPECT_EQ(cores, possible ? 1u : 0u) << "of the ordinary program only";
  const bool dumped = DumpsCore(daemon);
  setrlimit(RLIMIT_CORE, &limit);
  std::filesystem::current_path(old_folder);
  if (!possible) GTEST_SKIP() << "this machine writes no core dump for an ordinary program either";
  EXPECT_FALSE(dumped);
}

TEST_F(SecrecyTest, AValueInArgvIsRefusedWithoutRepeatingIt) {
  const Finished refused = Secretfs({"store", "put", "--store", store(), "password", kPlanted});
  EXPECT_EQ(refused.exit_code, 2);
  ExpectClean(refused, "store put with a value in argv");
  EXPECT_NE(refused.errors.find("printf %s"), std::string::npos) << refused.errors;
}

}  // namespace
}  // namespace secretfs::testing
