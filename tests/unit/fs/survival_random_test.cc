// Mounts whose servers are killed again and again at random: what the kernel was told stays true,
// whatever was going on. Two ways to kill: between any two steps of a random run, with the exact
// counts of the kernel's model; and a real process by SIGKILL at any instruction, where the model
// lies in memory that the test shares with it.

#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <random>

#include "tests/unit/fs/survival_fixture.h"

namespace secretfs::fs {
namespace {

constexpr int kKeys = 4;

enum class Kind { kFlat, kAtomic, kBrowse, kFlatWithBrowse };

class RandomSurvivalTest : public SurvivalTest, public ::testing::WithParamInterface<Kind> {
 protected:
  RandomSurvivalTest()
      : SurvivalTest(providers::Capabilities{
            .list = true,
            .structured = GetParam() == Kind::kBrowse || GetParam() == Kind::kFlatWithBrowse,
            .batch_size = 10}) {}

  static std::string Key(int key) { return Format("app/k{}", key); }
  // Each secret has two fields that always agree.
  void SetKey(int key, int number) {
    const std::string value = Format("{}.{}", key, number);
    fakes::FakeProvider::Extras extras;
    extras.version = Format("{}", number);
    extras.fields = {{"a", value}, {"b", value}};
    provider_->Set(Key(key), Format(R"({{"a":"{0}","b":"{0}"}})", value), extras);
    numbers_[key] = number;
  }
  MountSpec Spec() {
    MountSpec spec;
    const auto add_files = [&] {
      for (int key = 0; key < kKeys; ++key) {
        spec.files.push_back(File(Format("d{}/a", key), Key(key), "a"));
        spec.files.push_back(File(Format("d{}/b", key), Key(key), "b"));
      }
    };
    switch (GetParam()) {
      case Kind::kAtomic:
        spec.layout = Layout::kAtomic;
        [[fallthrough]];
      case Kind::kFlat:
        add_files();
        break;
      case Kind::kFlatWithBrowse:
        add_files();
        spec.browse = {Browse("tree", "app")};
        break;
      case Kind::kBrowse:
        spec.browse = {Browse("", "app")};
        break;
    }
    return spec;
  }
  std::string PathOf(int key, char field) {
    switch (GetParam()) {
      case Kind::kFlat:
      case Kind::kAtomic:
        return Format("d{}/{}", key, field);
      case Kind::kBrowse:
        return Format("k{}/{}", key, field);
      case Kind::kFlatWithBrowse:
        return key % 2 == 0 ? Format("d{}/{}", key, field) : Format("tree/k{}/{}", key, field);
    }
    return "";
  }
  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_source_); }

  void RandomStep() {
    const int key = Pick(kKeys);
    switch (Pick(12)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const std::string content = ReadPath(PathOf(key, Pick(2) == 0 ? 'a' : 'b'));
        // Gone (which a listing may say for a while longer), or to come with the next set; never
        // another file's.
        EXPECT_TRUE(content.starts_with(Format("{}.", key)) || was_removed_.contains(key) ||
                    content == Format("errno {}", EAGAIN))
            << content << " of " << key;
        break;
      }
      case 4:
      case 5:
        SetKey(key, ++last_number_);
        removed_.erase(key);
        RefreshKey(Key(key));
        break;
      case 6:
      case 7:
        if (!sink_.plans.empty()) PublishOne();
        break;
      case 8: {
        if (kernel_.empty()) break;
        const auto known = std::next(kernel_.begin(), Pick(static_cast<int>(kernel_.size())));
        // The kernel keeps a directory as long as it keeps a name in it.
        const InodeNumber inode = known->first;
        if (std::any_of(dentries_.begin(), dentries_.end(),
                        [inode](const auto& dentry) { return dentry.first.first == inode; })) {
          break;
        }
        ForgetAll(inode);
        break;
      }
      case 9:
        Advance(milliseconds(Pick(3000)));
        break;
      case 10:
        List(kRootInode);
        CountedLookup(kRootInode, Pick(2) == 0 ? "nothing" : "..data");
        break;
      case 11:
        if (Pick(4) == 0) {
          provider_->Remove(Key(key));
          removed_.insert(key);
          was_removed_.insert(key);
          RefreshKey(Key(key));
        }
        break;
    }
  }
  void RandomKill() {
    const bool keep_cache = Pick(2) == 0;
    if (Pick(3) == 0 && !sink_.plans.empty()) PublishOne(1 + Pick(4));
    if (Pick(3) == 0) {
      // Between a change and its plan.
      std::optional<Left> left;
      sink_.before_submit = [&] {
        if (!left) left = Snapshot();
      };
      const int key = Pick(kKeys);
      SetKey(key, ++last_number_);
      removed_.erase(key);
      RefreshKey(Key(key));
      if (left) return StartFrom(*std::move(left), keep_cache);
    }
    Kill(keep_cache);
  }

  std::mt19937 random_source_{20261124};
  std::map<int, int> numbers_;
  std::set<int> removed_, was_removed_;
  int last_number_ = 0;
};

TEST_P(RandomSurvivalTest, WhatTheKernelWasToldStaysTrue) {
  for (int key = 0; key < kKeys; ++key) SetKey(key, ++last_number_);
  MountKept(Spec());
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE(round);
    const int steps = Pick(30);
    for (int i = 0; i < steps; ++i) RandomStep();
    RandomKill();
    ASSERT_NO_FATAL_FAILURE(ExpectWhatWasSeen());
    if (HasFailure()) return;
    if (round % 4 != 3) continue;

    // Left alone, it ends in what the store has, and every watcher has heard of it.
    for (int key = 0; key < kKeys; ++key) {
      if (removed_.contains(key)) SetKey(key, ++last_number_);
      RefreshKey(Key(key));
    }
    removed_.clear();
    was_removed_.clear();
    operations_->Refresh("", [](const absl::Status&) {});
    Poll();
    const auto shown_before = shown_;
    PublishAll();
    for (int key = 0; key < kKeys; ++key) {
      for (const char field : {'a', 'b'}) {
        const std::string path = PathOf(key, field);
        EXPECT_EQ(ReadPath(path), Format("{}.{}", key, numbers_[key])) << path;
        const auto before = shown_before.find(path);
        if (before == shown_before.end() || before->second == shown_[path]) continue;
        if (!kernel_.contains(before->second)) continue;  // nobody can watch it
        // In a browse tree it may also be another file by now: the name was gone in between, and
        // who watched the old one heard that.
        EXPECT_GT(touches_[shown_[path]] + (spec_.browse.empty() ? 0 : touches_[before->second]), 0)
            << path;
      }
    }
    ExpectKernelsCounts();
    if (HasFailure()) return;
  }
  // And nothing is left of what nobody knows.
  EXPECT_LE(values_->size(), kernel_.size() + 4 * kKeys);
}

// ---- memory that ran full, or worse

// What was found is served, whatever parts of it are missing; only what is missing is stale.
TEST_P(RandomSurvivalTest, AnyPartOfTheTreeMayBeMissing) {
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    StartOver();
    removed_.clear();
    for (int key = 0; key < kKeys; ++key) SetKey(key, ++last_number_);
    MountKept(Spec());
    for (int i = 0; i < 40; ++i) RandomStep();
    const Left left = Snapshot();
    {
      auto records = *SharedRecords::Attach(left.state.get());
      std::vector<RecordId> lost;
      records.ForEach([&](RecordId record, uint32_t type, saved::Payload payload) {
        if (type == static_cast<uint32_t>(saved::RecordType::kFormat)) return;
        if (type == static_cast<uint32_t>(saved::RecordType::kTree)) return;
        if (type == static_cast<uint32_t>(saved::RecordType::kInode) &&
            saved::DecodeInode(payload)->number == kRootInode) {
          return;
        }
        if (Pick(3) == 0) lost.push_back(record);
      });
      for (const RecordId record : lost) records.Erase(record);
      records.Commit();
    }
    operations_.reset();
    sink_.plans.clear();
    MakeCache();
    state_ = *MountState::Attach(left.state.get());
    values_ = *KeptValues::Attach(left.values.get());
    Serve(spec_);
    operations_->Resume();
    Poll();
    // A kernel that knows nothing: one that does gets ESTALE and asks again.
    kernel_.clear();
    dentries_.clear();
    seen_.clear();
    for (int key = 0; key < kKeys; ++key) {
      SetKey(key, ++last_number_);
      RefreshKey(Key(key));
    }
    operations_->Refresh("", [](const absl::Status&) {});
    Poll();
    PublishAll();
    for (int key = 0; key < kKeys; ++key) {
      for (const char field : {'a', 'b'}) {
        EXPECT_EQ(ReadPath(PathOf(key, field)), Format("{}.{}", key, numbers_[key]));
      }
    }
    ExpectWhatWasSeen();
    if (HasFailure()) return;
  }
}

TEST_P(RandomSurvivalTest, AMountWhoseMemoryIsFullIsServedAllTheSame) {
  for (const size_t records : {1, 3, 8, 20, 33}) {
    SCOPED_TRACE(records);
    StartOver();
    removed_.clear();
    for (int key = 0; key < kKeys; ++key) SetKey(key, ++last_number_);
    auto memory = *SharedRecords::Create({.bytes = 1 << 14, .records = records, .secret = false});
    state_ = *MountState::Attach(memory.memory());
    values_ = *KeptValues::Create(1 << 12);
    Serve(Spec());
    for (int key = 0; key < kKeys; ++key) {
      EXPECT_EQ(ReadPath(PathOf(key, 'a')), Format("{}.{}", key, numbers_[key]));
      SetKey(key, ++last_number_);
      RefreshKey(Key(key));
      PublishAll();
      EXPECT_EQ(ReadPath(PathOf(key, 'a')), Format("{}.{}", key, numbers_[key]));
    }
    ExpectWhatWasSeen();
    // What the next server finds is readable, or refused with a message; never more.
    const UniqueFd copy = CopyOfMemory(state_->memory());
    const auto next = MountState::Attach(copy.get());
    EXPECT_TRUE(next.ok() || absl::IsDataLoss(next.status())) << next.status();
  }
}

// ---- SIGKILL

// What the kernel and the store would know, in memory that the killed process shares.
struct Shared {
  static constexpr int kMost = 8192;
  std::atomic<uint64_t> lookups[kMost];  // by inode
  // key * 1'000'000 + number, of files whose content was read.
  std::atomic<uint64_t> content[kMost];
  std::atomic<uint64_t> numbers[kKeys];  // what the store holds
  std::atomic<uint64_t> steps;
};

class KilledSurvivalTest : public RandomSurvivalTest {
 protected:
  void SetUp() override {
    void* const memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    shared_ = new (memory) Shared();
    for (int key = 0; key < kKeys; ++key) SetShared(key, 1);
    state_ = *MountState::Create();
    values_ = *KeptValues::Create(8 << 20);
  }
  void TearDown() override { munmap(shared_, sizeof(Shared)); }

  void SetShared(int key, uint64_t number) {
    shared_->numbers[key] = number;
    SetKey(key, static_cast<int>(number));
  }
  std::string ContentOf(uint64_t inode) const {
    const uint64_t content = shared_->content[inode];
    return Format("{}.{}", content / 1'000'000, content % 1'000'000);
  }
  // In the process that will be killed, and in the one that looks at what is left.
  void BeginServing() {
    operations_.reset();
    sink_.plans.clear();
    dentries_.clear();
    kernel_.clear();
    MakeCache();
    for (int key = 0; key < kKeys; ++key) {
      SetKey(key, static_cast<int>(shared_->numbers[key]));
    }
    state_ = *MountState::Attach(state_->memory());
    values_ = *KeptValues::Attach(values_->memory());
    Serve(Spec());
    operations_->Resume();
    Poll();
  }
  // One path, name by name; the kernel counts after the answer, and before it forgets.
  InodeNumber WalkShared(std::string path, std::vector<uint64_t>& walked) {
    InodeNumber at = kRootInode;
    int links = 0;
    while (!path.empty() && links < 5) {
      const size_t slash = path.find('/');
      const std::string name = path.substr(0, slash);
      path = slash == std::string::npos ? "" : path.substr(slash + 1);
      const auto answer = Lookup(at, name);
      if (answer->error() != 0) return {};
      at = answer->value().attributes.inode;
      if (at.value() >= Shared::kMost) return {};
      ++shared_->lookups[at.value()];
      walked.push_back(at.value());
      if (S_ISLNK(answer->value().attributes.mode)) {
        const std::string target = operations_->ReadLink(at).value;
        path = path.empty() ? target : target + "/" + path;
        at = kRootInode;
        ++links;
      }
    }
    return at;
  }
  void ServeUntilKilled(unsigned seed) {
    random_source_.seed(seed);
    BeginServing();
    for (;;) {
      ++shared_->steps;
      const int key = Pick(kKeys);
      std::vector<uint64_t> walked;
      const InodeNumber inode = WalkShared(PathOf(key, 'a'), walked);
      if (inode != InodeNumber()) {
        if (!operations_->serves_open() || Open(inode)->error() == 0) {
          const std::string content = ReadInode(inode);
          if (content.starts_with(Format("{}.", key))) {
            shared_->content[inode.value()] =
                static_cast<uint64_t>(key) * 1'000'000 + std::stoul(content.substr(2));
          }
        }
      }
      if (Pick(3) == 0) {
        SetShared(key, shared_->numbers[key] + 1);
        RefreshKey(Key(key));
      }
      while (!sink_.plans.empty() && Pick(3) != 0) PublishOne();
      // What the publisher looked up.
      for (const auto& [number, count] : kernel_) {
        if (number.value() < Shared::kMost) shared_->lookups[number.value()] += count;
      }
      kernel_.clear();
      // Forgets what it walked, mostly: leaves first.
      if (Pick(4) != 0) {
        for (auto number = walked.rbegin(); number != walked.rend(); ++number) {
          --shared_->lookups[*number];
          operations_->Forget(InodeNumber(*number), 1);
        }
      }
    }
  }

  Shared* shared_ = nullptr;
};

TEST_P(KilledSurvivalTest, NothingThatWasAnsweredIsLost) {
  uint64_t counted_too_often = 0;
  for (unsigned round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    const pid_t server = fork();
    ASSERT_GE(server, 0);
    if (server == 0) {
      ServeUntilKilled(round);
      _exit(0);
    }
    // At any moment of its life, its start included.
    usleep(static_cast<useconds_t>(Pick(30'000)));
    ASSERT_EQ(kill(server, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(server, &status, 0), server);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the server ended by itself";

    const auto counts = SavedCounts();
    uint64_t too_often = 0;
    for (uint64_t inode = 0; inode < Shared::kMost; ++inode) {
      const auto saved = counts.find(InodeNumber(inode));
      const uint64_t count = saved == counts.end() ? 0 : saved->second;
      EXPECT_GE(count, shared_->lookups[inode]) << inode;
      if (count > shared_->lookups[inode]) too_often += count - shared_->lookups[inode];
    }
    // What was under way: one request, or a walk of the publisher.
    EXPECT_LE(too_often, counted_too_often + 16);
    counted_too_often = too_often;

    BeginServing();
    for (uint64_t inode = 0; inode < Shared::kMost; ++inode) {
      if (shared_->lookups[inode] == 0) continue;
      EXPECT_EQ(operations_->GetAttributes(InodeNumber(inode)).error, 0) << inode;
      if (shared_->content[inode] != 0) {
        EXPECT_EQ(ReadInode(InodeNumber(inode)), ContentOf(inode)) << inode;
      }
    }
    PublishAll();
    for (int key = 0; key < kKeys; ++key) {
      const std::string newest = Format("{}.{}", key, shared_->numbers[key].load());
      dentries_.clear();
      for (const char field : {'a', 'b'}) EXPECT_EQ(ReadPath(PathOf(key, field)), newest);
    }
    std::vector<InodeNumber> known;
    for (const auto& [inode, count] : kernel_) known.push_back(inode);
    for (auto inode = known.rbegin(); inode != known.rend(); ++inode) ForgetAll(*inode);
    operations_.reset();
    if (HasFailure()) return;
  }
  EXPECT_GT(shared_->steps, 60u) << "the servers did something";
}

std::string NameOf(const ::testing::TestParamInfo<Kind>& parameter) {
  switch (parameter.param) {
    case Kind::kFlat:
      return "Flat";
    case Kind::kAtomic:
      return "Atomic";
    case Kind::kBrowse:
      return "Browse";
    case Kind::kFlatWithBrowse:
      return "FlatWithBrowse";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(Layouts, RandomSurvivalTest,
                         ::testing::Values(Kind::kFlat, Kind::kAtomic, Kind::kBrowse,
                                           Kind::kFlatWithBrowse),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Layouts, KilledSurvivalTest,
                         ::testing::Values(Kind::kFlat, Kind::kAtomic, Kind::kBrowse,
                                           Kind::kFlatWithBrowse),
                         NameOf);

}  // namespace
}  // namespace secretfs::fs
