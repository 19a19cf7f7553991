#pragma once

// What the tests of the command line share on top of the support library: a daemon that is always
// ended, manifests, and the folder as a working place.

#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {

class CliTest : public MountedBinaryTest {
 protected:
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (IsSkipped()) return;
    // Neither a real home nor another store is in reach.
    setenv("HOME", folder().c_str(), 1);
    unsetenv("SECRETFS_STORE");
    InitStore();
  }
  void TearDown() override {
    if (!folder().empty()) Secretfs({"umount", mount_point()});
    MountedBinaryTest::TearDown();
  }

  std::string Url() const { return "local:" + store().string(); }

  Finished MountDaemon(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"mount", "--daemon"});
    arguments.push_back(mount_point());
    return Secretfs(std::move(arguments));
  }

  // A manifest over this test's store with the given files block.
  std::string Manifest(const std::string& rest) {
    return WriteFile("secretfs.yaml",
                     "stores:\n  dev:\n    local:\n      path: " + store().string() + "\n" + rest);
  }

  nlohmann::json StatusJson() {
    const Finished status = Secretfs({"status", "--json", mount_point()});
    EXPECT_EQ(status.exit_code, 0) << status.errors;
    const nlohmann::json object = nlohmann::json::parse(status.output, nullptr, false);
    return object.is_object() && object["mounts"].size() == 1 ? object["mounts"][0]
                                                              : nlohmann::json();
  }

  bool IsMounted() const {
    std::ifstream stream("/proc/self/mountinfo");
    for (std::string line; std::getline(stream, line);) {
      if (line.find(" " + mount_point().string() + " ") != std::string::npos) return true;
    }
    return false;
  }
};

}  // namespace secretfs::testing
