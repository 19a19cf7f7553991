#include "base/shared_records.h"

#include <random>

#include "tests/unit/base/shared_records_fixture.h"

namespace secretfs {
namespace {

using ::testing::Test;
using Strings = std::vector<std::string>;

constexpr SharedRecords::Options kSmall{.bytes = 64 * 1024, .records = 100};

TEST(SharedRecords, AnAttachedOneHasWhatWasCommitted) {
  SharedRecords records = MakeRecords(kSmall);
  const RecordId first = *records.Insert(1, Bytes("one"));
  const RecordId second = *records.Insert(2, Bytes(std::string(1000, 'x')));
  *records.Insert(3, Bytes(""));
  records.counter(second) = 17;
  records.Commit();
  ASSERT_TRUE(records.Replace(first, Bytes("another one")).ok());
  records.Commit();

  const SharedRecords next = *SharedRecords::Attach(records.memory());
  EXPECT_EQ(All(next), (Strings{"1:another one", "2:" + std::string(1000, 'x'), "3:"}));
  SharedRecords after = *SharedRecords::Attach(next.memory());
  EXPECT_EQ(after.counter(second), 17u);
  EXPECT_EQ(Text(after.payload(first)), "another one");
  EXPECT_EQ(after.bytes_free(), records.bytes_free());
}

TEST(SharedRecords, WhatWasNotCommittedIsUndone) {
  SharedRecords records = MakeRecords(kSmall);
  const RecordId kept = *records.Insert(1, Bytes("kept"));
  const RecordId replaced = *records.Insert(1, Bytes("old"));
  const RecordId erased = *records.Insert(1, Bytes("erased"));
  records.Commit();
  const size_t free = records.bytes_free();
  records.counter(kept) = 5;
  *records.Insert(1, Bytes("new"));
  ASSERT_TRUE(records.Replace(replaced, Bytes("newer")).ok());
  ASSERT_TRUE(records.Replace(replaced, Bytes("newest")).ok());
  records.Erase(erased);
  EXPECT_EQ(All(records), (Strings{"1:kept", "1:newest", "1:new"}));

  SharedRecords next = *SharedRecords::Attach(records.memory());
  EXPECT_EQ(All(next), (Strings{"1:kept", "1:old", "1:erased"}));
  EXPECT_EQ(next.counter(kept), 5u) << "a counter changes at once";
  EXPECT_EQ(next.bytes_free(), free);
  // The number of the transaction that was undone is used again, for something else.
  *next.Insert(1, Bytes("other"));
  next.Commit();
  EXPECT_EQ(All(*SharedRecords::Attach(next.memory())),
            (Strings{"1:kept", "1:old", "1:erased", "1:other"}));
}

TEST(SharedRecords, OneTransactionMayInsertReplaceAndEraseTheSame) {
  SharedRecords records = MakeRecords(kSmall);
  const size_t free = records.bytes_free();
  const RecordId brief = *records.Insert(1, Bytes("brief"));
  ASSERT_TRUE(records.Replace(brief, Bytes("briefly")).ok());
  records.Erase(brief);
  EXPECT_EQ(records.Replace(brief, Bytes("late")).code(), absl::StatusCode::kNotFound);
  records.Erase(brief);
  const RecordId stays = *records.Insert(2, Bytes("stays"));
  ASSERT_TRUE(records.Replace(stays, Bytes("here")).ok());
  records.Commit();
  EXPECT_EQ(All(records), Strings{"2:here"});
  EXPECT_EQ(All(*SharedRecords::Attach(records.memory())), Strings{"2:here"});
  ASSERT_TRUE(records.Replace(stays, Bytes("changed")).ok());
  records.Erase(stays);
  records.Commit();
  EXPECT_EQ(All(*SharedRecords::Attach(records.memory())), Strings{});
  EXPECT_EQ(records.bytes_free(), free);
}

TEST(SharedRecords, ForEachKeepsTheOrderOfInsertionWhenEntriesAreReused) {
  SharedRecords records = MakeRecords(kSmall);
  const RecordId first = *records.Insert(1, Bytes("a"));
  *records.Insert(1, Bytes("b"));
  records.counter(first) = 9;
  records.Commit();
  records.Erase(first);
  records.Commit();
  EXPECT_EQ(*records.Insert(1, Bytes("c")), first);
  EXPECT_EQ(records.counter(first), 0u);
  records.Commit();
  SharedRecords next = *SharedRecords::Attach(records.memory());
  *next.Insert(1, Bytes("d"));
  EXPECT_EQ(All(next), (Strings{"1:b", "1:c", "1:d"}));
}

TEST(SharedRecords, FullMemoryIsAnErrorAndChangesNothing) {
  SharedRecords records = MakeRecords({.bytes = 640, .records = 3});
  const RecordId big = *records.Insert(1, Bytes(std::string(500, 'b')));
  records.Commit();
  EXPECT_EQ(records.Insert(1, Bytes(std::string(200, 'c'))).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(records.Replace(big, Bytes(std::string(200, 'c'))).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(records.bytes_free(), 128u);
  ASSERT_TRUE(records.Replace(big, Bytes("smaller")).ok());
  EXPECT_EQ(records.bytes_free(), 64u) << "the old one stays until the commit";
  records.Commit();
  EXPECT_EQ(records.bytes_free(), 576u);
  ASSERT_TRUE(records.Insert(1, Bytes("2")).ok());
  ASSERT_TRUE(records.Insert(1, Bytes("3")).ok());
  const size_t free = records.bytes_free();
  EXPECT_EQ(records.Insert(1, Bytes("4")).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(records.bytes_free(), free);
  records.Commit();
  EXPECT_EQ(All(*SharedRecords::Attach(records.memory())), (Strings{"1:smaller", "1:2", "1:3"}));
  EXPECT_FALSE(SharedRecords::Create({.bytes = SIZE_MAX, .records = 1}).ok());
  EXPECT_TRUE(SharedRecords::Create({}).ok());
}

TEST(SharedRecords, SecretPayloadsAreWipedWhenTheyGo) {
  SharedRecords::Options options = kSmall;
  options.secret = true;
  SharedRecords records = MakeRecords(options);
  const auto holds = [&](std::string_view text) {
    return ContentOf(records.memory()).find(text) != std::string::npos;
  };
  const RecordId first = *records.Insert(1, Bytes("planted-one"));
  const RecordId second = *records.Insert(1, Bytes("planted-two"));
  records.Commit();
  EXPECT_TRUE(holds("planted-one"));
  records.Erase(first);
  ASSERT_TRUE(records.Replace(second, Bytes("planted-other")).ok());
  EXPECT_TRUE(holds("planted-one") && holds("planted-two"));
  records.Commit();
  EXPECT_FALSE(holds("planted-one") || holds("planted-two"));
  // Not committed: the next process wipes it.
  *records.Insert(1, Bytes(std::string(9000, 'u')));
  EXPECT_TRUE(holds("uuuuuuuu"));
  const SharedRecords next = *SharedRecords::Attach(records.memory());
  EXPECT_FALSE(holds("uuuuuuuu"));
  EXPECT_TRUE(holds("planted-other"));
  EXPECT_EQ(All(next), Strings{"1:planted-other"});
}

TEST(SharedRecords, TakesMemoryOnlyForWhatIsThere) {
  SharedRecords records = MakeRecords({.bytes = 256 << 20, .records = 1 << 20, .secret = true});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(records.Insert(1, Bytes(std::string(100, 'x'))).ok());
  records.Commit();
  const SharedRecords next = *SharedRecords::Attach(records.memory());
  EXPECT_EQ(All(next).size(), 20u);
  struct stat attributes{};
  ASSERT_EQ(fstat(records.memory(), &attributes), 0);
  EXPECT_LE(attributes.st_blocks * 512, 16 * 1024);
}

TEST(SharedRecords, TheMemoryCannotBeCutOff) {
  const SharedRecords records = MakeRecords(kSmall);
  EXPECT_NE(ftruncate(records.memory(), 0), 0);
  EXPECT_NE(fcntl(records.memory(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SharedRecords, WhatIsNotOursIsRefused) {
  EXPECT_FALSE(SharedRecords::Attach(-1).ok());
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(SharedRecords::Attach(null.get()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(SharedRecords::Attach(MemoryWith(std::string(8192, '\0')).get()).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(SharedRecords::Attach(MemoryWith("").get()).status().code(),
            absl::StatusCode::kDataLoss);
  const SharedRecords records = MakeRecords(kSmall);
  std::string content = ContentOf(records.memory());
  EXPECT_EQ(
      SharedRecords::Attach(MemoryWith(content + std::string(4096, '\0')).get()).status().code(),
      absl::StatusCode::kDataLoss);
  content[8] = 99;  // the layout's version
  const absl::Status status = SharedRecords::Attach(MemoryWith(content).get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("99"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("version 1"), absl::string_view::npos) << status;
}

// Uses everything that a damaged memory offers.
void Exercise(SharedRecords records, std::mt19937& random) {
  std::vector<RecordId> ids;
  size_t bytes = 0;
  records.ForEach([&](RecordId record, uint32_t, std::span<const std::byte> payload) {
    ids.push_back(record);
    for (const std::byte byte : payload) bytes += static_cast<size_t>(byte);
  });
  for (const RecordId record : ids) {
    ++records.counter(record);
    if (random() % 2 == 0) {
      records.Erase(record);
    } else {
      (void)records.Replace(record, Bytes(std::string(random() % 300, 'r')));
    }
  }
  (void)records.Insert(1, Bytes(std::string(bytes % 500, 'i')));
  records.Commit();
  EXPECT_TRUE(SharedRecords::Attach(records.memory()).ok());
}

TEST(SharedRecords, DamageIsAnErrorOrHarmless) {
  std::mt19937 random(11);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same run each time
  SharedRecords records = MakeRecords({.bytes = 4096, .records = 20, .secret = true});
  std::vector<RecordId> ids;
  for (int i = 0; i < 12; ++i) {
    ids.push_back(*records.Insert(1, Bytes(std::string(random() % 300, 'x'))));
  }
  records.Commit();
  records.Erase(ids[3]);
  ASSERT_TRUE(records.Replace(ids[5], Bytes("committed")).ok());
  records.Commit();
  records.Erase(ids[7]);
  ASSERT_TRUE(records.Replace(ids[9], Bytes("not committed")).ok());
  const std::string sound = ContentOf(records.memory());
  int refused = 0;
  int accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string damaged = sound;
    for (uint32_t flips = 1 + random() % 3; flips > 0; --flips) {
      // Most of it where the structure is: header and directory.
      const size_t place = random() % (random() % 8 == 0 ? damaged.size() : 128 + 20 * 72);
      damaged[place] =
          static_cast<char>(random() % 3 == 0 ? random() : damaged[place] ^ (1 << random() % 8));
    }
    absl::StatusOr<SharedRecords> attached = SharedRecords::Attach(MemoryWith(damaged).get());
    if (!attached.ok()) {
      ++refused;
      EXPECT_TRUE(absl::IsDataLoss(attached.status()) ||
                  absl::IsFailedPrecondition(attached.status()))
          << attached.status();
      continue;
    }
    ++accepted;
    Exercise(*std::move(attached), random);
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace secretfs
