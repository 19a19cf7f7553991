#include "tests/integration/holder/holder_fixture.h"

#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "base/text.h"
#include "tests/support/slowness.h"

namespace secretfs::fs {

namespace {

void Append(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::app) << text;
}

}  // namespace

bool Eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + testing::Slower(patience);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

void HolderTest::SetUp() {
  if (needs_root_) {
    SECRETFS_NEEDS_FUSE();
  }
  std::string name = std::filesystem::temp_directory_path() / "secretfs-holder-XXXXXX";
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  folder_ = name;
  chmod(folder_.c_str(), 0755);
  ASSERT_EQ(mkdir((folder_ + "/private").c_str(), 0700), 0);
  // Its own copy, so that a test can put another program in its place.
  std::filesystem::copy_file(SECRETFS_TEST_SERVER, folder_ + "/server");
  WriteFile("events", "");
  chmod((folder_ + "/events").c_str(), 0666);
  SetMode("serve");
}

void HolderTest::TearDown() {
  if (folder_.empty()) return;
  const absl::StatusOr<HolderStatus> status = AskHolder(holder_path());
  if (HasFailure() && holder_ != nullptr) {
    holder_->Wait(std::chrono::milliseconds(1));
    Append("/dev/stderr",
           Format("--- events:\n{}--- the holder's stderr:\n{}", Events(), holder_->errors()));
  }
  holder_.reset();
  if (status.ok() && status->server != 0) kill(status->server, SIGKILL);
  mounts_.clear();
  std::filesystem::remove_all(folder_);
}

void HolderTest::SetMode(const std::string& words) { WriteFile("mode", words); }

void HolderTest::WriteFile(const std::string& name, const std::string& text) {
  std::ofstream(folder_ + "/" + name, std::ios::trunc) << text;
}

std::string HolderTest::Events() const {
  std::ifstream file(folder_ + "/events");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool HolderTest::AwaitEvent(const std::string& part) {
  return Eventually([&] { return Events().find(part) != std::string::npos; });
}

HolderLaunch HolderTest::Launch(int mounts) {
  HolderLaunch launch;
  for (int i = 0; i < mounts; ++i) {
    mounts_.push_back(std::make_unique<MountDirectory>());
    // The server's owner is somebody else, and so is whoever reads here.
    launch.mounts.push_back({.directory = mounts_.back()->path(), .source = "test"});
  }
  launch.server_arguments = {folder_ + "/server", folder_};
  launch.server_user = kServerUser;
  launch.server_group = 65534;
  launch.openable = {folder_ + "/allowed", folder_ + "/listed", folder_ + "/link-inside",
                     folder_ + "/link-outside"};
  launch.holder_path = holder_path();
  launch.kept_bytes = 1 << 20;
  return launch;
}

testing::ChildProcess& HolderTest::Start(const HolderLaunch& launch) {
  absl::StatusOr<UniqueFd> memory = WriteHolderLaunch(launch);
  EXPECT_TRUE(memory.ok()) << memory.status();
  holder_ = std::make_unique<testing::ChildProcess>(
      std::vector<std::string>{SECRETFS_HOLDER, std::to_string(memory->get())});
  return *holder_;
}

testing::ChildProcess& HolderTest::StartAndAwait(const HolderLaunch& launch) {
  Start(launch);
  EXPECT_TRUE(AwaitReady(1));
  return *holder_;
}

bool HolderTest::AwaitReady(uint64_t generation) {
  return Eventually([&] {
    const absl::StatusOr<HolderStatus> status = AskHolder(holder_path());
    return status.ok() && status->server_is_ready && status->generation >= generation;
  });
}

HolderStatus HolderTest::Status() const {
  const absl::StatusOr<HolderStatus> status = AskHolder(holder_path());
  EXPECT_TRUE(status.ok()) << status.status();
  return status.ok() ? *status : HolderStatus{};
}

}  // namespace secretfs::fs
