#pragma once

// The real holder, started as `secretfs mount` does it, with the test server of this folder. What
// is mounted or still runs when a test fails is taken away.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fs/holder/holder_control.h"
#include "fs/holder/holder_launch.h"
#include "tests/integration/fuse/mount_fixture.h"
#include "tests/integration/support/child_process.h"

namespace secretfs::fs {

inline constexpr uid_t kServerUser = 65534;
inline constexpr std::chrono::seconds kPatience{20};

// True as soon as `condition` is; false after kPatience.
bool Eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds patience = kPatience);

class HolderTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  const std::string& folder() const { return folder_; }
  std::string mount_point(int i = 0) const { return mounts_[static_cast<size_t>(i)]->path(); }
  std::string value(int i = 0) const { return mount_point(i) + "/value"; }
  std::string holder_path() const { return folder_ + "/private/holder.sock"; }

  // How the next server behaves; see test_server.cc.
  void SetMode(const std::string& words);
  void WriteFile(const std::string& name, const std::string& text);
  // All that servers wrote down so far.
  std::string Events() const;
  bool AwaitEvent(const std::string& part);

  // With `mounts` mounts; `launch` may be changed before Start.
  HolderLaunch Launch(int mounts = 1);
  testing::ChildProcess& Start(const HolderLaunch& launch);
  // Until the first server is ready.
  testing::ChildProcess& StartAndAwait(const HolderLaunch& launch);
  bool AwaitReady(uint64_t generation);
  HolderStatus Status() const;
  testing::ChildProcess& holder() { return *holder_; }

  bool needs_root_ = true;

 private:
  std::string folder_;
  std::vector<std::unique_ptr<MountDirectory>> mounts_;
  std::unique_ptr<testing::ChildProcess> holder_;
};

}  // namespace secretfs::fs
