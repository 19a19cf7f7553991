// Slow, dead and returning stores: nobody waits longer than he must, and nobody else waits at all.

#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/integration/fuse/service_fixture.h"

namespace secretfs::fs {
namespace {

using WaitingTest = ServiceTest;

TEST_F(WaitingTest, InterruptedReaderReturnsAtOnce) {
  provider_->Set("slow", "x");
  provider_->Set("ready", "y");
  Mount({.files = {File("slow", "slow"), File("ready", "ready")}});
  provider_->HoldKey("slow");
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    ChildProcess reader(
        [&] { return open((directory_ / "slow").c_str(), O_RDONLY) >= 0 ? 0 : errno; });
    ASSERT_TRUE(Eventually([&] { return Status().parked_requests == 1; }));
    EXPECT_EQ(ReadAll(directory_ / "ready"), "y");
    const absl::Time start = absl::Now();
    reader.Signal(signal);
    const int status = reader.Wait();
    ASSERT_TRUE(WIFSIGNALED(status)) << signal;
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "not after the deadline";
    EXPECT_EQ(Status().parked_requests, 0u);
  }
  provider_->ReleaseKey("slow");
  EXPECT_EQ(ReadAll(directory_ / "slow"), "x");
}

TEST_F(WaitingTest, ManyInterruptsAtRandomMoments) {
  provider_->Set("slow", "x");
  Mount({.files = {File("slow", "slow")}});
  provider_->HoldKey("slow");
  for (int round = 0; round < 100; ++round) {
    ChildProcess reader(
        [&] { return open((directory_ / "slow").c_str(), O_RDONLY) >= 0 ? 0 : errno; });
    absl::SleepFor(absl::Microseconds((round * 61) % 2000));
    reader.Signal(SIGINT);
    ASSERT_NE(reader.Wait(absl::Seconds(8)), -1) << "round " << round;
  }
  provider_->ReleaseKey("slow");
  EXPECT_EQ(ReadAll(directory_ / "slow"), "x");
}

TEST_F(WaitingTest, DeadlineEndsTheWait) {
  policy_.deadline = std::chrono::milliseconds(300);
  provider_->Set("slow", "x");
  provider_->Set("ready", "y");
  Mount({.files = {File("slow", "slow"), File("ready", "ready")}});
  provider_->HoldKey("slow");
  const absl::Time start = absl::Now();
  EXPECT_EQ(ReadAll(directory_ / "slow"), "errno ETIMEDOUT");
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(250));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_EQ(ReadAll(directory_ / "ready"), "y");
}

TEST_F(WaitingTest, BrowsedFileWaitsInOpen) {
  policy_.deadline = std::chrono::milliseconds(500);
  provider_->Set("app/slow", "x");
  provider_->Set("app/ready", "y");
  Mount({.browse = {Browse("", "app")}});
  struct stat attributes = {};
  ASSERT_EQ(stat((directory_ / "slow").c_str(), &attributes), 0);
  provider_->HoldKey("app/slow");
  ChildProcess reader(
      [&] { return open((directory_ / "slow").c_str(), O_RDONLY) >= 0 ? 0 : errno; });
  ASSERT_TRUE(Eventually([&] { return Status().parked_requests == 1; }));
  EXPECT_EQ(ReadAll(directory_ / "ready"), "y");
  EXPECT_EQ(reader.ExitCode(), ETIMEDOUT);
}

TEST_F(WaitingTest, StoreDownAtStartAndBackLater) {
  policy_.negative_ttl = std::chrono::milliseconds(1);
  provider_->Set("db", "geheim");
  provider_->FailCalls(absl::UnavailableError("connection refused"), fakes::FakeProvider::kForever);
  policy_.deadline = std::chrono::seconds(1);
  Mount({.files = {File("password", "db")}});
  const std::string first = ReadAll(directory_ / "password");
  EXPECT_TRUE(first == "errno EIO" || first == "errno ETIMEDOUT") << first;
  provider_->Heal();
  EXPECT_TRUE(Eventually([&] { return ReadAll(directory_ / "password") == "geheim"; }));
}

TEST_F(WaitingTest, StoreDownLaterLeavesValuesReadable) {
  provider_->Set("db", "geheim");
  Mount({.files = {File("password", "db")}});
  ASSERT_EQ(ReadAll(directory_ / "password"), "geheim");
  provider_->FailCalls(absl::UnavailableError("connection refused"), fakes::FakeProvider::kForever);
  EXPECT_FALSE(service_->Refresh(directory_.path(), "password").ok());
  EXPECT_EQ(ReadAll(directory_ / "password"), "geheim");
}

TEST_F(WaitingTest, UnmountEndsEveryWait) {
  policy_.deadline = std::chrono::seconds(60);
  provider_->Set("slow", "x");
  Mount({.files = {File("slow", "slow")}});
  provider_->HoldKey("slow");
  ChildProcess reader(
      [&] { return open((directory_ / "slow").c_str(), O_RDONLY) >= 0 ? 0 : errno; });
  ASSERT_TRUE(Eventually([&] { return Status().parked_requests == 1; }));
  absl::Status refreshed;
  std::thread refresher([&] { refreshed = service_->Refresh(directory_.path(), "slow"); });
  absl::SleepFor(absl::Milliseconds(20));
  const absl::Time start = absl::Now();
  EXPECT_TRUE(service_->Unmount(directory_.path()).ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_EQ(reader.ExitCode(), ENOTCONN);
  refresher.join();
  EXPECT_FALSE(refreshed.ok());
  EXPECT_TRUE(MountsAt(directory_.path()).empty());
}

}  // namespace
}  // namespace secretfs::fs
