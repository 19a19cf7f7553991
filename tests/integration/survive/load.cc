#include "tests/integration/survive/load.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/text.h"

namespace secretfs::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kLargestValue = 12 * 1024;
constexpr size_t kLargestColdValue = 1024;
constexpr size_t kSmallestValue = 500;
constexpr size_t kProblemsKept = 20;
constexpr milliseconds kWorthNoting(1);
constexpr seconds kRotationPatience(15);
constexpr seconds kEndPatience(30);
constexpr char kRotating[] = "rotating";

std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : std::to_string(error);
}

std::string HotName(int i) { return "hot/" + std::to_string(i); }
std::string ColdName(int i) { return "cold/" + std::to_string(i); }

}  // namespace

std::string LoadValue(const std::string& file, int version) {
  const std::string line = Format("{} {}\n", file, version);
  // Many small ones: the store is read as a whole.
  const size_t largest = file.starts_with("cold/") ? kLargestColdValue : kLargestValue;
  const size_t size =
      kSmallestValue + (static_cast<size_t>(version) * 977 + std::hash<std::string>()(file)) %
                           (largest - kSmallestValue);
  std::string value;
  value.reserve(size + line.size());
  while (value.size() < size) value += line;
  value.resize(size);
  return value;
}

std::optional<int> VersionOf(const std::string& file, const std::string& bytes) {
  if (!bytes.starts_with(file + " ")) return std::nullopt;
  int version = 0;
  const char* begin = bytes.data() + file.size() + 1;
  const auto parsed = std::from_chars(begin, bytes.data() + bytes.size(), version);
  if (parsed.ec != std::errc() || bytes != LoadValue(file, version)) return std::nullopt;
  return version;
}

bool LoadResult::IsClean() const {
  return errors == 0 && torn == 0 && backwards == 0 && last_rotation_read && last_rotation_heard &&
         last_rotation_heard_on_file && watches_alive && all_ended;
}

std::string LoadResult::Text() const {
  std::string text = Format(
      "{} hot reads, {} cold requests, {} listings, {} rotations; {} errors, {} torn, {} "
      "backwards\n",
      hot_reads, cold_requests, listings, rotations, errors, torn, backwards);
  if (!last_rotation_read) text += "the last rotation was not read\n";
  if (!last_rotation_heard) text += "the last rotation was not heard on the directory\n";
  if (!last_rotation_heard_on_file) text += "the last rotation was not heard on the file\n";
  if (!watches_alive) text += "a watch has ended\n";
  if (!all_ended) text += "a thread hung until its mount was aborted\n";
  for (const LoadProblem& problem : problems) {
    text += Format("  {}: {}\n", problem.operation, problem.what);
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> Load::Values(const LoadOptions& options) {
  std::vector<std::pair<std::string, std::string>> values;
  const auto add = [&values](const std::string& name) {
    values.emplace_back(name, LoadValue(name, 1));
  };
  add(kRotating);
  for (int i = 0; i < options.hot_files; ++i) add(HotName(i));
  for (int i = 0; i < options.cold_files; ++i) add(ColdName(i));
  return values;
}

Load::Load(LoadOptions options) : options_(std::move(options)) {}

Load::~Load() {
  if (!threads_.empty()) Stop();
}

void Load::Start() {
  struct stat root{};
  if (stat(options_.directory.c_str(), &root) == 0) device_ = root.st_dev;
  // In a store's tree a file has a size and a version once it was read.
  int newest = 1;
  for (int i = 0; i < options_.hot_files; ++i) ReadWhole(HotName(i), &newest);
  inotify_.Reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO;
  directory_watch_ = inotify_add_watch(inotify_.get(), options_.directory.c_str(), kEvents);
  file_watch_ = inotify_add_watch(inotify_.get(), PathOf(kRotating).c_str(), kEvents);
  if (directory_watch_ < 0 || file_watch_ < 0)
    Report(errors_, "inotify_add_watch", ErrnoName(errno));

  const auto start = [this](auto function, auto... arguments) {
    ++running_;
    threads_.emplace_back([this, function, arguments...] {
      (this->*function)(arguments...);
      --running_;
    });
  };
  start(&Load::Watcher);
  if (options_.rotate) start(&Load::Rotator);
  for (int i = 0; i < options_.hot_readers; ++i) start(&Load::HotReader, i);
  for (int i = 0; i < options_.cold_readers; ++i) start(&Load::ColdReader, i);
  for (int i = 0; i < options_.listers; ++i) start(&Load::Lister, i);
}

void Load::PauseRotations() {
  absl::MutexLock lock(&rotating_);
  paused_ = true;
}

void Load::ResumeRotations() {
  absl::MutexLock lock(&rotating_);
  paused_ = false;
}

LoadResult Load::Stop() {
  LoadResult result;
  AwaitLastRotation(result);
  stop_ = true;
  result.all_ended = AwaitThreads(kEndPatience);
  if (!result.all_ended) AbortConnection();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  result.hot_reads = hot_reads_;
  result.cold_requests = cold_requests_;
  result.listings = listings_;
  result.rotations = version_ - 1;
  result.errors = errors_;
  result.torn = torn_;
  result.backwards = backwards_;
  result.watches_alive = watches_over_ == 0;
  absl::MutexLock lock(&mutex_);
  result.problems = problems_;
  return result;
}

std::chrono::microseconds Load::LongestColdWait(Clock::time_point from,
                                                Clock::time_point to) const {
  absl::MutexLock lock(&mutex_);
  Clock::duration longest{0};
  for (const Wait& wait : waits_) {
    if (wait.ended >= from && wait.began <= to)
      longest = std::max(longest, wait.ended - wait.began);
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(longest);
}

// --- readers

void Load::HotReader(int number) {
  int newest_rotated = 1;
  for (unsigned turn = static_cast<unsigned>(number); !stop_; ++turn) {
    int newest = 1;
    if (turn % 2 == 0 || options_.hot_files == 0) {
      ReadWhole(kRotating, &newest_rotated);
    } else {
      ReadWhole(HotName(static_cast<int>(turn / 2) % options_.hot_files), &newest);
    }
    ++hot_reads_;
    Pause(options_.hot_pause);
  }
}

bool Load::ReadWhole(const std::string& name, int* newest) {
  const UniqueFd file(open(PathOf(name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!Check(file.valid(), "open", name)) return false;
  std::string bytes;
  char buffer[4096];
  ssize_t size = 0;
  while ((size = read(file.get(), buffer, sizeof buffer)) > 0) {
    bytes.append(buffer, static_cast<size_t>(size));
  }
  if (!Check(size == 0, "read", name)) return false;
  const std::optional<int> version = VersionOf(name, bytes);
  if (!version.has_value()) {
    Report(torn_, "read " + name,
           Format("{} bytes that are no value of it, beginning with '{}'", bytes.size(),
                  bytes.substr(0, std::min<size_t>(bytes.find('\n'), 40))));
    return false;
  }
  if (*version < *newest) {
    Report(backwards_, "read " + name, Format("version {} after {}", *version, *newest));
    return false;
  }
  *newest = *version;
  return true;
}

void Load::ColdReader(int number) {
  std::minstd_rand random(static_cast<unsigned>(number + 1));
  while (!stop_) {
    const Clock::time_point began = Clock::now();
    // One in four, so that there are new names for longer.
    if (random() % 4 != 0 || !NextColdFile()) AskServer(random);
    const Clock::time_point ended = Clock::now();
    ++cold_requests_;
    if (ended - began >= kWorthNoting) {
      absl::MutexLock lock(&mutex_);
      waits_.push_back({began, ended});
    }
    Pause(options_.cold_pause);
  }
}

// False when all were read.
bool Load::NextColdFile() {
  const int next = next_cold_++;
  if (next >= options_.cold_files) {
    next_cold_ = options_.cold_files;
    return false;
  }
  int newest = 1;
  ReadWhole(ColdName(next), &newest);
  return true;
}

// What the kernel never answers by itself.
void Load::AskServer(std::minstd_rand& random) {
  const std::string hot = HotName(static_cast<int>(random() % std::max(1, options_.hot_files)));
  const std::string path = PathOf(hot);
  switch (random() % 3) {
    case 0: {
      struct statx attributes{};
      const int done = statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, STATX_SIZE, &attributes);
      if (!Check(done == 0, "statx", hot)) return;
      const bool unopened = options_.is_tree && attributes.stx_size == 0;
      if (!unopened && attributes.stx_size != LoadValue(hot, 1).size()) {
        Report(torn_, "statx " + hot, Format("size {}", attributes.stx_size));
      }
      return;
    }
    case 1: {
      char value[256];
      const ssize_t size = getxattr(path.c_str(), "user.secretfs.version", value, sizeof value);
      if (size < 0 && errno == ENODATA && options_.is_tree) return;
      if (Check(size >= 0, "getxattr", hot) && size == 0) Report(torn_, "getxattr " + hot, "empty");
      return;
    }
    default: {
      const std::string name = "missing-" + std::to_string(random() % 100);
      struct stat attributes{};
      const bool found = stat(PathOf(name).c_str(), &attributes) == 0;
      Check(!found && errno == ENOENT, "lookup", name);
    }
  }
}

void Load::Lister(int number) {
  const bool long_one = options_.cold_files > 0;
  const std::string listed = number % 2 == 0 ? (long_one ? "cold" : "hot") : "";
  std::set<std::string> wanted{kRotating, "hot"};
  if (!listed.empty()) {
    wanted.clear();
    const int count = long_one ? options_.cold_files : options_.hot_files;
    for (int i = 0; i < count; ++i) wanted.insert(std::to_string(i));
  }
  while (!stop_) {
    DIR* directory = opendir(PathOf(listed).c_str());
    if (!Check(directory != nullptr, "opendir", listed)) continue;
    std::set<std::string> missing = wanted;
    errno = 0;
    while (const dirent* entry = readdir(directory)) missing.erase(entry->d_name);
    const bool complete = Check(errno == 0, "readdir", listed);
    closedir(directory);
    if (complete && !missing.empty()) {
      Report(torn_, "readdir " + listed,
             Format("{} of {} names are missing, such as '{}'", missing.size(), wanted.size(),
                    *missing.begin()));
    }
    ++listings_;
    Pause(options_.hot_pause);
  }
}

// --- rotations and who hears of them

void Load::Rotator() {
  Clock::time_point next = Clock::now() + options_.rotation_pause;
  while (!stop_) {
    if (Clock::now() < next) {
      Pause(milliseconds(20));
      continue;
    }
    next = Clock::now() + options_.rotation_pause;
    RotateOnce();
  }
}

bool Load::RotateOnce() {
  absl::MutexLock lock(&rotating_);
  if (paused_ || stop_) return false;
  const int version = version_ + 1;
  if (!options_.rotate(LoadValue(kRotating, version))) {
    Report(errors_, "rotate", "failed");
    return false;
  }
  version_ = version;
  return true;
}

void Load::Watcher() {
  alignas(inotify_event) char buffer[65536];
  while (!stop_) {
    pollfd wait{inotify_.get(), POLLIN, 0};
    if (poll(&wait, 1, 100) <= 0) continue;
    const ssize_t size = read(inotify_.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if ((event->mask & (IN_IGNORED | IN_UNMOUNT)) != 0) {
        ++watches_over_;
      } else if (event->wd == directory_watch_) {
        ++directory_events_;
      } else {
        ++file_events_;
      }
    }
  }
}

void Load::AwaitLastRotation(LoadResult& result) {
  if (!options_.rotate) {
    result.last_rotation_read = true;
    result.last_rotation_heard = result.last_rotation_heard_on_file = true;
    return;
  }
  ResumeRotations();
  // What was heard before belongs to earlier rotations; those have had their second.
  Pause(seconds(1));
  const uint64_t directory_before = directory_events_, file_before = file_events_;
  if (!RotateOnce()) return;
  PauseRotations();
  const int last = version_;
  const Clock::time_point end = Clock::now() + kRotationPatience;
  int newest = 1;
  while (Clock::now() < end) {
    result.last_rotation_read = ReadWhole(kRotating, &newest) && newest == last;
    result.last_rotation_heard = directory_events_ > directory_before;
    result.last_rotation_heard_on_file = file_events_ > file_before;
    if (result.last_rotation_read && result.last_rotation_heard &&
        result.last_rotation_heard_on_file) {
      return;
    }
    Pause(milliseconds(10));
  }
}

// --- common

bool Load::Check(bool good, const std::string& operation, const std::string& name) {
  if (!good) Report(errors_, operation + " " + name, ErrnoName(errno));
  return good;
}

void Load::Report(std::atomic<uint64_t>& counter, const std::string& operation,
                  const std::string& what) {
  ++counter;
  absl::MutexLock lock(&mutex_);
  if (problems_.size() < kProblemsKept) problems_.push_back({operation, what, Clock::now()});
}

void Load::Pause(std::chrono::microseconds time) const { std::this_thread::sleep_for(time); }

bool Load::AwaitThreads(seconds limit) const {
  const Clock::time_point end = Clock::now() + limit;
  while (running_ > 0) {
    if (Clock::now() >= end) return false;
    Pause(milliseconds(10));
  }
  return true;
}

// Where /sys/fs/fuse/connections is not mounted, a forced unmount does the same.
void Load::AbortConnection() const {
  const std::string path = Format("/sys/fs/fuse/connections/{}/abort", minor(device_));
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.valid() && write(file.get(), "1", 1) == 1) return;
  if (umount2(options_.directory.c_str(), MNT_FORCE) == 0 || errno == EBUSY) return;
  fprintf(stderr, "threads hang in %s, and %s cannot be written\n", options_.directory.c_str(),
          path.c_str());
  abort();
}

}  // namespace secretfs::testing
