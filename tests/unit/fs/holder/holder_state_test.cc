// The holder's decisions, without processes and mounts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/fs/holder/fake_world.h"

namespace secretfs::fs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HolderStateTest : public ::testing::Test {
 protected:
  void Make(std::vector<std::string> directories, bool ends_without_mounts = true) {
    Holder::Options options;
    for (std::string& directory : directories) {
      options.mounts.push_back({.directory = std::move(directory), .source = "test"});
    }
    options.server_timeout = seconds(30);
    options.ends_without_mounts = ends_without_mounts;
    holder_.emplace(std::move(options), clock_, world_);
  }
  // A holder of mounts "/a" … whose server 1 is ready, with nothing in the log.
  void MakeReady(std::vector<std::string> directories = {"/a"}, bool ends_without_mounts = true) {
    Make(std::move(directories), ends_without_mounts);
    holder_->Start();
    Says(1, PreparedMessage{});
    Says(1, ReadyMessage{});
    world_.Take();
  }
  void Says(uint64_t server, const MessageToHolder& message) {
    holder_->OnServerMessage(ServerNumber(server), message);
  }
  void Dies(uint64_t server) {
    holder_->OnServerExited(ServerNumber(server), "was killed by signal 9", 1);
  }
  void Exits(uint64_t server, int code = 0) {
    holder_->OnServerExited(ServerNumber(server), Format("exited with code {}", code), code);
  }
  // Time passes; the holder is woken when it wants to be.
  void Pass(Duration time) {
    const MonotonicTime end = clock_.Now() + time;
    while (!holder_->exit_code().has_value()) {
      const std::optional<MonotonicTime> deadline = holder_->next_deadline();
      if (!deadline.has_value() || *deadline > end) break;
      clock_.Advance(*deadline - clock_.Now());
      holder_->OnTime();
    }
    clock_.Advance(end - clock_.Now());
  }
  std::vector<std::string> Happened() { return world_.Take(); }
  Holder::Done Into(std::optional<absl::Status>& status) {
    return [&status](absl::Status outcome) { status = std::move(outcome); };
  }

  fakes::ManualClock clock_;
  FakeWorld world_;
  std::optional<Holder> holder_;
};

TEST_F(HolderStateTest, MountsWhenTheServerIsPrepared) {
  Make({"/a", "/b"});
  holder_->Start();
  EXPECT_THAT(Happened(), ElementsAre("start 1"));
  Says(1, PreparedMessage{});
  EXPECT_THAT(Happened(),
              ElementsAre("mount /a", "mount /b", "to 1: mount 1 /a", "to 1: mount 2 /b"));
  Says(1, ReadyMessage{});
  EXPECT_THAT(Happened(), ElementsAre("ready 1 first"));
  EXPECT_EQ(holder_->next_deadline(), std::nullopt);
  // Said twice, nothing happens twice.
  Says(1, PreparedMessage{});
  Says(1, ReadyMessage{});
  EXPECT_THAT(Happened(), IsEmpty());
}

TEST_F(HolderStateTest, FirstStartFails) {
  Make({"/a"});
  holder_->Start();
  Says(1, FailedMessage{.exit_code = 4, .text = "denied"});
  Exits(1, 4);
  EXPECT_EQ(holder_->exit_code(), 4);
  EXPECT_THAT(Happened(), ElementsAre("start 1"));
}

TEST_F(HolderStateTest, FirstServerThatFailedIsNotWaitedForForEver) {
  Make({"/a"});
  holder_->Start();
  Says(1, FailedMessage{.exit_code = 4, .text = ""});
  Pass(seconds(2));
  EXPECT_THAT(Happened(), ElementsAre("start 1", "kill 1"));
  Dies(1);
  EXPECT_EQ(holder_->exit_code(), 4);
}

TEST_F(HolderStateTest, FirstServerDiesAfterMounting) {
  Make({"/a"});
  holder_->Start();
  Says(1, PreparedMessage{});
  Happened();
  Dies(1);
  EXPECT_THAT(Happened(), ElementsAre(HasSubstr("error: the server was killed by signal 9"),
                                      "abort /a", "unmount /a"));
  EXPECT_EQ(holder_->exit_code(), 1);
}

TEST_F(HolderStateTest, FirstServerCannotBeStarted) {
  Make({"/a"});
  world_.start_error = absl::FailedPreconditionError("no such program");
  holder_->Start();
  EXPECT_THAT(Happened(), ElementsAre("start 1", "error: no such program"));
  EXPECT_EQ(holder_->exit_code(), 1);
}

TEST_F(HolderStateTest, MountingFails) {
  Make({"/a"});
  world_.mount_error = absl::PermissionDeniedError("not yours");
  holder_->Start();
  Says(1, PreparedMessage{});
  EXPECT_THAT(Happened(), ElementsAre("start 1", "mount /a", "error: not yours", "to 1: exit"));
  Exits(1);
  EXPECT_EQ(holder_->exit_code(), 4);
}

TEST_F(HolderStateTest, DeadServerIsFollowedAtOnce) {
  MakeReady();
  Pass(seconds(60));
  Dies(1);
  EXPECT_THAT(Happened(), ElementsAre("start 2"));
  EXPECT_EQ(holder_->Status().restarts, 1u);
  EXPECT_EQ(holder_->Status().last_death, "was killed by signal 9");
  Says(2, PreparedMessage{});
  EXPECT_THAT(Happened(), ElementsAre("to 2: mount 1 /a taken over"));
  Says(2, ReadyMessage{});
  EXPECT_THAT(Happened(), ElementsAre("ready 2"));
  // Words of the dead.
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmounted from outside"});
  EXPECT_THAT(Happened(), IsEmpty());
}

TEST_F(HolderStateTest, ServersThatDieAtOnceAreStartedApart) {
  MakeReady();
  Dies(1);
  EXPECT_THAT(Happened(), IsEmpty());
  Pass(milliseconds(100));
  EXPECT_THAT(Happened(), ElementsAre("start 2"));
}

TEST_F(HolderStateTest, ProgramsTakeTurnsWhileNoneBecomesReady) {
  MakeReady();
  Pass(seconds(1));
  Dies(1);
  EXPECT_THAT(Happened(), ElementsAre("start 2"));
  Dies(2);
  Pass(milliseconds(100));
  EXPECT_THAT(Happened(), ElementsAre("start 3 proven"));
  Dies(3);
  Pass(milliseconds(200));
  EXPECT_THAT(Happened(), ElementsAre("start 4"));
}

TEST_F(HolderStateTest, NobodyServesForTooLong) {
  MakeReady();
  Pass(seconds(1));
  Dies(1);
  Happened();
  Pass(seconds(20));
  // However many die meanwhile, it counts from the first.
  Dies(2);
  Pass(seconds(9));
  EXPECT_EQ(holder_->exit_code(), std::nullopt);
  Happened();
  Pass(seconds(1));
  EXPECT_THAT(Happened(), ElementsAre("kill 3", "abort /a", "unmount /a"));
  EXPECT_EQ(holder_->exit_code(), 1);
}

TEST_F(HolderStateTest, EndsInOrder) {
  MakeReady({"/a", "/b"});
  holder_->End();
  EXPECT_THAT(Happened(), ElementsAre("to 1: end mount 1", "to 1: end mount 2"));
  Says(1, MountEndedMessage{.id = MountId(2), .reason = "unmount requested"});
  EXPECT_THAT(Happened(), ElementsAre("unmount /b"));
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmount requested"});
  EXPECT_THAT(Happened(), ElementsAre("unmount /a", "to 1: exit"));
  EXPECT_EQ(holder_->exit_code(), std::nullopt);
  Exits(1);
  EXPECT_EQ(holder_->exit_code(), 0);
}

TEST_F(HolderStateTest, EndsWithoutTheServersHelp) {
  MakeReady();
  holder_->End();
  Happened();
  Pass(seconds(2));
  EXPECT_THAT(Happened(), ElementsAre("abort /a", "unmount /a", "to 1: exit"));
  Pass(seconds(5));
  EXPECT_THAT(Happened(), ElementsAre("kill 1"));
  Dies(1);
  EXPECT_EQ(holder_->exit_code(), 0);
  EXPECT_THAT(Happened(), IsEmpty());
}

TEST_F(HolderStateTest, ServerThatHoldsTheDeviceIsKilledWhereAbortingIsImpossible) {
  MakeReady({"/a", "/b"});
  world_.can_abort = false;
  std::optional<absl::Status> done;
  holder_->Unmount("/a", Into(done));
  Pass(seconds(2));
  EXPECT_THAT(Happened(), ElementsAre("to 1: end mount 1", "abort /a", "kill 1", "unmount /a"));
  EXPECT_EQ(done, absl::OkStatus());
  Dies(1);
  EXPECT_THAT(Happened(), ElementsAre("start 2"));
}

TEST_F(HolderStateTest, EndsWhileTheServerIsDead) {
  MakeReady();
  Dies(1);
  holder_->End();
  EXPECT_THAT(Happened(), ElementsAre("unmount /a"));
  EXPECT_EQ(holder_->exit_code(), 0);
}

TEST_F(HolderStateTest, ServerDiesWhileItEndsAMount) {
  MakeReady();
  holder_->End();
  Happened();
  Dies(1);
  EXPECT_THAT(Happened(), ElementsAre("unmount /a"));
  EXPECT_EQ(holder_->exit_code(), 0);
}

TEST_F(HolderStateTest, EndsAtOnce) {
  MakeReady();
  holder_->End();
  Happened();
  holder_->EndAtOnce(130);
  EXPECT_THAT(Happened(), ElementsAre("kill 1", "abort /a", "unmount /a"));
  EXPECT_EQ(holder_->exit_code(), 130);
}

TEST_F(HolderStateTest, UnmountOnRequest) {
  MakeReady({"/a", "/b"});
  std::optional<absl::Status> done, missing;
  holder_->Unmount("/c", Into(missing));
  EXPECT_TRUE(absl::IsNotFound(*missing));
  holder_->Unmount("/a", Into(done));
  EXPECT_THAT(Happened(), ElementsAre("to 1: end mount 1"));
  EXPECT_FALSE(done.has_value());
  world_.unmount_error = absl::FailedPreconditionError("hidden by another mount");
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmount requested"});
  EXPECT_EQ(*done, world_.unmount_error);
  EXPECT_EQ(holder_->Status().directories, std::vector<std::string>{"/b"});
}

TEST_F(HolderStateTest, UnmountedFromOutside) {
  MakeReady();
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmounted from outside"});
  EXPECT_THAT(Happened(), ElementsAre("unmount /a", "to 1: exit"));
  Exits(1);
  EXPECT_EQ(holder_->exit_code(), 0);
}

TEST_F(HolderStateTest, MountThatBreaks) {
  MakeReady();
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "reading /dev/fuse failed"});
  Exits(1);
  EXPECT_EQ(holder_->exit_code(), 1);
}

TEST_F(HolderStateTest, MountAnew) {
  MakeReady();
  Says(1, MountAnewMessage{.id = MountId(1)});
  EXPECT_THAT(Happened(), ElementsAre("to 1: end mount 1"));
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmount requested"});
  EXPECT_THAT(Happened(), ElementsAre("unmount /a", "mount /a", "to 1: mount 2 /a"));
  EXPECT_EQ(holder_->exit_code(), std::nullopt);
}

TEST_F(HolderStateTest, MountAnewFails) {
  MakeReady();
  world_.mount_error = absl::UnavailableError("no /dev/fuse");
  Says(1, MountAnewMessage{.id = MountId(1)});
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmount requested"});
  EXPECT_THAT(Happened(), ElementsAre("to 1: end mount 1", "unmount /a", "mount /a", "to 1: exit"));
  Exits(1);
  EXPECT_EQ(holder_->exit_code(), 1);
}

TEST_F(HolderStateTest, Upgrade) {
  MakeReady();
  std::optional<absl::Status> done, second;
  holder_->Upgrade(Into(done));
  holder_->Upgrade(Into(second));
  EXPECT_THAT(Happened(), ElementsAre("start 2 upgrade"));
  Says(2, PreparedMessage{});
  EXPECT_THAT(Happened(), ElementsAre("to 1: hand over"));
  Says(1, HandedOverMessage{});
  // Only its end makes sure that nobody else serves.
  EXPECT_THAT(Happened(), IsEmpty());
  Exits(1);
  EXPECT_THAT(Happened(), ElementsAre("to 2: mount 1 /a taken over"));
  Says(2, ReadyMessage{});
  EXPECT_THAT(Happened(), ElementsAre("ready 2"));
  EXPECT_EQ(done, absl::OkStatus());
  EXPECT_EQ(second, absl::OkStatus());
  EXPECT_EQ(holder_->Status().restarts, 0u);
  EXPECT_EQ(holder_->Status().generation, 2u);
}

TEST_F(HolderStateTest, UpgradeWithAnOldServerThatHangs) {
  MakeReady();
  std::optional<absl::Status> done;
  holder_->Upgrade(Into(done));
  Says(2, PreparedMessage{});
  Happened();
  Pass(seconds(2));
  EXPECT_THAT(Happened(), ElementsAre("kill 1"));
  Dies(1);
  EXPECT_THAT(Happened(), ElementsAre("to 2: mount 1 /a taken over"));
}

TEST_F(HolderStateTest, UpgradeWithANewServerThatFails) {
  MakeReady();
  std::optional<absl::Status> done;
  holder_->Upgrade(Into(done));
  Says(2, FailedMessage{.exit_code = 1, .text = "another layout of the tree"});
  Exits(2, 1);
  ASSERT_TRUE(done.has_value());
  EXPECT_THAT(std::string(done->message()), HasSubstr("another layout of the tree; the old one"));
  EXPECT_EQ(holder_->Status().generation, 1u);
  EXPECT_TRUE(holder_->Status().server_is_ready);

  done.reset();
  holder_->Upgrade(Into(done));
  Happened();
  Pass(seconds(30));
  EXPECT_THAT(Happened(), ElementsAre("kill 3"));
  Dies(3);
  EXPECT_THAT(std::string(done->message()), HasSubstr("not prepared in time"));
  EXPECT_EQ(holder_->exit_code(), std::nullopt);
}

TEST_F(HolderStateTest, OldServerDiesDuringAnUpgrade) {
  MakeReady();
  std::optional<absl::Status> done;
  holder_->Upgrade(Into(done));
  Happened();
  Dies(1);
  EXPECT_THAT(Happened(), IsEmpty());  // the new one comes as called
  Says(2, PreparedMessage{});
  EXPECT_THAT(Happened(), ElementsAre("to 2: mount 1 /a taken over"));
  Says(2, ReadyMessage{});
  EXPECT_EQ(done, absl::OkStatus());
}

TEST_F(HolderStateTest, NewServerDiesAfterTheHandOver) {
  MakeReady();
  Pass(seconds(1));
  std::optional<absl::Status> done;
  holder_->Upgrade(Into(done));
  Says(2, PreparedMessage{});
  Exits(1);
  Happened();
  Dies(2);
  ASSERT_TRUE(done.has_value());
  EXPECT_FALSE(done->ok());
  Pass(milliseconds(100));
  EXPECT_THAT(Happened(), ElementsAre("start 3 proven"));
}

TEST_F(HolderStateTest, BothDieAtTheHandOver) {
  MakeReady();
  std::optional<absl::Status> done;
  holder_->Upgrade(Into(done));
  Says(2, PreparedMessage{});
  Happened();
  Dies(2);
  EXPECT_THAT(std::string(done->message()), HasSubstr("a further one is started"));
  Exits(1);
  EXPECT_THAT(Happened(), ElementsAre("start 3"));
}

TEST_F(HolderStateTest, EndDuringAnUpgrade) {
  MakeReady();
  std::optional<absl::Status> done;
  holder_->Upgrade(Into(done));
  Happened();
  holder_->End();
  EXPECT_TRUE(absl::IsCancelled(*done));
  EXPECT_THAT(Happened(), ElementsAre("kill 2", "to 1: end mount 1"));
  Dies(2);
  Says(1, MountEndedMessage{.id = MountId(1), .reason = "unmount requested"});
  Exits(1);
  EXPECT_EQ(holder_->exit_code(), 0);
}

TEST_F(HolderStateTest, NextServerHasNoSayAboutMounts) {
  MakeReady();
  holder_->Upgrade([](const absl::Status&) {});
  Happened();
  Says(2, MountEndedMessage{.id = MountId(1), .reason = "unmounted from outside"});
  Says(2, UnmountMessage{.id = MountId(1)});
  Says(2, MountAnewMessage{.id = MountId(1)});
  Says(2, ReadyMessage{});
  EXPECT_THAT(Happened(), IsEmpty());
}

// As the node plugin uses it.
TEST_F(HolderStateTest, MountsComeAndGo) {
  MakeReady({}, /*ends_without_mounts=*/false);
  const absl::StatusOr<MountId> id = holder_->AddMount({.directory = "/pod", .source = "csi"});
  ASSERT_TRUE(id.ok());
  EXPECT_THAT(Happened(), ElementsAre("mount /pod", "to 1: mount 1 /pod"));
  EXPECT_NE(holder_->Find(*id), nullptr);
  Dies(1);
  // While no server is there, it waits for the next one.
  ASSERT_TRUE(holder_->AddMount({.directory = "/pod2", .source = "csi"}).ok());
  Pass(milliseconds(100));
  Says(2, PreparedMessage{});
  EXPECT_THAT(Happened(), ElementsAre("mount /pod2", "start 2", "to 2: mount 1 /pod taken over",
                                      "to 2: mount 2 /pod2"));
  Says(2, ReadyMessage{});
  for (const char* directory : {"/pod", "/pod2"}) {
    std::optional<absl::Status> done;
    holder_->Unmount(directory, Into(done));
    Says(2, MountEndedMessage{.id = MountId(directory == std::string("/pod") ? 1 : 2),
                              .reason = "unmount requested"});
    EXPECT_EQ(done, absl::OkStatus());
  }
  EXPECT_EQ(holder_->exit_code(), std::nullopt);
  EXPECT_THAT(holder_->Status().directories, IsEmpty());
}

}  // namespace
}  // namespace secretfs::fs
