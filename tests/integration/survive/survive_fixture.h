#pragma once

// A mount of the real program over a local store of its own, whose holder and server the tests may
// kill: nothing of them may be left at the end, whatever a test did.

#include <gmock/gmock.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "cli/control/control_path.h"
#include "fs/holder/holder_control.h"
#include "fs/mount_table.h"
#include "tests/integration/support/mounted_binary.h"
#include "tests/integration/survive/load.h"
#include "tests/integration/survive/server_killer.h"

namespace secretfs::testing {

class SurviveTest : public MountedBinaryTest {
 protected:
  using Clock = std::chrono::steady_clock;

  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (IsSkipped()) return;
    setenv("HOME", folder().c_str(), 1);
    unsetenv("SECRETFS_STORE");
    InitStore();
  }

  void TearDown() override {
    if (folder().empty()) return;
    if (HasFailure()) printf("the log:\n%s\n", LastLines(ReadFile(log()), 60).c_str());
    NoteProcesses();
    if (!fs::MountsAt(mount_point().string()).empty()) Secretfs({"umount", mount_point()});
    EXPECT_TRUE(Eventually([this] {
      return std::none_of(processes_.begin(), processes_.end(), IsAlive);
    })) << "a holder or a server is left";
    for (const pid_t process : processes_) {
      if (IsAlive(process)) kill(process, SIGKILL);
    }
    MountedBinaryTest::TearDown();
  }

  std::string Url() const { return "local:" + store().string(); }
  std::filesystem::path log() const { return folder() / "log"; }
  std::string HolderPath() const {
    return (folder() / "run/secretfs" / cli::HolderSocketName(mount_point().string())).string();
  }

  // In the background.
  Finished TryMount(std::vector<std::string> arguments, ChildOptions options = {}) {
    arguments.insert(arguments.begin(), {program_, "mount", "--daemon", "--log-file", log()});
    arguments.push_back(mount_point());
    Finished finished = testing::Run(std::move(arguments), std::move(options));
    NoteProcesses();
    return finished;
  }
  void MountDaemon(std::vector<std::string> arguments, ChildOptions options = {}) {
    const Finished mounted = TryMount(std::move(arguments), std::move(options));
    ASSERT_EQ(mounted.exit_code, 0) << mounted.errors;
  }
  bool IsMounted() const { return !fs::MountsAt(mount_point().string()).empty(); }

  fs::HolderStatus Status() const {
    return fs::AskHolder(HolderPath()).value_or(fs::HolderStatus());
  }
  // Those that are now; TearDown wants them gone.
  void NoteProcesses() {
    const fs::HolderStatus status = Status();
    if (status.holder > 0) processes_.insert(status.holder);
    if (status.server > 0) processes_.insert(status.server);
  }

  nlohmann::json StatusJson() {
    const Finished status = Secretfs({"status", "--json", mount_point()});
    EXPECT_EQ(status.exit_code, 0) << status.errors;
    const nlohmann::json object = nlohmann::json::parse(status.output, nullptr, false);
    return object.is_object() && object["mounts"].size() == 1 ? object["mounts"][0]
                                                              : nlohmann::json();
  }

  // A copy of the programs that a test may break; mounts are made with it from now on.
  std::filesystem::path UseCopyOfProgram() {
    const std::filesystem::path source = SecretfsBinary();
    const std::filesystem::path place = folder() / "bin";
    std::filesystem::create_directory(place);
    std::filesystem::permissions(folder(), std::filesystem::perms(0711));
    std::filesystem::copy(source, place / "secretfs");
    std::filesystem::copy(source.parent_path() / "secretfs-holder", place / "secretfs-holder");
    program_ = place / "secretfs";
    return program_;
  }
  // By another file of the same name, as an installation does.
  void ReplaceProgram(const std::filesystem::path& other) {
    std::filesystem::copy(other, folder() / "bin/next");
    std::filesystem::permissions(folder() / "bin/next", std::filesystem::perms(0755));
    std::filesystem::rename(folder() / "bin/next", program_);
  }

  // A manifest with these files of this test's store, each under its own name.
  std::string ManifestOf(const std::vector<std::string>& names, const std::string& layout) {
    std::string text = "stores:\n  dev:\n    local:\n      path: " + store().string() +
                       "\nmount: {layout: " + layout + "}\nfiles:\n";
    for (const std::string& name : names) {
      text += "  - {path: " + name + ", key: " + name + "}\n";
    }
    return WriteFile("secretfs.yaml", text);
  }

  static std::string LastLines(const std::string& text, int count) {
    size_t begin = text.size();
    while (count-- > 0 && begin != 0 && begin != std::string::npos) {
      begin = text.rfind('\n', begin - 1);
    }
    return begin == std::string::npos ? text : text.substr(begin);
  }

  std::string program_ = SecretfsBinary();

 private:
  std::set<pid_t> processes_;
};

// 0, or the errno of opening and reading the file.
inline int ReadError(const std::filesystem::path& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return errno;
  char buffer[65536];
  ssize_t size = 0;
  while ((size = read(file.get(), buffer, sizeof buffer)) > 0) {
  }
  return size < 0 ? errno : 0;
}

}  // namespace secretfs::testing
