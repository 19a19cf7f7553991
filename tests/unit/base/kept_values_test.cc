#include "base/kept_values.h"

#include <thread>

#include "tests/unit/base/shared_records_fixture.h"

namespace secretfs {
namespace {

using Strings = std::vector<std::string>;

std::unique_ptr<KeptValues> Make(size_t bytes = 64 * 1024) {
  absl::StatusOr<std::unique_ptr<KeptValues>> values = KeptValues::Create(bytes);
  EXPECT_TRUE(values.ok()) << values.status();
  return *std::move(values);
}

std::string Get(const KeptValues& values, std::string_view name) {
  const std::optional<SecretBytes> value = values.Get(name);
  return value.has_value() ? std::string(value->ExposeAsText()) : "(none)";
}

TEST(KeptValues, TheNextProcessHasThem) {
  const auto values = Make();
  EXPECT_TRUE(values->Put("a/1", Bytes("one")));
  EXPECT_TRUE(values->Put("a/2", Bytes("")));
  EXPECT_TRUE(values->Put("b", Bytes(std::string("x\0y", 3))));
  EXPECT_TRUE(values->Put("a/1", Bytes("another")));
  values->Erase("nothing");

  const auto next = *KeptValues::Attach(values->memory());
  EXPECT_EQ(next->size(), 3u);
  EXPECT_EQ(next->Names(""), (Strings{"a/1", "a/2", "b"}));
  EXPECT_EQ(next->Names("a/"), (Strings{"a/1", "a/2"}));
  EXPECT_EQ(Get(*next, "a/1"), "another");
  EXPECT_EQ(Get(*next, "a/2"), "");
  EXPECT_EQ(Get(*next, "b"), std::string("x\0y", 3));
  EXPECT_EQ(Get(*next, "a"), "(none)");
}

TEST(KeptValues, WhatIsErasedIsGoneAndWiped) {
  const auto values = Make();
  for (const char* name : {"a/1", "a/2", "ab", "b"}) values->Put(name, Bytes("planted-value"));
  values->EraseAllBelow("a/");
  EXPECT_EQ(values->Names(""), (Strings{"ab", "b"}));
  values->Erase("b");
  EXPECT_EQ(values->Names(""), Strings{"ab"});
  EXPECT_EQ((*KeptValues::Attach(values->memory()))->Names(""), Strings{"ab"});
  values->Erase("ab");
  EXPECT_EQ(values->size(), 0u);
  EXPECT_EQ(ContentOf(values->memory()).find("planted"), std::string::npos);
}

TEST(KeptValues, AValueThatDoesNotFitLeavesNoOldOne) {
  const auto values = Make(4096);
  EXPECT_TRUE(values->Put("a", Bytes(std::string(3000, 'o'))));
  EXPECT_TRUE(values->Put("a", Bytes(std::string(3500, 'n')))) << "fits in the place of the old";
  EXPECT_EQ(Get(*values, "a"), std::string(3500, 'n'));
  EXPECT_FALSE(values->Put("a", Bytes(std::string(5000, 'l'))));
  EXPECT_EQ(Get(*values, "a"), "(none)");
  EXPECT_EQ(values->size(), 0u);
  EXPECT_FALSE(values->Put("b", Bytes(std::string(5000, 'l'))));
  EXPECT_TRUE(values->Put("b", Bytes("small")));
}

TEST(KeptValues, ManySmallOnesFit) {
  const auto values = Make(1 << 20);
  for (int i = 0; i < 4000; ++i) {
    ASSERT_TRUE(values->Put("name/" + std::to_string(i), Bytes("a value of usual size"))) << i;
  }
  EXPECT_EQ((*KeptValues::Attach(values->memory()))->size(), 4000u);
}

TEST(KeptValues, WhatIsAttachedLaterLeavesTheMemoryAloneUntilItIsOpen) {
  const auto values = Make();
  values->Put("a", Bytes("one"));
  const auto next = KeptValues::AttachLater(values->memory());
  EXPECT_EQ(Get(*next, "a"), "(none)");
  EXPECT_FALSE(next->Put("b", Bytes("two")));
  next->Erase("a");
  next->EraseAllBelow("");
  EXPECT_EQ(next->size(), 0u);
  values->Put("c", Bytes("three"));
  ASSERT_TRUE(next->Open().ok());
  EXPECT_EQ(next->Names(""), (Strings{"a", "c"}));
  EXPECT_TRUE(next->Put("b", Bytes("two")));
  EXPECT_TRUE(next->Open().ok());
  EXPECT_EQ(next->size(), 3u);

  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto damaged = KeptValues::AttachLater(null.get());
  EXPECT_EQ(damaged->Open().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(damaged->Put("a", Bytes("one")));
}

TEST(KeptValues, OtherRecordsAreRefused) {
  for (const std::string& payload : {std::string("abc"), std::string("\xff\xff\xff\xffname")}) {
    SharedRecords records = MakeRecords({.bytes = 4096, .records = 4, .secret = true});
    (void)*records.Insert(1, Bytes(payload));
    records.Commit();
    EXPECT_EQ(KeptValues::Attach(records.memory()).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(KeptValues, ThreadsMayShareIt) {
  const auto values = Make(1 << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string prefix = std::to_string(t) + "/";
      for (int i = 0; i < 300; ++i) {
        const std::string name = prefix + std::to_string(i % 20);
        values->Put(name, Bytes(std::string(static_cast<size_t>(i), 'x')));
        EXPECT_EQ(values->Get(name)->size(), static_cast<size_t>(i));
        if (i % 7 == 0) values->Erase(name);
      }
      values->EraseAllBelow(prefix);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(values->size(), 0u);
}

// A flag in the memory says whether what goes is wiped: without it, values would stay.
TEST(KeptValues, MemoryThatWouldNotBeWipedIsRefused) {
  const SharedRecords plain = MakeRecords({.bytes = 4096, .records = 16, .secret = false});
  EXPECT_TRUE(absl::IsDataLoss(KeptValues::Attach(plain.memory()).status()));
}

TEST(KeptValues, DamagedMemoryIsUsedAfresh) {
  const auto values = Make();
  values->Put("a", Bytes("planted-value"));
  // Everything but the header.
  const std::string garbage(4096, '\x5a');
  ASSERT_EQ(pwrite(values->memory(), garbage.data(), garbage.size(), 128), 4096);
  const auto next = KeptValues::AttachLater(values->memory());
  ASSERT_TRUE(absl::IsDataLoss(next->Open()));
  const absl::Status opened = next->OpenAfresh();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(next->size(), 0u);
  EXPECT_EQ(ContentOf(next->memory()).find("planted-value"), std::string::npos);
  EXPECT_TRUE(next->Put("b", Bytes("new")));
  EXPECT_EQ(Get(**KeptValues::Attach(next->memory()), "b"), "new");
}

}  // namespace
}  // namespace secretfs
