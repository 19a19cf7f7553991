// What becomes of a mount whose holder is killed, whose server cannot be started, or which has to
// end while somebody hangs.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/integration/survive/survive_fixture.h"

namespace secretfs::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// What the issue promises of an unmount.
constexpr seconds kUnmountBound(5);

class HeldMountTest : public SurviveTest {
 protected:
  // The mount is gone within the bound whatever the command still waits for.
  void ExpectUnmountWithinBound() {
    ChildProcess umount({SecretfsBinary(), "umount", mount_point()});
    EXPECT_TRUE(Eventually([this] { return !IsMounted(); }, kUnmountBound));
    EXPECT_EQ(umount.Wait(seconds(20)), 0) << umount.errors();
    EXPECT_FALSE(IsMounted());
  }
};

TEST_F(HeldMountTest, AKilledHolderIsReportedAndItsMountCleanedByUmount) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  const fs::HolderStatus before = Status();
  ASSERT_EQ(kill(before.holder, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(before.server) && !IsAlive(before.holder); }));

  // "Transport endpoint is not connected".
  EXPECT_EQ(ReadError(mount_point() / "b"), ENOTCONN);
  EXPECT_EQ(ReadError(mount_point() / "a"), ENOTCONN);
  const Finished status = Secretfs({"status", mount_point()});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.errors, HasSubstr("is gone"));
  EXPECT_THAT(status.errors, HasSubstr("secretfs umount " + mount_point().string()));

  const Finished unmounted = Secretfs({"umount", mount_point()});
  EXPECT_EQ(unmounted.exit_code, 0) << unmounted.errors;
  EXPECT_FALSE(IsMounted());
  EXPECT_EQ(Secretfs({"umount", mount_point()}).exit_code, 3);
  EXPECT_THAT(Secretfs({"status", "--json"}).output, HasSubstr("\"mounts\": []"));
}

TEST_F(HeldMountTest, AKilledHoldersMountIsCleanedByTheNextMount) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  const fs::HolderStatus before = Status();
  ASSERT_EQ(kill(before.holder, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(before.server); }));
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  EXPECT_EQ(fs::MountsAt(mount_point().string()).size(), 1u);
}

// A server that hangs while its holder is killed still has the device open.
TEST_F(HeldMountTest, AKilledHolderWithAHungServer) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  const fs::HolderStatus before = Status();
  ASSERT_EQ(kill(before.server, SIGSTOP), 0);
  ASSERT_EQ(kill(before.holder, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(before.holder); }));
  int error = 0;
  std::thread reader([&] { error = ReadError(mount_point() / "a"); });
  ExpectUnmountWithinBound();
  // As soon as it runs again it sees that nobody holds its mounts.
  kill(before.server, SIGCONT);
  reader.join();
  EXPECT_NE(error, 0);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(before.server); }));
}

TEST_F(HeldMountTest, AServerThatNeverComesBackEndsInAnError) {
  Put("a", "value");
  Put("b", "value");
  const std::filesystem::path program = UseCopyOfProgram();
  ASSERT_NO_FATAL_FAILURE(
      MountDaemon({"--server-timeout", "5s", "-f", ManifestOf({"a", "b"}, "flat")}));
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");
  const fs::HolderStatus before = Status();
  // Neither what the holder still has open nor what stands there now can be executed.
  std::filesystem::permissions(program, std::filesystem::perms::owner_read);
  ReplaceProgram("/bin/false");
  const auto killed = Clock::now();
  ASSERT_EQ(kill(before.server, SIGKILL), 0);
  EXPECT_EQ(ReadFile(mount_point() / "a"), "value");  // the kernel has it
  const int error = ReadError(mount_point() / "b");
  EXPECT_THAT(error, AnyOf(ENOTCONN, ECONNABORTED, EIO)) << strerrorname_np(error);
  EXPECT_GE(Clock::now() - killed, seconds(4));
  EXPECT_LT(Clock::now() - killed, seconds(20));
  EXPECT_TRUE(Eventually([&] { return !IsAlive(before.holder); }));
  EXPECT_FALSE(IsMounted());
  EXPECT_THAT(ReadFile(log()), HasSubstr("no server has become ready within 5 s"));
}

// The socket of commands is the mount's, and waits with them.
TEST_F(HeldMountTest, CommandsWaitForTheNextServer) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  for (int generation = 2; generation <= 6; ++generation) {
    ASSERT_EQ(kill(Status().server, SIGKILL), 0);
    EXPECT_EQ(StatusJson()["serverGeneration"], generation);
  }
  NoteProcesses();
  EXPECT_EQ(Secretfs({"refresh", mount_point()}).exit_code, 0);
}

TEST_F(HeldMountTest, UnmountsWithAHungServer) {
  Put("a", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  const fs::HolderStatus before = Status();
  ASSERT_EQ(kill(before.server, SIGSTOP), 0);
  int error = 0;
  std::thread reader([&] { error = ReadError(mount_point() / "a"); });
  ExpectUnmountWithinBound();
  reader.join();
  EXPECT_NE(error, 0);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(before.server) && !IsAlive(before.holder); }));
}

TEST_F(HeldMountTest, UnmountsWithOpenFilesAndSomebodyInside) {
  Put("a", "value");
  Put("d/b", "value");
  ASSERT_NO_FATAL_FAILURE(MountDaemon({Url()}));
  const UniqueFd file(open((mount_point() / "a").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.valid());
  ChildProcess inside({"sh", "-c", "cd \"$0\" && echo there && read end", mount_point() / "d"},
                      {.environment = {}, .input = {}, .keep_input_open = true});
  ASSERT_TRUE(inside.WaitForLine("there", seconds(10)));
  ExpectUnmountWithinBound();
  inside.CloseInput();
  inside.Wait(seconds(5));
}

// A server of a store that accepts connections and never says anything.
class SilentStore {
 public:
  SilentStore() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(socket_.get(), 64) != 0 ||
        getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      abort();
    }
    port_ = ntohs(address.sin_port);
  }
  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  UniqueFd socket_;
  uint16_t port_ = 0;
};

class SilentStoreTest : public HeldMountTest {
 protected:
  void MountSilent() {
    const std::string manifest =
        WriteFile("secretfs.yaml", "stores:\n  team:\n    vault:\n      server: " + store_.Url() +
                                       "\n      path: secret\n      auth:\n        token:\n"
                                       "          env: VAULT_TOKEN\npolicy: {deadline: 60s}\n"
                                       "files:\n  - path: password\n    key: app/db\n"
                                       "    property: password\n");
    ASSERT_NO_FATAL_FAILURE(
        MountDaemon({"-f", manifest}, {.environment = {{"VAULT_TOKEN", "of the test"}}}));
  }

 private:
  SilentStore store_;
};

TEST_F(SilentStoreTest, UnmountsWhileTheStoreHangs) {
  ASSERT_NO_FATAL_FAILURE(MountSilent());
  int error = 0;
  std::thread reader([&] { error = ReadError(mount_point() / "password"); });
  EXPECT_TRUE(Eventually([&] { return !StatusJson()["inFlight"].empty(); }));
  ExpectUnmountWithinBound();
  reader.join();
  EXPECT_NE(error, 0);
}

TEST_F(SilentStoreTest, StatusShowsTheServerAndWhatItOwes) {
  ASSERT_NO_FATAL_FAILURE(MountSilent());
  const pid_t holder = Status().holder;
  nlohmann::json status = StatusJson();
  EXPECT_EQ(status["pid"], holder);
  EXPECT_EQ(status["serverGeneration"], 1);
  EXPECT_EQ(status["serverRestarts"], 0);
  EXPECT_EQ(status["inFlight"].size(), 0u);

  std::thread reader([&] { ReadError(mount_point() / "password"); });
  EXPECT_TRUE(Eventually([&] { return !StatusJson()["inFlight"].empty(); }));
  std::this_thread::sleep_for(milliseconds(300));
  status = StatusJson();
  ASSERT_EQ(status["inFlight"].size(), 1u);
  EXPECT_EQ(status["inFlight"][0]["operation"], "lookup");
  const uint64_t age = status["inFlight"][0]["ageMilliseconds"];
  EXPECT_GE(age, 300u);

  // The request goes over to the next server, and its age with it.
  const pid_t old = status["serverPid"];
  ASSERT_EQ(kill(old, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return Status().server_is_ready && Status().server != old; }));
  NoteProcesses();
  status = StatusJson();
  EXPECT_EQ(status["serverGeneration"], 2);
  EXPECT_EQ(status["serverRestarts"], 1);
  EXPECT_NE(status["serverPid"], old);
  EXPECT_TRUE(Eventually([&] {
    status = StatusJson();
    return status["inFlight"].size() == 1u;
  })) << status;
  if (status["inFlight"].size() == 1u) {
    EXPECT_GT(status["inFlight"][0]["ageMilliseconds"].get<uint64_t>(), age);
  }
  const Finished text = Secretfs({"status", mount_point()});
  EXPECT_THAT(text.output, HasSubstr("server 2 is process"));
  EXPECT_THAT(text.output, HasSubstr("restarted 1 time\n"));
  EXPECT_THAT(text.output, HasSubstr("1 request in flight, the oldest (lookup) for"));

  // And once more by an upgrade.
  const Finished upgraded = Secretfs({"upgrade", mount_point()});
  EXPECT_EQ(upgraded.exit_code, 0) << upgraded.errors;
  NoteProcesses();
  status = StatusJson();
  EXPECT_EQ(status["serverGeneration"], 3);
  EXPECT_EQ(status["serverRestarts"], 1);
  ExpectUnmountWithinBound();
  reader.join();
}

}  // namespace
}  // namespace secretfs::testing
