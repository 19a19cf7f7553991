#include "tests/integration/support/mounted_binary.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/slowness.h"

namespace secretfs::testing {

std::string SecretfsBinary() { return SECRETFS_BINARY; }

bool Eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + Slower(limit);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void MountedBinaryTest::SetUp() {
  const int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) GTEST_SKIP() << "/dev/fuse cannot be opened: " << strerror(errno);
  close(device);
  std::string pattern = std::filesystem::temp_directory_path() / "secretfs-test.XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  std::filesystem::create_directory(mount_point());
  // Control sockets and stores of the machine's own user stay out of it.
  setenv("SECRETFS_RUNTIME_DIR", (folder_ / "run/secretfs").c_str(), 1);
  std::filesystem::create_directory(folder_ / "run");
  std::filesystem::permissions(folder_ / "run", std::filesystem::perms::owner_all);
}

void MountedBinaryTest::TearDown() {
  daemon_.reset();
  if (folder_.empty()) return;
  umount2(mount_point().c_str(), MNT_DETACH);
  std::filesystem::remove_all(folder_);
}

Finished MountedBinaryTest::Secretfs(std::vector<std::string> arguments, ChildOptions options) {
  arguments.insert(arguments.begin(), SecretfsBinary());
  return testing::Run(std::move(arguments), std::move(options));
}

void MountedBinaryTest::InitStore() {
  const Finished init = Secretfs({"store", "init", "--store", store()});
  ASSERT_EQ(init.exit_code, 0) << init.errors;
}

void MountedBinaryTest::Put(const std::string& name, const std::string& value) {
  const Finished put = Secretfs({"store", "put", "--store", store(), name}, {.input = value});
  ASSERT_EQ(put.exit_code, 0) << put.errors;
}

void MountedBinaryTest::Import(const std::vector<std::pair<std::string, std::string>>& values) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : values) object[name] = value;
  const std::filesystem::path source = WriteFile("import.json", object.dump());
  const Finished imported = Secretfs({"store", "import", "--store", store(), source});
  ASSERT_EQ(imported.exit_code, 0) << imported.errors;
}

std::filesystem::path MountedBinaryTest::WriteFile(const std::string& name,
                                                   const std::string& text) {
  std::ofstream(folder_ / name, std::ios::binary) << text;
  return folder_ / name;
}

ChildProcess& MountedBinaryTest::Mount(std::vector<std::string> arguments, ChildOptions options) {
  arguments.insert(arguments.begin(), {SecretfsBinary(), "mount"});
  arguments.push_back(mount_point());
  daemon_ = std::make_unique<ChildProcess>(std::move(arguments), std::move(options));
  const bool mounted = Eventually([this] {
    struct statfs info{};
    return statfs(mount_point().c_str(), &info) == 0 && info.f_type == FUSE_SUPER_MAGIC;
  });
  if (!mounted) {
    daemon_->Signal(SIGKILL);
    daemon_->Wait(std::chrono::seconds(1));
    ADD_FAILURE() << "not mounted within 10 s: " << daemon_->errors();
  }
  return *daemon_;
}

void MountedBinaryTest::Unmount() {
  ASSERT_NE(daemon_, nullptr);
  daemon_->Signal(SIGTERM);
  EXPECT_EQ(daemon_->Wait(std::chrono::seconds(10)), 0) << daemon_->errors();
  daemon_.reset();
}

}  // namespace secretfs::testing
