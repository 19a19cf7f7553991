#include "tests/integration/selection/selection_fixture.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

namespace secretfs::testing {

std::filesystem::path SelectionPrograms() {
  static const std::filesystem::path folder = [] {
    const char* given = std::getenv("SECRETFS_SELECTION");
    std::string found = given == nullptr ? "" : given;
    if (found.empty()) {
      constexpr char kBuild[] = SECRETFS_SOURCE_DIR "/tests/integration/selection/build";
      const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(kBuild, "r"), ::pclose);
      char line[4096] = {};
      if (pipe != nullptr && fgets(line, sizeof line, pipe.get()) != nullptr) found = line;
      while (!found.empty() && found.back() == '\n') found.pop_back();
    }
    if (!std::filesystem::exists(std::filesystem::path(found) / "gjson")) {
      throw std::runtime_error("there is no program 'gjson' in '" + found +
                               "' (SECRETFS_SELECTION, or the output of "
                               "tests/integration/selection/build)");
    }
    return std::filesystem::path(found);
  }();
  return folder;
}

}  // namespace secretfs::testing
