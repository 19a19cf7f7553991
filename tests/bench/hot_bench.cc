// Hot reads of one small file, on secretfs and on tmpfs, in one run: open+read+close, stat, pread,
// on one thread and on one per core.
//
// Usage: hot_bench SECRETFS_FILE TMPFS_FILE [Google Benchmark options]

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace {

constexpr size_t kBuffer = 4096;

void OpenReadClose(benchmark::State& state, const std::string& path) {
  char buffer[kBuffer];
  for (auto _ : state) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, buffer, sizeof buffer) <= 0) state.SkipWithError("cannot read");
    close(fd);
  }
}

void Stat(benchmark::State& state, const std::string& path) {
  struct stat attributes{};
  for (auto _ : state) {
    if (stat(path.c_str(), &attributes) != 0) state.SkipWithError("cannot stat");
  }
}

void Pread(benchmark::State& state, const std::string& path) {
  char buffer[kBuffer];
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (auto _ : state) {
    if (pread(fd, buffer, sizeof buffer, 0) <= 0) state.SkipWithError("cannot read");
  }
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: hot_bench SECRETFS_FILE TMPFS_FILE [benchmark options]\n");
    return 2;
  }
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  for (const auto& [side, path] : {std::pair<std::string, std::string>("secretfs", argv[1]),
                                   std::pair<std::string, std::string>("tmpfs", argv[2])}) {
    const auto add = [&](const char* what, auto function) {
      for (const int threads : {1, cores}) {
        benchmark::RegisterBenchmark(
            (std::string(what) + (threads == 1 ? "" : ".threads") + "/" + side).c_str(),
            [function, path = path](benchmark::State& state) { function(state, path); })
            ->Threads(threads)
            ->UseRealTime();
      }
    };
    add("hot.open_read_close", OpenReadClose);
    add("hot.stat", Stat);
    add("hot.pread", Pread);
  }
  argv[2] = argv[0];
  argc -= 2;
  char** rest = argv + 2;
  benchmark::Initialize(&argc, rest);
  benchmark::RunSpecifiedBenchmarks();
}
