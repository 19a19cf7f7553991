#include "cli/control/control_server.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "absl/synchronization/notification.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "cli/control/control_client.h"

namespace secretfs::cli {
namespace {

using ::testing::HasSubstr;
using Kind = ControlRequest::Kind;

constexpr std::chrono::seconds kPatience(10);

UniqueFd ConnectTo(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.Reset();
  return fd;
}

// Everything that comes until the other side closes.
std::string ReadToEnd(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

class ControlServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "secretfs-test.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    io_.Start();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ / "control.sock"; }
  absl::StatusOr<std::unique_ptr<ControlServer>> StartServer() {
    return ControlServer::Start(io_, path(),
                                [this](const ControlRequest& request) { return Answer(request); });
  }
  // Refreshes fail with the path in the message; everything else succeeds.
  ControlResponse Answer(const ControlRequest& request) {
    ControlResponse response;
    if (request.kind == Kind::kRefresh) response.status = absl::NotFoundError(request.path);
    return response;
  }

  std::filesystem::path folder_;
  IoThread io_;
};

TEST_F(ControlServerTest, AnswersSeveralRequestsOfOneConnection) {
  const auto server = StartServer();
  ASSERT_TRUE(server.ok()) << server.status();
  auto client = ControlClient::AtSocket(path());
  ASSERT_TRUE(client.ok()) << client.status();
  const auto first = client->Ask({Kind::kStatus, ""}, kPatience);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(first->status.ok());
  const auto second = client->Ask({Kind::kRefresh, "db/password"}, kPatience);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->status, absl::NotFoundError("db/password"));
}

TEST_F(ControlServerTest, ConnectionEndsWhenTheServerDoes) {
  auto server = StartServer();
  ASSERT_TRUE(server.ok());
  auto client = ControlClient::AtSocket(path());
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(client->Ask({Kind::kUnmount, ""}, kPatience).ok());
  (*server)->FinishRequests();
  const auto refused = client->Ask({Kind::kStatus, ""}, kPatience);
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_TRUE(absl::IsCancelled(refused->status));
  server->reset();
  EXPECT_TRUE(client->WaitForEnd(kPatience));
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(ControlServerTest, MalformedLinesGetAnErrorAndTheConnectionGoesOn) {
  const auto server = StartServer();
  ASSERT_TRUE(server.ok());
  const UniqueFd fd = ConnectTo(path());
  ASSERT_TRUE(fd.valid());
  const std::string lines = "nonsense\n" + EncodeRequest({Kind::kStatus, ""}) + "\n";
  ASSERT_EQ(write(fd.get(), lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
  shutdown(fd.get(), SHUT_WR);
  const std::string answers = ReadToEnd(fd.get());
  const size_t newline = answers.find('\n');
  ASSERT_NE(newline, std::string::npos);
  const auto first = DecodeResponse(answers.substr(0, newline));
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(first->status));
  const auto second = DecodeResponse(answers.substr(newline + 1));
  ASSERT_TRUE(second.ok()) << answers;
  EXPECT_TRUE(second->status.ok());
}

TEST_F(ControlServerTest, LinesThatAreTooLongEndTheConnection) {
  const auto server = StartServer();
  ASSERT_TRUE(server.ok());
  const UniqueFd fd = ConnectTo(path());
  ASSERT_TRUE(fd.valid());
  const std::string flood(2 * kLongestControlRequest, 'x');
  // The server may close before it has read all of it.
  EXPECT_GT(send(fd.get(), flood.data(), flood.size(), MSG_NOSIGNAL), 0);
  const auto answer = DecodeResponse(ReadToEnd(fd.get()));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(absl::IsInvalidArgument(answer->status));
  EXPECT_THAT(std::string(MessageOf(answer->status)), HasSubstr("longer than"));
}

TEST_F(ControlServerTest, ASlowRequestDoesNotHoldUpOthers) {
  absl::Notification arrived, release;
  const auto server = ControlServer::Start(io_, path(), [&](const ControlRequest& request) {
    if (request.kind == Kind::kRefresh) {
      arrived.Notify();
      release.WaitForNotification();
    }
    return ControlResponse{};
  });
  ASSERT_TRUE(server.ok());
  std::thread slow([this] {
    auto client = ControlClient::AtSocket(path());
    ASSERT_TRUE(client.ok());
    EXPECT_TRUE(client->Ask({Kind::kRefresh, ""}, kPatience).ok());
  });
  arrived.WaitForNotification();
  auto client = ControlClient::AtSocket(path());
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE(client->Ask({Kind::kStatus, ""}, kPatience).ok());
  release.Notify();
  slow.join();
}

TEST_F(ControlServerTest, ReplacesTheSocketOfADeadProcessButNotOfALivingOne) {
  {
    // Bound and closed without unlink: what a killed process leaves behind.
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path().data(), path().size());
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path()));
  const auto server = StartServer();
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(absl::IsAlreadyExists(StartServer().status()));
}

TEST_F(ControlServerTest, ClientRemovesTheSocketOfADeadProcess) {
  {
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path().data(), path().size());
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  EXPECT_TRUE(absl::IsNotFound(ControlClient::AtSocket(path()).status()));
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST(MayControlTest, OnlyTheSameUserAndRoot) {
  EXPECT_TRUE(MayControl(1000, 1000));
  EXPECT_TRUE(MayControl(0, 1000));
  EXPECT_FALSE(MayControl(1001, 1000));
  EXPECT_FALSE(MayControl(1000, 0));
}

// The directory keeps other users out; here it is open, so that the check behind it is what counts.
TEST_F(ControlServerTest, AnotherUserIsRefusedByItsCredentials) {
  if (geteuid() != 0) GTEST_SKIP() << "becoming another user takes root";
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  const auto server = StartServer();
  ASSERT_TRUE(server.ok());
  ASSERT_EQ(chmod(path().c_str(), 0777), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string request = EncodeRequest({Kind::kUnmount, ""}) + "\n";
  const std::string socket_path = path();
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    const UniqueFd fd = ConnectTo(socket_path);
    if (!fd.valid()) _exit(3);
    (void)!send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
    char buffer[4096];
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count > 0) (void)!write(ends[1], buffer, static_cast<size_t>(count));
    _exit(0);
  }
  close(ends[1]);
  const std::string answer = ReadToEnd(ends[0]);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  const auto response = DecodeResponse(answer);
  ASSERT_TRUE(response.ok()) << answer;
  EXPECT_TRUE(absl::IsPermissionDenied(response->status)) << response->status;
}

}  // namespace
}  // namespace secretfs::cli
