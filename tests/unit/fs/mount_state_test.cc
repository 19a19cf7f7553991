// What is written into the memory that outlives a server, and how it is read back.

#include "fs/mount_state.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace secretfs::fs {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Written, read, and refused in every shorter form.
template <typename T, typename Decode>
void ExpectRoundTrip(const T& value, Decode decode) {
  const std::string payload = saved::Encode(value);
  const auto read = decode(Bytes(payload));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, value);
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(decode(Bytes(payload.substr(0, size))).status())) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(decode(Bytes(payload + '\0')).status()));
}

// Whatever is read from damaged bytes can be written again: nothing impossible comes through.
template <typename T, typename Decode>
void ExpectDamageIsHarmless(const T& value, Decode decode) {
  const std::string payload = saved::Encode(value);
  for (size_t i = 0; i < payload.size(); ++i) {
    for (const unsigned char mask : {0x01, 0x80, 0xff}) {
      std::string damaged = payload;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ mask);
      const auto read = decode(Bytes(damaged));
      if (read.ok()) {
        EXPECT_EQ(saved::Encode(*read), damaged);
      }
    }
  }
}

const WallTime kTime = WallTime(std::chrono::nanoseconds(1'800'000'000'123'456'789));

saved::Inode File() {
  return {.number = InodeNumber(7),
          .parent = InodeNumber(3),
          .name = "cert.pem",
          .version = "42",
          .body = saved::FileInode{
              .slot = 5, .modified = kTime, .fetched = kTime, .size = 17, .size_told = true}};
}

TEST(MountStateFormatTest, EveryRecordIsReadAsItWasWritten) {
  ExpectRoundTrip(saved::Tree{.next_inode = 9,
                              .next_slot = 8,
                              .next_plan = 7,
                              .flat_updates = 6,
                              .atomic = true,
                              .last_view = 5,
                              .newest = 5,
                              .current = 4,
                              .data_link = InodeNumber(3),
                              .temporary_link = InodeNumber(2),
                              .last_generation_time = kTime,
                              .root_modified = kTime,
                              .swaps = 1},
                  saved::DecodeTree);
  ExpectRoundTrip(File(), saved::DecodeInode);
  saved::Inode inode = File();
  inode.body = saved::ViewInode{.view = 3, .path = "tls", .modified = kTime};
  ExpectRoundTrip(inode, saved::DecodeInode);
  inode.body = saved::LinkInode{.target = "..data/tls", .modified = kTime};
  ExpectRoundTrip(inode, saved::DecodeInode);
  inode.body = saved::BrowseInode{.tree = 1,
                                  .path = "team/app",
                                  .store_path = "app",
                                  .is_root = false,
                                  .named = true,
                                  .modified = kTime,
                                  .is_prefix = Fact::kYes,
                                  .is_secret = Fact::kNo,
                                  .has_fields = true};
  ExpectRoundTrip(inode, saved::DecodeInode);
  ExpectRoundTrip(saved::Slot{.id = 4,
                              .path = "a/b",
                              .browsed = true,
                              .current = InodeNumber(9),
                              .last_modified = kTime,
                              .had_version = true,
                              .tree = 2,
                              .key = "a",
                              .field = "b",
                              .name = "b",
                              .parent = InodeNumber(4)},
                  saved::DecodeSlot);
  ExpectRoundTrip(saved::View{.number = 2,
                              .name = "..2027",
                              .directories = {{"", InodeNumber(3)}, {"tls", InodeNumber(4)}},
                              .files = {{1, InodeNumber(7)}}},
                  saved::DecodeView);
  ExpectRoundTrip(saved::Note{.name = "expansion", .text = std::string("a\0b", 3)},
                  saved::DecodeNote);
  ExpectRoundTrip(saved::Init{.request = {std::byte{1}}, .reply = {std::byte{2}, std::byte{3}}},
                  saved::DecodeInit);
}

TEST(MountStateFormatTest, PlansAreReadAsTheyWereWritten) {
  const saved::Plan plan{
      .id = 3,
      .generation = 2,
      .slots = {7, 8},
      .plan = {.stale_names = {{.parent = InodeNumber(1), .name = "a", .path = "x/a"}},
               .stale_directories = {InodeNumber(1)},
               .data_target = "..2027",
               .touched_paths = {"a", "b"},
               .touched_inodes = {InodeNumber(5)}}};
  const std::string payload = saved::Encode(plan);
  const auto read = saved::DecodePlan(Bytes(payload));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->id, 3u);
  EXPECT_EQ(read->generation, 2u);
  EXPECT_EQ(read->slots, plan.slots);
  ASSERT_EQ(read->plan.stale_names.size(), 1u);
  EXPECT_EQ(read->plan.stale_names[0].path, "x/a");
  EXPECT_EQ(read->plan.stale_directories, plan.plan.stale_directories);
  EXPECT_EQ(read->plan.data_target, plan.plan.data_target);
  EXPECT_EQ(read->plan.touched_paths, plan.plan.touched_paths);
  EXPECT_EQ(read->plan.touched_inodes, plan.plan.touched_inodes);
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_FALSE(saved::DecodePlan(Bytes(payload.substr(0, size))).ok());
  }
  ExpectDamageIsHarmless(plan, saved::DecodePlan);
}

TEST(MountStateFormatTest, DamagedPayloadsAreRefusedOrMeanWhatTheySay) {
  ExpectDamageIsHarmless(File(), saved::DecodeInode);
  ExpectDamageIsHarmless(saved::View{.number = 2,
                                     .name = "..2027",
                                     .directories = {{"", InodeNumber(3)}, {"t", InodeNumber(4)}},
                                     .files = {{1, InodeNumber(7)}}},
                         saved::DecodeView);
}

TEST(MountStateTest, InitAndNotesComeBack) {
  const auto state = *MountState::Create();
  EXPECT_FALSE(state->init().has_value());
  EXPECT_FALSE(state->Note("expansion").has_value());
  const std::vector<std::byte> request(104, std::byte{1}), reply(80, std::byte{2});
  ASSERT_TRUE(state->SaveInit(request, reply).ok());
  ASSERT_TRUE(state->SaveNote("expansion", "one").ok());
  ASSERT_TRUE(state->SaveNote("expansion", "two, which is longer").ok());
  ASSERT_TRUE(state->SaveNote("other", "").ok());
  EXPECT_EQ(state->Note("expansion"), "two, which is longer");

  const auto next = *MountState::Attach(state->memory());
  EXPECT_EQ(next->init(), (MountState::Init{.request = request, .reply = reply}));
  EXPECT_EQ(next->Note("expansion"), "two, which is longer");
  EXPECT_EQ(next->Note("other"), "");
  EXPECT_FALSE(next->Note("third").has_value());
  EXPECT_FALSE(next->TakeTree().tree.has_value());
}

TEST(MountStateTest, InitIsKeptWholeOrNotAtAll) {
  auto records = *SharedRecords::Create({.bytes = 256, .records = 4, .secret = false});
  const auto state = *MountState::Attach(records.memory());
  const std::vector<std::byte> request(100, std::byte{1}), reply(4000, std::byte{2});
  EXPECT_TRUE(absl::IsResourceExhausted(state->SaveInit(request, reply)));
  EXPECT_FALSE(state->init().has_value());
  EXPECT_FALSE((*MountState::Attach(state->memory()))->init().has_value());
}

class ForeignStateTest : public ::testing::Test {
 protected:
  void Put(saved::RecordType type, std::string_view payload) {
    ASSERT_TRUE(records_.Insert(static_cast<uint32_t>(type), Bytes(payload)).ok());
    records_.Commit();
  }
  absl::Status Attach() { return MountState::Attach(records_.memory()).status(); }
  SharedRecords records_ =
      *SharedRecords::Create({.bytes = 1 << 16, .records = 64, .secret = false});
};

TEST_F(ForeignStateTest, OfAnotherVersionIsRefusedByName) {
  std::string format = saved::EncodeFormat();
  format[0] = 9;
  Put(saved::RecordType::kFormat, format);
  Put(static_cast<saved::RecordType>(77), "whatever that version writes");
  const absl::Status status = Attach();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(MessageOf(status).find("version 9"), std::string_view::npos) << status;
  EXPECT_NE(MessageOf(status).find("version 1"), std::string_view::npos) << status;
}

TEST_F(ForeignStateTest, DamagedOnesAreRefused) {
  Put(saved::RecordType::kNote, saved::Encode(saved::Note{.name = "a", .text = "b"}));
  EXPECT_TRUE(absl::IsDataLoss(Attach())) << "no version";
  Put(saved::RecordType::kFormat, saved::EncodeFormat());
  EXPECT_TRUE(Attach().ok()) << Attach();
  Put(saved::RecordType::kInode, saved::Encode(File()));
  EXPECT_TRUE(absl::IsDataLoss(Attach())) << "an inode without a tree";
  Put(saved::RecordType::kTree, saved::Encode(saved::Tree()));
  EXPECT_TRUE(absl::IsDataLoss(Attach())) << "no root";
  saved::Inode root = File();
  root.number = kRootInode;
  root.body = saved::ViewInode();
  Put(saved::RecordType::kInode, saved::Encode(root));
  EXPECT_TRUE(Attach().ok()) << Attach();
  Put(saved::RecordType::kInode, saved::Encode(File()));
  EXPECT_TRUE(absl::IsDataLoss(Attach())) << "one number twice";
}

TEST_F(ForeignStateTest, UnknownRecordsAreRefused) {
  Put(saved::RecordType::kFormat, saved::EncodeFormat());
  Put(static_cast<saved::RecordType>(77), "x");
  EXPECT_TRUE(absl::IsDataLoss(Attach()));
}

}  // namespace
}  // namespace secretfs::fs
