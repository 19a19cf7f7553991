// What readers of a mount notice of their server being killed or replaced, under the load of
// tests/integration/survive/load.h.
//
// survive_bench kills SECRETFS WORK_FOLDER COUNT [SEED]
// survive_bench upgrades SECRETFS WORK_FOLDER COUNT
// Makes a store in WORK_FOLDER, mounts, does it COUNT times, unmounts. Prints the errors (failed
// operations, torn values, versions going backwards, rotations missed, watches lost), what was
// read, and for kills how long cold requests waited.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/control/control_path.h"
#include "fs/holder/holder_control.h"
#include "tests/integration/support/child_process.h"
#include "tests/integration/survive/load.h"
#include "tests/integration/survive/server_killer.h"

namespace secretfs::testing {
namespace {

constexpr int kColdFiles = 4000;
constexpr std::chrono::milliseconds kLongestPause(1000);
constexpr std::chrono::milliseconds kUpgradePause(200);

class Bench {
 public:
  Bench(std::string program, const std::filesystem::path& work)
      : program_(std::move(program)), store_(work / "store.sfs"), mount_(work / "mount") {
    setenv("SECRETFS_RUNTIME_DIR", (work / "run/secretfs").c_str(), 1);
    std::filesystem::create_directories(work / "run");
    std::filesystem::permissions(work / "run", std::filesystem::perms::owner_all);
    std::filesystem::create_directories(mount_);
    options_.directory = mount_;
    options_.cold_files = kColdFiles;
    options_.rotate = [this](const std::string& value) {
      return Run({program_, "store", "put", "--store", store_, "rotating"}, {.input = value})
                 .exit_code == 0;
    };
    holder_path_ = work / "run/secretfs" / cli::HolderSocketName(mount_.string());
    nlohmann::json values = nlohmann::json::object();
    std::string manifest =
        "stores:\n  bench:\n    local:\n      path: " + store_.string() + "\nfiles:\n";
    for (const auto& [name, value] : Load::Values(options_)) {
      values[name] = value;
      manifest += "  - {path: " + name + ", key: " + name + "}\n";
    }
    std::ofstream(work / "values.json") << values.dump();
    std::ofstream(work / "secretfs.yaml") << manifest;
    Must({program_, "store", "init", "--store", store_});
    Must({program_, "store", "import", "--store", store_, work / "values.json"});
    Must({program_, "mount", "--daemon", "--log-file", work / "log", "-f", work / "secretfs.yaml",
          mount_});
  }
  ~Bench() { Run({program_, "umount", mount_}); }

  nlohmann::json Kills(int count, unsigned seed) {
    Load load(options_);
    ServerKiller killer(holder_path_, seed);
    load.Start();
    const bool killed = killer.Kill(count, kLongestPause) && killer.AwaitReady();
    nlohmann::json result = ToJson(load.Stop(), !killed);
    const std::vector<double> waits = killer.ColdWaits(load);
    result["kills"] = killer.kills();
    result["kills_while_starting"] = killer.kills_while_starting();
    if (waits.empty()) return result;
    result["cold_wait_p50_ms"] = waits[waits.size() / 2];
    result["cold_wait_p99_ms"] = waits[waits.size() * 99 / 100];
    result["cold_wait_max_ms"] = waits.back();
    return result;
  }

  nlohmann::json Upgrades(int count) {
    Load load(options_);
    load.Start();
    int failed = 0;
    for (int i = 0; i < count; ++i) {
      if (Run({program_, "upgrade", mount_}).exit_code != 0) ++failed;
      std::this_thread::sleep_for(kUpgradePause);
    }
    nlohmann::json result = ToJson(load.Stop(), failed > 0);
    result["upgrades"] = count - failed;
    return result;
  }

 private:
  static void Must(std::vector<std::string> command) {
    const Finished finished = Run(std::move(command));
    if (finished.exit_code == 0) return;
    fprintf(stderr, "survive_bench: %s\n", finished.errors.c_str());
    exit(1);
  }

  static nlohmann::json ToJson(const LoadResult& result, bool failed) {
    if (!result.IsClean()) fprintf(stderr, "%s", result.Text().c_str());
    const uint64_t missed = !result.last_rotation_read + !result.last_rotation_heard +
                            !result.last_rotation_heard_on_file + !result.watches_alive +
                            !result.all_ended;
    return {{"errors", result.errors + result.torn + result.backwards + missed + failed},
            {"hot_reads", result.hot_reads},
            {"cold_requests", result.cold_requests},
            {"listings", result.listings},
            {"rotations", result.rotations}};
  }

  const std::string program_;
  const std::filesystem::path store_, mount_;
  LoadOptions options_;
  std::string holder_path_;
};

int Main(int argc, char** argv) {
  const std::string mode = argc >= 5 ? argv[1] : "";
  if (mode != "kills" && mode != "upgrades") {
    fprintf(stderr,
            "usage: survive_bench kills SECRETFS WORK_FOLDER COUNT [SEED]\n"
            "       survive_bench upgrades SECRETFS WORK_FOLDER COUNT\n");
    return 2;
  }
  Bench bench(argv[2], std::filesystem::absolute(argv[3]));
  const int count = atoi(argv[4]);
  const unsigned seed = argc > 5 ? static_cast<unsigned>(strtoul(argv[5], nullptr, 10)) : 1;
  puts((mode == "kills" ? bench.Kills(count, seed) : bench.Upgrades(count)).dump().c_str());
  return 0;
}

}  // namespace
}  // namespace secretfs::testing

int main(int argc, char** argv) { return secretfs::testing::Main(argc, argv); }
