// How much memory the holder and the server of many mounts take.
//
// memory_bench HOLDER SECRETFS MANIFEST WORK_FOLDER MOUNTS FILE…: starts HOLDER with MOUNTS mounts
// of one MANIFEST in WORK_FOLDER, reads each FILE of each of them, prints the resident megabytes of
// the holder (besides what it keeps of values and trees for the next server) and of the server.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "cli/mount_request.h"
#include "cli/openable_paths.h"
#include "fs/holder/holder_control.h"
#include "fs/holder/holder_launch.h"
#include "tests/integration/support/child_process.h"

namespace secretfs::testing {
namespace {

using std::chrono::seconds;

constexpr uid_t kNobody = 65534;
constexpr seconds kPatience(60);

double Megabytes(pid_t process, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return atof(line.c_str() + field.size() + 1) / 1024;
  }
  return 0;
}

std::string ReadText(const std::string& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

bool ReadSome(const std::filesystem::path& path) {
  char buffer[65536];
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.valid() && read(file.get(), buffer, sizeof buffer) > 0;
}

int Fail(const std::string& text) {
  fprintf(stderr, "memory_bench: %s\n", text.c_str());
  return 1;
}

int Main(int argc, char** argv) {
  if (argc < 7) {
    fprintf(stderr, "usage: memory_bench HOLDER SECRETFS MANIFEST WORK_FOLDER MOUNTS FILE…\n");
    return 2;
  }
  const std::filesystem::path work = std::filesystem::absolute(argv[4]);
  cli::MountRequest request;
  request.manifests = {{std::filesystem::absolute(argv[3]), ReadText(argv[3])}};
  request.log_level = "warn";
  const auto manifest = cli::ManifestOf(request, cli::ProcessEnvironment());
  if (!manifest.ok()) return Fail(std::string(manifest.status().message()));
  const auto payload = cli::WriteMountRequest(request);
  if (!payload.ok()) return Fail(std::string(payload.status().message()));

  fs::HolderLaunch launch;
  for (int i = 0; i < atoi(argv[5]); ++i) {
    fs::MountOptions mount;
    mount.directory = work / ("m" + std::to_string(i));
    std::filesystem::create_directories(mount.directory);
    launch.mounts.push_back(mount);
  }
  launch.server_arguments = {std::filesystem::absolute(argv[2]), "serve", work};
  if (geteuid() == 0) {
    launch.server_user = kNobody;
    launch.server_group = kNobody;
  }
  launch.openable = cli::OpenablePaths(*manifest, cli::ProcessEnvironment());
  launch.payload = payload->get();
  fcntl(launch.payload, F_SETFD, 0);  // the holder is given it by exec
  launch.holder_path = work / "holder";
  launch.log_level = "warn";
  const auto memory = fs::WriteHolderLaunch(launch);
  if (!memory.ok()) return Fail(std::string(memory.status().message()));

  ChildProcess holder({argv[1], std::to_string(memory->get())});
  fs::HolderStatus status;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!status.server_is_ready) {
    if (std::chrono::steady_clock::now() > end || holder.Wait(std::chrono::milliseconds(10))) {
      return Fail("the mounts did not come up: " + holder.errors());
    }
    status = fs::AskHolder(launch.holder_path).value_or(status);
  }
  for (const fs::MountOptions& mount : launch.mounts) {
    for (int i = 6; i < argc; ++i) {
      const std::filesystem::path file = std::filesystem::path(mount.directory) / argv[i];
      if (!ReadSome(file)) return Fail("cannot read " + file.string());
    }
  }
  const nlohmann::json result = {
      {"holder_mb", Megabytes(status.holder, "VmRSS") - Megabytes(status.holder, "RssShmem")},
      {"holder_kept_mb", Megabytes(status.holder, "RssShmem")},
      {"server_mb", Megabytes(status.server, "VmRSS")},
      {"server_shared_mb", Megabytes(status.server, "RssShmem")}};
  puts(result.dump().c_str());
  holder.Signal(SIGTERM);
  return holder.Wait(kPatience) == 0 ? 0 : Fail("the holder did not end: " + holder.errors());
}

}  // namespace
}  // namespace secretfs::testing

int main(int argc, char** argv) { return secretfs::testing::Main(argc, argv); }
