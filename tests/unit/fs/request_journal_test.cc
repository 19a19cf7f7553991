#include "fs/request_journal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "tests/unit/fs/journal_memory.h"

namespace secretfs::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr MountId kMount{1};

std::vector<std::byte> Request(uint64_t unique, uint32_t opcode = FUSE_LOOKUP, size_t body = 8) {
  std::vector<std::byte> bytes(sizeof(fuse_in_header) + body, std::byte{'n'});
  if (body > 0) bytes.back() = std::byte{0};  // a name
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(bytes.size());
  header.opcode = opcode;
  header.unique = unique;
  memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

class RequestJournalTest : public ::testing::Test {
 protected:
  std::unique_ptr<RequestJournal> Attach() { return *RequestJournal::Attach(memory_.get()); }

  // What read(2) does.
  void Read(RequestJournal& journal, size_t worker, MountId mount, uint64_t unique,
            uint32_t opcode = FUSE_LOOKUP) {
    journal.BeginRead(worker, mount);
    const auto request = Request(unique, opcode);
    memcpy(journal.Buffer(worker).data(), request.data(), request.size());
  }

  static std::vector<uint64_t> Uniques(RequestJournal& journal, MountId mount) {
    std::vector<uint64_t> uniques;
    for (const auto& left : journal.LeftOf(mount)) {
      uniques.push_back(reinterpret_cast<const fuse_in_header*>(left.request.data())->unique);
    }
    return uniques;
  }

  const UniqueFd memory_ = JournalMemory();
};

MonotonicTime At(int seconds) { return MonotonicTime(std::chrono::seconds(seconds)); }

TEST_F(RequestJournalTest, WhatIsParkedOrJustReadIsFoundOldestFirst) {
  auto journal = Attach();
  journal->Park(kMount, At(5), Request(50));
  journal->Park(kMount, At(2), Request(20));
  Read(*journal, 3, kMount, 90);  // now, which is later
  EXPECT_THAT(Uniques(*Attach(), kMount), ElementsAre(20, 50, 90));
}

TEST_F(RequestJournalTest, WhatWasAnsweredIsNotFound) {
  auto journal = Attach();
  const JournalRecord record = journal->Park(kMount, At(1), Request(10));
  journal->Park(kMount, At(2), Request(20));
  journal->Erase(record);
  Read(*journal, 0, kMount, 30);
  journal->EndRead(0);
  journal->BeginRead(1, kMount);  // nothing came
  EXPECT_THAT(Uniques(*Attach(), kMount), ElementsAre(20));
}

TEST_F(RequestJournalTest, WhatWasFoundStaysUntilItIsErased) {
  Read(*Attach(), 0, kMount, 10);
  EXPECT_THAT(Uniques(*Attach(), kMount), ElementsAre(10));  // and the finder dies
  auto journal = Attach();
  const auto left = journal->LeftOf(kMount);
  ASSERT_THAT(left, SizeIs(1));
  journal->Erase(left[0].record);
  EXPECT_THAT(Attach()->LeftOf(kMount), IsEmpty());
}

TEST_F(RequestJournalTest, ARequestBothReadAndParkedIsFoundOnce) {
  auto journal = Attach();
  Read(*journal, 0, kMount, 10);
  journal->Park(kMount, At(1), Request(10));
  EXPECT_THAT(Uniques(*Attach(), kMount), ElementsAre(10));
  EXPECT_THAT(Uniques(*Attach(), kMount), ElementsAre(10));
}

TEST_F(RequestJournalTest, MountsAndRequestsWithoutReplyAreKeptApart) {
  auto journal = Attach();
  Read(*journal, 0, kMount, 10, FUSE_FORGET);
  Read(*journal, 1, MountId(2), 20);
  Read(*journal, 2, kMount, 30, FUSE_INTERRUPT);
  EXPECT_THAT(Uniques(*Attach(), kMount), IsEmpty());
  EXPECT_THAT(Uniques(*Attach(), MountId(2)), ElementsAre(20));
}

TEST_F(RequestJournalTest, RecordsThatWereLeftAreNotGivenTwice) {
  Attach()->Park(kMount, At(1), Request(10));
  auto journal = Attach();
  std::set<JournalRecord> given;
  for (uint64_t i = 0; i + 1 < RequestJournal::kRecords; ++i) {
    const JournalRecord record = journal->Park(kMount, At(2), Request(100 + i));
    ASSERT_NE(record, JournalRecord()) << i;
    ASSERT_TRUE(given.insert(record).second) << i;
  }
  EXPECT_EQ(journal->Park(kMount, At(2), Request(99)), JournalRecord()) << "it is full";
  EXPECT_THAT(Attach()->LeftOf(kMount), SizeIs(RequestJournal::kRecords));
}

TEST_F(RequestJournalTest, ALongRequestInABufferIsFoundToo) {
  auto journal = Attach();
  journal->BeginRead(0, kMount);
  const auto request = Request(10, FUSE_SETXATTR, 4000);
  memcpy(journal->Buffer(0).data(), request.data(), request.size());
  const auto left = Attach()->LeftOf(kMount);
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].request, request);
  EXPECT_EQ(left[0].record, JournalRecord());
}

TEST_F(RequestJournalTest, RefusesMemoryThatIsNotAJournal) {
  const UniqueFd small(memfd_create("small", MFD_CLOEXEC));
  EXPECT_TRUE(absl::IsDataLoss(RequestJournal::Attach(small.get()).status()));
  const uint64_t other = 42;
  ASSERT_EQ(pwrite(memory_.get(), &other, sizeof(other), 0), 8);
  EXPECT_TRUE(absl::IsDataLoss(RequestJournal::Attach(memory_.get()).status()));
}

TEST_F(RequestJournalTest, TrustsNoLengthThatItReads) {
  auto journal = Attach();
  auto request = Request(10);
  reinterpret_cast<fuse_in_header*>(request.data())->len = 100000;
  journal->BeginRead(0, kMount);
  memcpy(journal->Buffer(0).data(), request.data(), request.size());
  journal->Park(kMount, At(1), request);
  EXPECT_THAT(Attach()->LeftOf(kMount), IsEmpty());
}

TEST_F(RequestJournalTest, MemoryThatCouldShrinkIsRefused) {
  const UniqueFd memory(memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(memory.get(), static_cast<off_t>(RequestJournal::BytesNeeded())), 0);
  EXPECT_TRUE(absl::IsDataLoss(RequestJournal::Attach(memory.get()).status()));
}

// --- what a server that was taken over could have written

template <typename Body>
std::vector<std::byte> RequestWith(uint64_t unique, uint32_t opcode, const Body& body) {
  std::vector<std::byte> bytes = Request(unique, opcode, sizeof(body));
  memcpy(bytes.data() + sizeof(fuse_in_header), &body, sizeof(body));
  return bytes;
}

TEST_F(RequestJournalTest, ChangesAreNeverServed) {
  auto journal = Attach();
  uint64_t unique = 1;
  for (const uint32_t opcode : {FUSE_SYMLINK, FUSE_RENAME, FUSE_RENAME2, FUSE_UNLINK, FUSE_SETATTR,
                                FUSE_WRITE, FUSE_MKDIR, FUSE_SETXATTR, FUSE_IOCTL}) {
    journal->Park(kMount, At(1), Request(unique++, opcode, 40));
  }
  fuse_open_in open = {};
  open.flags = O_RDWR;
  journal->Park(kMount, At(1), RequestWith(unique++, FUSE_OPEN, open));
  journal->Park(kMount, At(1), Request(unique++, 4711));
  const auto left = Attach()->LeftOf(kMount);
  EXPECT_THAT(left, SizeIs(unique - 1));
  for (const auto& request : left) EXPECT_FALSE(request.serve);
  open.flags = O_RDONLY;
  auto again = Attach();
  again->Park(MountId(2), At(1), RequestWith(1, FUSE_OPEN, open));
  ASSERT_THAT(again->LeftOf(MountId(2)), SizeIs(1));
  EXPECT_TRUE(again->LeftOf(MountId(2))[0].serve);
}

// libfuse believes the kernel's lengths, and would read beyond the request.
TEST_F(RequestJournalTest, RequestsOfAWrongFormAreDropped) {
  auto journal = Attach();
  auto unended = Request(1);
  unended.back() = std::byte{'n'};
  auto two_names = Request(2, FUSE_LOOKUP, 8);
  two_names[two_names.size() - 3] = std::byte{0};
  fuse_read_in huge = {};
  huge.size = UINT32_MAX;
  fuse_getxattr_in attribute = {};
  for (const auto& request :
       {unended, two_names, Request(3, FUSE_LOOKUP, 0), Request(4, FUSE_LOOKUP, 1),
        Request(5, FUSE_READ, 8), RequestWith(6, FUSE_READ, huge), Request(7, FUSE_GETATTR, 3),
        RequestWith(8, FUSE_GETXATTR, attribute), Request(9, FUSE_READLINK, 8),
        Request(10, FUSE_INIT, 12), Request(11, FUSE_OPENDIR, 0), Request(12, FUSE_RELEASE, 1)}) {
    ASSERT_NE(journal->Park(kMount, At(1), request), JournalRecord());
  }
  EXPECT_THAT(Attach()->LeftOf(kMount), IsEmpty());
}

TEST_F(RequestJournalTest, NobodyWaitedSinceTomorrow) {
  auto journal = Attach();
  const MonotonicTime now = std::chrono::steady_clock::now();
  journal->Park(kMount, now + std::chrono::hours(24), Request(1));
  journal->Park(kMount, MonotonicTime::max(), Request(2));
  journal->Park(kMount, MonotonicTime::min(), Request(3));
  for (const auto& left : Attach()->LeftOf(kMount)) {
    EXPECT_GE(left.since, MonotonicTime());
    EXPECT_LE(left.since, std::chrono::steady_clock::now());
  }
}

// Otherwise no request could be parked any more.
TEST_F(RequestJournalTest, RecordsThatWereNeverOursAreFreed) {
  auto journal = Attach();
  for (uint64_t i = 0; i < RequestJournal::kRecords; ++i) {
    journal->Park(MountId(i % 2 == 0 ? 77 : 78), At(1), Request(i + 1));
  }
  journal = Attach();
  ASSERT_EQ(journal->Park(kMount, At(1), Request(1)), JournalRecord());
  journal->EraseAllBut({kMount, MountId(78)});
  EXPECT_NE(journal->Park(kMount, At(1), Request(1)), JournalRecord());
  EXPECT_THAT(Attach()->LeftOf(MountId(77)), IsEmpty());
  EXPECT_THAT(Attach()->LeftOf(MountId(78)), SizeIs(RequestJournal::kRecords / 2));

  // Garbage over everything but the mark: read to its end, and room is left.
  std::vector<char> garbage(RequestJournal::BytesNeeded() - 8, '\x5a');
  ASSERT_EQ(pwrite(memory_.get(), garbage.data(), garbage.size(), 8),
            static_cast<ssize_t>(garbage.size()));
  journal = Attach();
  EXPECT_THAT(journal->LeftOf(kMount), IsEmpty());
  EXPECT_NE(journal->Park(kMount, At(1), Request(1)), JournalRecord());
}

TEST_F(RequestJournalTest, CanBeginAfresh) {
  Attach()->Park(kMount, At(1), Request(1));
  const uint64_t other = 42;
  ASSERT_EQ(pwrite(memory_.get(), &other, sizeof(other), 0), 8);
  const auto journal = RequestJournal::Attach(memory_.get(), /*afresh=*/true);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_THAT((*journal)->LeftOf(kMount), IsEmpty());
  EXPECT_THAT(Attach()->LeftOf(kMount), IsEmpty());
}

// A reader process that is killed at a random moment has, for each request it got, either answered
// it or left it in the journal.
TEST_F(RequestJournalTest, NoRequestIsLostHoweverTheReaderDies) {
  for (int round = 0; round < 40; ++round) {
    const UniqueFd memory = JournalMemory();
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    const pid_t reader = fork();
    if (reader == 0) {
      auto journal = *RequestJournal::Attach(memory.get());
      for (uint64_t count = 0;; ++count) {
        journal->BeginRead(0, kMount);
        const auto buffer = journal->Buffer(0);
        if (read(ends[1], buffer.data(), buffer.size()) <= 0) _exit(1);
        const auto* header = reinterpret_cast<const fuse_in_header*>(buffer.data());
        const uint64_t unique = header->unique;
        JournalRecord record;
        if (count % 3 == 0) {
          record = journal->Park(kMount, At(1), buffer.first(header->len));
          journal->EndRead(0);
        }
        if (write(ends[1], &unique, sizeof(unique)) != sizeof(unique)) _exit(1);
        journal->Erase(record);
        journal->EndRead(0);
      }
    }
    std::set<uint64_t> unanswered;
    const int requests = 20 + round * 7;
    for (uint64_t unique = 1; unique <= static_cast<uint64_t>(requests); ++unique) {
      const auto request = Request(unique);
      ASSERT_EQ(write(ends[0], request.data(), request.size()),
                static_cast<ssize_t>(request.size()));
      unanswered.insert(unique);
    }
    uint64_t answer = 0;
    for (int i = 0; i < requests / 2 && read(ends[0], &answer, sizeof(answer)) > 0; ++i) {
      unanswered.erase(answer);
    }
    kill(reader, SIGKILL);
    waitpid(reader, nullptr, 0);
    // What it had not read is still in the socket; the rest is answered or in the journal.
    const int flags = MSG_DONTWAIT;
    while (recv(ends[0], &answer, sizeof(answer), flags) > 0) unanswered.erase(answer);
    std::byte buffer[256];
    ssize_t size;
    while ((size = recv(ends[1], buffer, sizeof(buffer), flags)) > 0) {
      unanswered.erase(reinterpret_cast<const fuse_in_header*>(buffer)->unique);
    }
    for (const uint64_t unique : Uniques(*RequestJournal::Attach(memory.get()).value(), kMount)) {
      unanswered.erase(unique);
    }
    EXPECT_THAT(unanswered, IsEmpty()) << "round " << round;
    close(ends[0]);
    close(ends[1]);
  }
}

}  // namespace
}  // namespace secretfs::fs
