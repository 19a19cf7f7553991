#pragma once

// A GoogleTest fixture around the real `secretfs` program: a folder of its own, a local store in
// it, mounts that are always unmounted. SKIPs with the reason where /dev/fuse cannot be opened.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/support/child_process.h"

namespace secretfs::testing {

// Path of the program under test.
std::string SecretfsBinary();

// True within `limit` as soon as `condition` is; polls every few milliseconds.
bool Eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(10));

std::string ReadFile(const std::filesystem::path& path);

class MountedBinaryTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path store() const { return folder_ / "store.sfs"; }
  std::filesystem::path mount_point() const { return folder_ / "mount"; }

  Finished Secretfs(std::vector<std::string> arguments, ChildOptions options = {});
  void InitStore();
  void Put(const std::string& name, const std::string& value);
  // Several at once, in one transaction.
  void Import(const std::vector<std::pair<std::string, std::string>>& values);
  std::filesystem::path WriteFile(const std::string& name, const std::string& text);

  // Starts `secretfs mount ARGUMENTS mount_point()` in the foreground and waits until it is
  // mounted.
  ChildProcess& Mount(std::vector<std::string> arguments, ChildOptions options = {});
  // Ends it with SIGTERM and expects a clean exit.
  void Unmount();

 private:
  std::filesystem::path folder_;
  std::unique_ptr<ChildProcess> daemon_;
};

}  // namespace secretfs::testing
