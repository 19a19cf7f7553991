// SharedRecords and the death of its process: at random moments of a long run, and after each
// single instruction of one transaction.

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <functional>
#include <random>

#include "base/text.h"
#include "tests/unit/base/shared_records_fixture.h"

namespace secretfs {
namespace {

// Record 0 (type 1) says which transaction was the last, how many other records there are, and the
// sum of their seeds; a record's payload follows from its seed. Its counter is the number of the
// last transaction whose Commit returned.
struct Summary {
  uint64_t transaction = 0;
  uint64_t records = 0;
  uint64_t seeds = 0;
};

std::string PayloadOf(uint32_t seed) {
  std::string payload(4 + seed % 700, static_cast<char>('a' + seed % 26));
  std::memcpy(payload.data(), &seed, 4);
  return payload;
}

uint32_t SeedOf(std::string_view payload) {
  uint32_t seed = 0;
  if (payload.size() >= 4) std::memcpy(&seed, payload.data(), 4);
  return seed;
}

std::span<const std::byte> BytesOf(const Summary& summary) {
  return std::as_bytes(std::span(&summary, 1));
}

class World {
 public:
  // What it finds must be consistent.
  explicit World(SharedRecords records) : records_(std::move(records)) {
    Summary found;
    records_.ForEach([&](RecordId record, uint32_t type, std::span<const std::byte> payload) {
      const std::string text = Text(payload);
      if (type == 1) {
        ASSERT_EQ(text.size(), sizeof(Summary));
        std::memcpy(&summary_, text.data(), sizeof(Summary));
        summary_record_ = record;
        return;
      }
      const uint32_t seed = SeedOf(text);
      EXPECT_EQ(text, PayloadOf(seed));
      others_.emplace_back(record, seed);
      ++found.records;
      found.seeds += seed;
    });
    EXPECT_EQ(found.records, summary_.records);
    EXPECT_EQ(found.seeds, summary_.seeds);
    const uint64_t returned = records_.counter(summary_record_);
    EXPECT_TRUE(summary_.transaction == returned || summary_.transaction == returned + 1)
        << summary_.transaction << " after " << returned;
    records_.counter(summary_record_) = summary_.transaction;
  }

  uint64_t transaction() const { return summary_.transaction; }

  void Change(std::mt19937& random) {
    for (uint32_t changes = 1 + random() % 6; changes > 0; --changes) {
      const uint32_t seed = static_cast<uint32_t>(random());
      const uint32_t kind = random() % 3;
      if (kind == 0 || others_.empty()) {
        const absl::StatusOr<RecordId> record = records_.Insert(2, Bytes(PayloadOf(seed)));
        if (record.ok()) others_.emplace_back(*record, seed);
        continue;
      }
      auto& chosen = others_[random() % others_.size()];
      if (kind == 1) {
        if (records_.Replace(chosen.first, Bytes(PayloadOf(seed))).ok()) chosen.second = seed;
      } else {
        records_.Erase(chosen.first);
        chosen = others_.back();
        others_.pop_back();
      }
    }
    Summary next{summary_.transaction + 1, others_.size(), 0};
    for (const auto& other : others_) next.seeds += other.second;
    // Room for it is there: see kOptions.
    if (!records_.Replace(summary_record_, BytesOf(next)).ok()) std::abort();
    records_.Commit();
    summary_ = next;
    records_.counter(summary_record_) = next.transaction;
  }

 private:
  SharedRecords records_;
  RecordId summary_record_;
  Summary summary_;
  std::vector<std::pair<RecordId, uint32_t>> others_;
};

// 30 records at most need 30 × 11 blocks, and half of them once more while they are replaced.
constexpr SharedRecords::Options kOptions{.bytes = 60 * 704, .records = 30, .secret = true};

SharedRecords Beginning() {
  SharedRecords records = MakeRecords(kOptions);
  (void)*records.Insert(1, BytesOf(Summary()));
  records.Commit();
  return records;
}

TEST(SharedRecordsKill, AnyMomentLeavesWholeTransactions) {
  const SharedRecords records = Beginning();
  std::mt19937 random(5);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same plan each time
  uint64_t killed_inside = 0;
  uint64_t last = 0;
  for (int round = 0; round < 500 && !testing::Test::HasFailure(); ++round) {
    const uint32_t seed = static_cast<uint32_t>(random());
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::mt19937 own(seed);  // NOLINT(cert-msc32-c,cert-msc51-cpp)
      World world(*SharedRecords::Attach(records.memory()));
      if (write(ready[1], "", 1) != 1) _exit(1);
      for (;;) world.Change(own);
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    const timespec pause{0, static_cast<long>(random() % 3'000'000)};
    nanosleep(&pause, nullptr);
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round;
    const std::string before = ContentOf(records.memory());
    const World world(*SharedRecords::Attach(records.memory()));
    ASSERT_GE(world.transaction(), last);
    last = world.transaction();
    if (ContentOf(records.memory()) != before) ++killed_inside;
  }
  EXPECT_GT(last, 1000u);
  EXPECT_GT(killed_inside, 100u) << "most kills should hit a transaction";
}

// Every kind of change.
void Change(SharedRecords& records, const std::vector<RecordId>& ids) {
  (void)records.Insert(1, Bytes("new"));
  (void)records.Replace(ids[0], Bytes("n0"));
  records.Erase(ids[1]);
  (void)records.Replace(ids[2], Bytes(std::string(100, 'n')));
  (void)records.Replace(ids[2], Bytes("n2"));
}

// Runs `work` in a child, instruction by instruction, and calls `check(instruction)` whenever the
// memory has changed, with a copy of it. How often that was; -1 if ptrace is not allowed.
int StepThrough(int memory, const std::function<void()>& work,
                const std::function<void(const SharedRecords&, long instruction)>& check) {
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(2);
    raise(SIGSTOP);
    work();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status)) return -1;
  std::string content = ContentOf(memory);
  int states = 0;
  for (long instruction = 0; WIFSTOPPED(status); ++instruction) {
    EXPECT_EQ(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr), 0);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    std::string now = ContentOf(memory);
    if (now == content) continue;
    content = std::move(now);
    ++states;
    const absl::StatusOr<SharedRecords> found = SharedRecords::Attach(MemoryWith(content).get());
    EXPECT_TRUE(found.ok()) << found.status() << " at instruction " << instruction;
    if (found.ok()) check(*found, instruction);
    if (testing::Test::HasFailure()) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return states;
    }
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return states;
}

class SharedRecordsStep : public testing::Test {
 protected:
  SharedRecordsStep() {
    for (const char* text : {"o0", "o1", "o2"}) ids_.push_back(*records_.Insert(1, Bytes(text)));
    records_.Commit();
    before_ = All(records_);
  }
  SharedRecords records_ = MakeRecords({.bytes = 1024, .records = 8, .secret = true});
  std::vector<RecordId> ids_;
  std::vector<std::string> before_;
  const std::vector<std::string> after_{"1:n0", "1:n2", "1:new"};
};

TEST_F(SharedRecordsStep, EveryInstructionOfATransaction) {
  SharedRecords own = *SharedRecords::Attach(records_.memory());
  bool committed = false;
  const int states = StepThrough(
      records_.memory(),
      [&] {
        Change(own, ids_);
        own.Commit();
      },
      [&](const SharedRecords& found, long instruction) {
        const std::vector<std::string> all = All(found);
        EXPECT_EQ(all, committed || all == after_ ? after_ : before_) << instruction;
        committed = committed || all == after_;
      });
  if (states < 0) GTEST_SKIP() << "ptrace is not allowed here";
  EXPECT_TRUE(committed);
  EXPECT_GT(states, 15);
}

TEST_F(SharedRecordsStep, EveryInstructionOfAnAttachThatUndoes) {
  Change(records_, ids_);
  const int states = StepThrough(
      records_.memory(), [&] { (void)*SharedRecords::Attach(records_.memory()); },
      [&](const SharedRecords& found, long instruction) {
        EXPECT_EQ(All(found), before_) << instruction;
      });
  if (states < 0) GTEST_SKIP() << "ptrace is not allowed here";
  EXPECT_GT(states, 4);
}

}  // namespace
}  // namespace secretfs
