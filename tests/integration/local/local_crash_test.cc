// The local store under kill -9 and under many writers at once. Each round starts a real process
// that writes, and ends it at a random point.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "providers/local/local_store.h"
#include "tests/integration/support/child_process.h"

namespace secretfs::providers::local {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using testing::ChildProcess;

constexpr int kKills = 500;
constexpr int kKillsOfRekey = 150;

class LocalCrashTest : public ::testing::Test {
 protected:
  LocalCrashTest() {
    std::string pattern = std::filesystem::canonical(std::filesystem::temp_directory_path()) /
                          "secretfs-crash-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    store_path_ = folder_ + "/store.sfs";
    key_path_ = folder_ + "/store.sfs.key";
    EXPECT_TRUE(CreateKeyFile(key_path_).ok());
    KeySource source(KeyConfig());
    EXPECT_TRUE(LocalStore::Create(store_path_, *source.ForNewStore(), 3).ok());
  }
  ~LocalCrashTest() override { std::filesystem::remove_all(folder_); }

  LocalKeySource KeyConfig() const {
    LocalKeySource key;
    key.key_file = key_path_;
    return key;
  }

  // The state as a new program finds it. Fails the test when the store cannot be opened or any
  // record is damaged.
  SnapshotPtr ReadWhole() {
    LocalStore store(store_path_, KeySource(KeyConfig()), clock_);
    absl::StatusOr<SnapshotPtr> snapshot = store.Read();
    EXPECT_TRUE(snapshot.ok()) << MessageOf(snapshot.status());
    if (!snapshot.ok()) return nullptr;
    const auto damaged = (*snapshot)->FindDamage();
    EXPECT_TRUE(damaged.ok() && damaged->empty());
    return *snapshot;
  }

  static std::string Newest(const StoreSnapshot& snapshot, std::string_view name) {
    const SecretEntry* entry = snapshot.Find(name);
    if (entry == nullptr) return "";
    const absl::StatusOr<SecretBytes> value = snapshot.ReadValue(name, entry->versions.back());
    return value.ok() ? std::string(value->ExposeAsText()) : "<damaged>";
  }

  size_t Leftovers() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().filename().string().find(".new-") != std::string::npos) ++count;
    }
    return count;
  }

  // Starts a writer, lets it run for a random time after it is ready, kills it. The last number
  // that it said to be on disk; 0 for none.
  long WriteAndKill(std::vector<std::string> arguments, microseconds longest) {
    std::vector<std::string> command{STORE_WRITER};
    command.insert(command.end(), arguments.begin(), arguments.end());
    ChildProcess writer(command);
    EXPECT_TRUE(writer.WaitForLine("ready", seconds(20)).has_value()) << writer.errors();
    std::this_thread::sleep_for(microseconds(
        std::uniform_int_distribution<microseconds::rep>(0, longest.count())(random_)));
    kill(writer.pid(), SIGKILL);
    EXPECT_EQ(writer.Wait(seconds(20)), 128 + SIGKILL) << writer.errors();
    long last = 0;
    size_t start = 0;
    for (size_t end = writer.output().find('\n'); end != std::string::npos;
         start = end + 1, end = writer.output().find('\n', start)) {
      last = std::max(last, atol(writer.output().substr(start, end - start).c_str()));
    }
    return last;
  }

  // How long one run of the writer's first write takes here, so that kills fall all over it.
  microseconds TimeOfOneWrite(std::vector<std::string> arguments) {
    std::vector<std::string> command{STORE_WRITER};
    command.insert(command.end(), arguments.begin(), arguments.end());
    ChildProcess writer(command);
    EXPECT_TRUE(writer.WaitForLine("ready", seconds(20)).has_value());
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(writer.Wait(seconds(60)), 0) << writer.errors();
    return std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - start);
  }

  std::string folder_, store_path_, key_path_;
  SystemClock clock_;
  std::mt19937 random_{20261124};
};

TEST_F(LocalCrashTest, AKilledWriterLeavesTheOldOrTheNewState) {
  const microseconds longest =
      2 * TimeOfOneWrite({"put", store_path_, key_path_, "crash", "1", "1"});
  long on_disk = 1;
  size_t cut_short = 0;
  size_t went_through = 0;
  for (int round = 0; round < kKills; ++round) {
    const long first = on_disk + 1;
    const long said = WriteAndKill(
        {"put", store_path_, key_path_, "crash", Format("{}", first), "1000000"}, longest);
    const SnapshotPtr snapshot = ReadWhole();
    ASSERT_NE(snapshot, nullptr) << "round " << round;
    const long number = atol(Newest(*snapshot, "crash/number").c_str());
    const long least = std::max(said, on_disk);
    ASSERT_GE(number, least) << "an acknowledged write was lost in round " << round;
    ASSERT_LE(number, least + 1) << "round " << round;
    const std::string twin = Newest(*snapshot, "crash/twin");
    ASSERT_EQ(twin.substr(256 << 10), Format("{}", number)) << "half a transaction";
    cut_short += Leftovers() > 0 ? 1 : 0;
    went_through += number > on_disk ? 1 : 0;
    on_disk = number;
  }
  // The kills must have hit both: writes in the middle, and finished ones.
  EXPECT_GT(cut_short, 10u);
  EXPECT_GT(went_through, 10u);
  EXPECT_GE(Leftovers(), 0u);
  TimeOfOneWrite({"put", store_path_, key_path_, "crash", Format("{}", on_disk + 1), "1"});
  EXPECT_EQ(Leftovers(), 0u) << "the next writer cleans up";
}

TEST_F(LocalCrashTest, AKillWhileTheKeyIsReplacedLeavesAStoreThatOpens) {
  TimeOfOneWrite({"add", store_path_, key_path_, "kept", "1"});
  const microseconds longest = 2 * TimeOfOneWrite({"rekey", store_path_, key_path_, "1"});
  size_t two_keys = 0;
  for (int round = 0; round < kKillsOfRekey; ++round) {
    WriteAndKill({"rekey", store_path_, key_path_, "1000000"}, longest);
    const SnapshotPtr snapshot = ReadWhole();
    ASSERT_NE(snapshot, nullptr) << "round " << round;
    ASSERT_EQ(Newest(*snapshot, "kept"), "1");
    two_keys += std::filesystem::file_size(key_path_) > 65 ? 1 : 0;
  }
  EXPECT_GT(two_keys, 0u) << "no kill fell between the steps: the test shows nothing";
}

TEST_F(LocalCrashTest, EightWritersAtOnceLoseNothing) {
  constexpr int kWriters = 8;
  constexpr int kPuts = 40;
  std::vector<std::unique_ptr<ChildProcess>> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(std::make_unique<ChildProcess>(std::vector<std::string>{
        STORE_WRITER, "add", store_path_, key_path_, Format("writer-{}", i), Format("{}", kPuts)}));
  }
  // A reader meanwhile never finds the store closed, damaged or going back.
  uint64_t generation = 0;
  for (int i = 0; i < kWriters; ++i) {
    while (!writers[i]->Wait(std::chrono::milliseconds(1)).has_value()) {
      const SnapshotPtr snapshot = ReadWhole();
      ASSERT_NE(snapshot, nullptr);
      ASSERT_GE(snapshot->header().generation, generation);
      generation = snapshot->header().generation;
    }
    EXPECT_EQ(writers[i]->Wait(seconds(60)), 0) << writers[i]->errors();
  }
  const SnapshotPtr snapshot = ReadWhole();
  ASSERT_NE(snapshot, nullptr);
  for (int i = 0; i < kWriters; ++i) {
    const std::string name = Format("writer-{}", i);
    EXPECT_EQ(Newest(*snapshot, name), Format("{}", kPuts));
    ASSERT_NE(snapshot->Find(name), nullptr);
    EXPECT_EQ(snapshot->Find(name)->versions.back().number, static_cast<uint64_t>(kPuts));
  }
  // Every put of every writer is one version of the shared secret.
  ASSERT_NE(snapshot->Find("shared"), nullptr);
  EXPECT_EQ(snapshot->Find("shared")->versions.back().number,
            static_cast<uint64_t>(kWriters * kPuts));
  EXPECT_EQ(Leftovers(), 0u);
}

}  // namespace
}  // namespace secretfs::providers::local
