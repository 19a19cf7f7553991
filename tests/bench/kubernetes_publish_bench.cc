// From a change of a Secret at the API server to the inotify event that a reader's watch on the
// mount hears.
//
// kubernetes_publish_bench SECRETFS ROUNDS: starts an API server of its own, mounts one Secret with
// `SECRETFS mount`, and changes it ROUNDS times. A round's time runs from the moment at which the
// change is sent to the server (so it includes the server's own writing of it) to the first event
// on the file. Prints the percentiles in milliseconds, and those of the server's answer alone.

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/integration/kubernetes/kubernetes_server.h"
#include "tests/integration/support/child_process.h"

namespace {

using Clock = std::chrono::steady_clock;
using secretfs::testing::ChildOptions;
using secretfs::testing::ChildProcess;
using secretfs::testing::KubernetesServer;

constexpr char kNamespace[] = "default";

double Milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void Drain(int inotify) {
  char buffer[65536];
  pollfd wait{inotify, POLLIN, 0};
  while (poll(&wait, 1, 50) > 0 && read(inotify, buffer, sizeof buffer) > 0) {
  }
}

bool WaitForContent(const std::filesystem::path& path, const std::string& content) {
  const Clock::time_point end = Clock::now() + std::chrono::seconds(20);
  while (ReadFile(path) != content) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

double Percentile(std::vector<double> times, size_t percent) {
  std::sort(times.begin(), times.end());
  return times[std::min(times.size() - 1, times.size() * percent / 100)];
}

int Run(const char* program, int rounds) {
  const std::unique_ptr<KubernetesServer> server = KubernetesServer::Start();
  server->PutSecret(kNamespace, "bench", {{"value", "first"}});
  const std::filesystem::path kubeconfig =
      server->WriteKubeconfig("kubeconfig", {{"token", server->admin_token()}});
  const std::filesystem::path manifest = server->ReplaceFile(
      "secretfs.yaml", secretfs::Format("stores: {{bench: {{kubernetes: {{kubeconfig: {}, "
                                        "remoteNamespace: {}}}}}}}\npolicy: {{ttl: 1h}}\n"
                                        "files: [{{path: file, key: bench, property: value}}]\n",
                                        kubeconfig.string(), kNamespace));
  const std::filesystem::path mount = server->folder() / "mount";
  std::filesystem::create_directory(mount);
  ChildProcess daemon({program, "mount", "--log-level", "warn", "-f", manifest, mount},
                      ChildOptions{.environment = {{"no_proxy", "127.0.0.1"}}});
  if (!WaitForContent(mount / "file", "first")) {
    fprintf(stderr, "kubernetes_publish_bench: the mount did not come up\n");
    return 1;
  }
  // Until the watch runs, changes would not be heard of.
  for (int i = 0; i < 50; ++i) {
    server->PutSecret(kNamespace, "bench", {{"value", "warm"}, {"n", std::to_string(i)}});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (ReadFile(mount / "file") == "warm") break;
  }
  const int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (inotify_add_watch(inotify, (mount / "file").c_str(), IN_MODIFY | IN_CLOSE_WRITE) < 0) {
    perror("kubernetes_publish_bench: inotify_add_watch");
    return 1;
  }
  std::vector<double> heard, answered;
  for (int i = 0; i < rounds; ++i) {
    Drain(inotify);
    const Clock::time_point begin = Clock::now();
    std::future<double> answer = std::async(std::launch::async, [&server, i, begin] {
      server->PutSecret(kNamespace, "bench", {{"value", "value-" + std::to_string(i)}});
      return Milliseconds(Clock::now() - begin);
    });
    pollfd wait{inotify, POLLIN, 0};
    const bool came = poll(&wait, 1, 10'000) > 0;
    heard.push_back(Milliseconds(Clock::now() - begin));
    answered.push_back(answer.get());
    if (!came) {
      fprintf(stderr, "kubernetes_publish_bench: round %d heard no event within 10 s\n", i);
      return 1;
    }
  }
  puts(nlohmann::json{{"p50_ms", Percentile(heard, 50)},
                      {"p99_ms", Percentile(heard, 99)},
                      {"max_ms", Percentile(heard, 100)},
                      {"answer_p50_ms", Percentile(answered, 50)},
                      {"answer_p99_ms", Percentile(answered, 99)}}
           .dump()
           .c_str());
  close(inotify);
  daemon.Signal(SIGTERM);
  daemon.Wait(std::chrono::seconds(10));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: kubernetes_publish_bench SECRETFS ROUNDS\n");
    return 2;
  }
  try {
    return Run(argv[1], atoi(argv[2]));
  } catch (const std::exception& exception) {
    fprintf(stderr, "kubernetes_publish_bench: %s\n", exception.what());
    return 1;
  }
}
