// First reads of cold secrets.
//
// cold_bench first DIRECTORY COUNT URL_PREFIX: for i in 0..COUNT-1, alternately the first
//   open+read+close of DIRECTORY/sI and a libcurl GET of URL_PREFIX + sI on a warm connection
//   (token from VAULT_TOKEN). Prints the medians in microseconds.
// cold_bench many DIRECTORY COUNT THREADS: reads all of DIRECTORY/s0… once with THREADS readers;
// prints
//   the reads per second and the errors.

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double MicrosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

bool ReadWhole(const std::string& path) {
  char buffer[65536];
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool good = read(fd, buffer, sizeof buffer) > 0;
  close(fd);
  return good;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

size_t Discard(char*, size_t size, size_t count, void* total) {
  *static_cast<size_t*>(total) += size * count;
  return size * count;
}

class Getter {
 public:
  Getter() : handle_(curl_easy_init()) {
    const char* token = getenv("VAULT_TOKEN");
    headers_ =
        curl_slist_append(nullptr, ("X-Vault-Token: " + std::string(token ? token : "")).c_str());
    curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, Discard);
    curl_easy_setopt(handle_, CURLOPT_WRITEDATA, &bytes_);
  }
  ~Getter() {
    curl_slist_free_all(headers_);
    curl_easy_cleanup(handle_);
  }
  bool Get(const std::string& url) {
    curl_easy_setopt(handle_, CURLOPT_URL, url.c_str());
    long status = 0;
    if (curl_easy_perform(handle_) != CURLE_OK) return false;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    return status == 200;
  }

 private:
  CURL* handle_;
  curl_slist* headers_ = nullptr;
  size_t bytes_ = 0;
};

int First(const std::string& directory, int count, const std::string& url_prefix) {
  Getter getter;
  // Warm both sides alike: one connection of ours, one of the daemon's.
  if (!getter.Get(url_prefix + "s0") || !ReadWhole(directory + "/s0")) {
    fprintf(stderr, "cold_bench: cannot read s0 on both sides\n");
    return 1;
  }
  std::vector<double> ours, theirs;
  for (int i = 1; i < count; ++i) {
    const std::string name = "s" + std::to_string(i);
    Clock::time_point start = Clock::now();
    if (!ReadWhole(directory + "/" + name)) return 1;
    ours.push_back(MicrosecondsSince(start));
    start = Clock::now();
    if (!getter.Get(url_prefix + name)) return 1;
    theirs.push_back(MicrosecondsSince(start));
  }
  puts(nlohmann::json{{"secretfs_us", Median(ours)}, {"curl_us", Median(theirs)}}.dump().c_str());
  return 0;
}

int Many(const std::string& directory, int count, int thread_count) {
  std::atomic<int> next = 0, errors = 0;
  const Clock::time_point start = Clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < thread_count; ++t) {
    threads.emplace_back([&] {
      for (int i = next++; i < count; i = next++) {
        if (!ReadWhole(directory + "/s" + std::to_string(i))) ++errors;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = MicrosecondsSince(start) / 1e6;
  puts(nlohmann::json{{"reads_per_second", count / seconds}, {"errors", errors.load()}}
           .dump()
           .c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 5 ? argv[1] : "";
  if (mode == "first") return First(argv[2], atoi(argv[3]), argv[4]);
  if (mode == "many") return Many(argv[2], atoi(argv[3]), atoi(argv[4]));
  fprintf(stderr,
          "usage: cold_bench first DIRECTORY COUNT URL_PREFIX | many DIRECTORY COUNT THREADS\n");
  return 2;
}
