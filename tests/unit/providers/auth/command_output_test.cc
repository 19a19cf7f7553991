#include "providers/auth/command_output.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "base/io_thread.h"
#include "base/text.h"

namespace secretfs::providers {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class CommandOutput : public ::testing::Test {
 protected:
  CommandOutput() { io_.Start(); }
  ~CommandOutput() override { io_.Stop(); }

  std::future<absl::StatusOr<SecretBytes>> Start(Command command) {
    run_ = std::make_shared<CommandRun>(io_.context(), std::move(command));
    return asio::co_spawn(io_.context(), CommandRun::OutputOf(run_), asio::use_future);
  }
  absl::StatusOr<SecretBytes> Run(Command command) { return Start(std::move(command)).get(); }
  static Command Shell(const std::string& script) {
    Command command;
    command.words = {"sh", "-c", script};
    return command;
  }
  static std::string Text(const absl::StatusOr<SecretBytes>& output) {
    return output.ok() ? std::string(output->ExposeAsText()) : output.status().ToString();
  }
  // Whether any process has this text among its arguments.
  static bool Runs(const std::string& mark) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string words{std::istreambuf_iterator<char>(file), {}};
      if (words.find(mark) != std::string::npos) return true;
    }
    return false;
  }
  static bool Eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return true;
  }

  IoThread io_;
  std::shared_ptr<CommandRun> run_;
};

TEST_F(CommandOutput, IsWhatTheProgramPrints) {
  EXPECT_EQ(Text(Run(Shell("printf one; sleep 0.05; printf two"))), "onetwo");
  EXPECT_EQ(Text(Run(Shell(""))), "");
  EXPECT_EQ(Text(Run(Shell("head -c 300000 /dev/zero | tr '\\0' x"))), std::string(300000, 'x'));
  Command path;
  path.words = {"/bin/echo", "$HOME", "a b"};
  EXPECT_EQ(Text(Run(path)), "$HOME a b\n");
}

TEST_F(CommandOutput, GivesVariablesAnEmptyInputAndNoBlockedSignals) {
  setenv("SECRETFS_TEST_KEPT", "kept", 1);
  setenv("SECRETFS_TEST_REPLACED", "old", 1);
  Command command =
      Shell("cat; printf '%s %s' \"$SECRETFS_TEST_KEPT\" \"$SECRETFS_TEST_REPLACED\"");
  command.environment = {{"SECRETFS_TEST_REPLACED", "new"}};
  EXPECT_EQ(Text(Run(std::move(command))), "kept new");
  io_.RunAndWait([] {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  });
  EXPECT_THAT(Text(Run(Shell("grep SigBlk /proc/self/status"))), HasSubstr("0000000000000000"));
}

TEST_F(CommandOutput, FailuresSayHowItEnded) {
  const auto status = Run(Shell("echo planted; exit 7"));
  EXPECT_EQ(status.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.status().ToString(), HasSubstr("sh ended with status 7"));
  EXPECT_THAT(status.status().ToString(), Not(HasSubstr("planted")));
  EXPECT_THAT(Text(Run(Shell("kill -9 $$"))), HasSubstr("ended by signal 9"));
  Command missing;
  missing.words = {"no-such-program-anywhere"};
  const auto absent = Run(std::move(missing));
  EXPECT_EQ(absent.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(absent.status().ToString(), HasSubstr("no-such-program-anywhere cannot be started"));
}

TEST_F(CommandOutput, MoreOutputThanTheLimitEndsIt) {
  Command command = Shell("cat /dev/zero");
  command.output_limit = 1 << 16;
  EXPECT_EQ(Run(std::move(command)).status().code(), StatusCode::kOutOfRange);
}

TEST_F(CommandOutput, TooMuchTimeEndsItWithWhatItStarted) {
  Command command = Shell("sleep 98765.4321 & wait");
  command.limit = milliseconds(200);
  const auto result = Run(std::move(command));
  EXPECT_EQ(result.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Eventually([] { return !Runs("98765.4321"); }));
}

TEST_F(CommandOutput, EndEndsItAtOnceAndOutputIsCancelled) {
  auto output = Start(Shell("sleep 1000"));
  EXPECT_EQ(output.wait_for(milliseconds(100)), std::future_status::timeout);
  io_.RunAndWait([this] { run_->End(); });
  ASSERT_EQ(output.wait_for(seconds(10)), std::future_status::ready);
  EXPECT_EQ(output.get().status().code(), StatusCode::kCancelled);
}

TEST_F(CommandOutput, EndsWithTheContextThatItsReaderWaitedOn) {
  auto io = std::make_unique<IoThread>();
  io->Start();
  Command command;
  command.words = {"sleep", "98766.4321"};
  auto run = std::make_shared<CommandRun>(io->context(), std::move(command));
  asio::co_spawn(io->context(), CommandRun::OutputOf(run), asio::detached);
  run.reset();
  EXPECT_TRUE(Eventually([] { return Runs("98766.4321"); }));
  io.reset();
  EXPECT_FALSE(Runs("98766.4321"));
}

}  // namespace
}  // namespace secretfs::providers
