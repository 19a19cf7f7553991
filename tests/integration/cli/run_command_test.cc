// `secretfs run`: programs here are small shell scripts that print what they see.

#include <fcntl.h>

#include <sstream>

#include "base/unique_fd.h"
#include "tests/integration/cli/cli_fixture.h"

namespace secretfs::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::chrono::seconds kRunPatience(10);

class RunCommandTest : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped()) return;
    Put("db/password", "first");
    Put("token", "tok");
    manifest_ = Manifest(
        "files:\n  - path: db/password\n    key: db/password\n  - path: token\n    key: token\n");
  }

  std::vector<std::string> RunScript(std::vector<std::string> flags, const std::string& script) {
    std::vector<std::string> command{SecretfsBinary(), "run", "-f", manifest_};
    command.insert(command.end(), flags.begin(), flags.end());
    command.insert(command.end(), {"--", "sh", "-c", script});
    return command;
  }

  std::string manifest_;
};

TEST_F(RunCommandTest, PutsValuesIntoTheProgramsEnvironment) {
  const Finished all = testing::Run(RunScript({}, "echo \"$DB_PASSWORD $TOKEN\""));
  EXPECT_EQ(all.exit_code, 0) << all.errors;
  EXPECT_EQ(all.output, "first tok\n");
  const Finished named =
      testing::Run(RunScript({"--env", "PW=db/password"}, "echo \"$PW<$TOKEN>\""));
  EXPECT_EQ(named.output, "first<>\n");
  const Finished two =
      testing::Run(RunScript({"--env", "A=db/password", "--env", "B=token"}, "echo \"$A $B\""));
  EXPECT_EQ(two.output, "first tok\n") << two.errors;
}

// Sockets to a store, say: libraries open some that survive exec.
TEST_F(RunCommandTest, TheProgramHasWhatOurCallerLeftAndNothingOfOurs) {
  const std::string script =
      "for fd in /proc/self/fd/*; do n=${fd##*/}; "
      "[ \"$n\" -gt 2 ] && [ -e \"/proc/$$/fd/$n\" ] && echo \"$n $(readlink /proc/$$/fd/$n)\"; "
      "done; true";
  const auto only_ours = [](const std::string& output) {
    std::string rest;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
      // What this test itself was started with is its caller's.
      const int flags = fcntl(std::stoi(line), F_GETFD);
      if (flags != -1 && (flags & FD_CLOEXEC) == 0) continue;
      if (line.find("socket") != std::string::npos || line.find("eventfd") != std::string::npos ||
          line.find("signalfd") != std::string::npos || line.find("/null") != std::string::npos) {
        rest += line + "\n";
      }
    }
    return rest;
  };
  const Finished run = testing::Run(RunScript({}, script));
  EXPECT_EQ(run.exit_code, 0) << run.errors;
  EXPECT_EQ(only_ours(run.output), "");
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd passed(fcntl(null.get(), F_DUPFD, 40));
  const Finished with_one = testing::Run(RunScript({}, script));
  EXPECT_THAT(with_one.output, HasSubstr(std::to_string(passed.get()) + " /dev/null"));
}

TEST_F(RunCommandTest, ArgumentsBehindTheDashesAreTheProgramsOwn) {
  const Finished run = testing::Run({SecretfsBinary(), "run", "-f", manifest_, "--", "echo",
                                     "--env", "-f", "--help", "--", "run"});
  EXPECT_EQ(run.output, "--env -f --help -- run\n");
}

TEST_F(RunCommandTest, ValuesAreInNoOtherEnvironmentOrArgument) {
  ChildProcess run(RunScript({}, "echo ready; sleep 30"));
  ASSERT_TRUE(run.WaitForLine("ready", kRunPatience)) << run.errors();
  const std::string self = "/proc/" + std::to_string(run.pid());
  const std::string seen = ReadFile(self + "/environ") + ReadFile(self + "/cmdline");
  EXPECT_THAT(seen, AllOf(HasSubstr("secretfs"), Not(HasSubstr("first"))));
  run.Signal(SIGTERM);
  run.Wait(kRunPatience);
}

TEST_F(RunCommandTest, PassesTheExitCodeThrough) {
  EXPECT_EQ(testing::Run(RunScript({}, "exit 7")).exit_code, 7);
  EXPECT_EQ(testing::Run(RunScript({}, "kill -KILL $$")).exit_code, 128 + SIGKILL);
  const Finished missing =
      testing::Run({SecretfsBinary(), "run", "-f", manifest_, "--", "/no/program"});
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_THAT(missing.errors, HasSubstr("/no/program"));
  const Finished no_program =
      testing::Run({SecretfsBinary(), "run", "-f", manifest_, "--", folder()});
  EXPECT_EQ(no_program.exit_code, 126);
}

TEST_F(RunCommandTest, PassesSignalsOn) {
  ChildProcess run(RunScript({},
                             "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo ready; "
                             "while :; do sleep 0.05; done"));
  ASSERT_TRUE(run.WaitForLine("ready", kRunPatience)) << run.errors();
  run.Signal(SIGUSR1);
  EXPECT_TRUE(run.WaitForLine("usr1", kRunPatience));
  run.Signal(SIGTERM);
  EXPECT_TRUE(run.WaitForLine("term", kRunPatience));
  EXPECT_EQ(run.Wait(kRunPatience), 9);
}

TEST_F(RunCommandTest, ReapsOrphansOnlyEndsWithTheProgram) {
  // The orphan ends before the program: its end must not be taken for the program's.
  const Finished run = testing::Run(RunScript({}, "(sh -c 'exit 3' &) ; sleep 0.3; exit 5"));
  EXPECT_EQ(run.exit_code, 5);
}

TEST_F(RunCommandTest, RefusesToStartWithoutAValueAndNamesIt) {
  const std::string manifest =
      Manifest("files:\n  - path: a\n    key: token\n  - path: b/c\n    key: nowhere\n");
  const Finished run =
      testing::Run({SecretfsBinary(), "run", "-f", manifest, "--", "sh", "-c", "echo started"});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_EQ(run.output, "");
  EXPECT_THAT(run.errors,
              AllOf(HasSubstr("B_C (b/c)"), HasSubstr("nowhere"), HasSubstr("was not started")));
}

TEST_F(RunCommandTest, RefusesAValueThatAnEnvironmentCannotHold) {
  Put("token", std::string("a\0b", 3));
  const Finished run = testing::Run(RunScript({}, "echo started"));
  EXPECT_NE(run.exit_code, 0);
  EXPECT_EQ(run.output, "");
  EXPECT_THAT(run.errors, AllOf(HasSubstr("TOKEN"), HasSubstr("NUL")));
}

TEST_F(RunCommandTest, RestartsWithTheNewValue) {
  ChildProcess run(RunScript({"--on-change", "restart"},
                             "trap 'echo stopping; exit 0' TERM; echo \"got $DB_PASSWORD\"; "
                             "while :; do sleep 0.05; done"));
  ASSERT_TRUE(run.WaitForLine("got first", kRunPatience)) << run.errors();
  Put("db/password", "second");
  EXPECT_TRUE(run.WaitForLine("stopping", kRunPatience));
  EXPECT_TRUE(run.WaitForLine("got second", kRunPatience));
  Put("db/password", "third");
  EXPECT_TRUE(run.WaitForLine("got third", kRunPatience));
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(kRunPatience), 0) << run.errors();
}

TEST_F(RunCommandTest, KillsAProgramThatDoesNotStop) {
  ChildProcess run(RunScript({"--on-change", "restart", "--stop-timeout", "200ms"},
                             "[ \"$DB_PASSWORD\" = first ] && trap '' TERM; "
                             "echo \"got $DB_PASSWORD\"; while :; do sleep 0.05; done"));
  ASSERT_TRUE(run.WaitForLine("got first", kRunPatience)) << run.errors();
  Put("db/password", "second");
  EXPECT_TRUE(run.WaitForLine("got second", kRunPatience));
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(kRunPatience), 128 + SIGTERM);
}

TEST_F(RunCommandTest, SendsASignalOnAChange) {
  ChildProcess run(RunScript({"--on-change", "signal:HUP"},
                             "trap 'echo reloading' HUP; echo ready; "
                             "while :; do sleep 0.05; done"));
  ASSERT_TRUE(run.WaitForLine("ready", kRunPatience)) << run.errors();
  Put("token", "tok2");
  EXPECT_TRUE(run.WaitForLine("reloading", kRunPatience)) << run.errors();
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(kRunPatience), 128 + SIGTERM);
}

TEST_F(RunCommandTest, RunsACommandWithTheNewValuesOnAChange) {
  const std::string out = folder() / "hook";
  ChildProcess run(RunScript({"--on-change", "exec:echo \"$TOKEN $SECRETFS_PID\" > " + out +
                                                 ".tmp; mv " + out + ".tmp " + out},
                             "echo $$; while :; do sleep 0.05; done"));
  const auto pid =
      run.WaitForLine([](const std::string& line) { return !line.empty(); }, kRunPatience);
  ASSERT_TRUE(pid.has_value()) << run.errors();
  Put("token", "tok2");
  EXPECT_TRUE(Eventually([&] { return ReadFile(out) == "tok2 " + *pid + "\n"; })) << run.errors();
  run.Signal(SIGTERM);
  run.Wait(kRunPatience);
}

TEST_F(RunCommandTest, AChangeOfNothingDoesNotRestart) {
  ChildProcess run(RunScript({"--on-change", "restart"},
                             "trap 'exit 0' TERM; echo \"got $DB_PASSWORD\"; "
                             "while :; do sleep 0.05; done"));
  ASSERT_TRUE(run.WaitForLine("got first", kRunPatience)) << run.errors();
  Put("db/password", "first");   // a new version with the same bytes
  Put("elsewhere", "x");         // not in the manifest
  Put("db/password", "second");  // the marker: what came before has been seen by now
  ASSERT_TRUE(run.WaitForLine("got second", kRunPatience));
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(kRunPatience), 0);
  EXPECT_EQ(run.output(), "got first\ngot second\n");
}

TEST_F(RunCommandTest, ASignalEndsItWhileTheStoreDoesNotAnswer) {
  const std::string manifest =
      WriteFile("vault.yaml",
                "stores:\n  team:\n    vault:\n      server: http://127.0.0.1:1\n      auth:\n"
                "        token:\n          file: " +
                    (folder() / "token").string() +
                    "\nfiles:\n  - path: a\n    key: secret/a\npolicy:\n  deadline: 10m\n");
  WriteFile("token", "t");
  ChildProcess run({SecretfsBinary(), "run", "-f", manifest, "--", "true"});
  // Its I/O thread is there, so signals are taken over and the fetch begins.
  const std::string tasks = "/proc/" + std::to_string(run.pid()) + "/task";
  ASSERT_TRUE(Eventually([&tasks] {
    std::error_code error;
    const std::filesystem::directory_iterator threads(tasks, error);
    return !error && std::distance(begin(threads), end(threads)) >= 3;
  }));
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(kRunPatience), 128 + SIGTERM) << run.errors();
}

TEST_F(RunCommandTest, WrongUseEndsWithTwo) {
  const auto expect = [&](std::vector<std::string> arguments, const std::string& part) {
    arguments.insert(arguments.begin(), "run");
    const Finished finished = Secretfs(arguments);
    EXPECT_EQ(finished.exit_code, 2) << finished.errors;
    EXPECT_THAT(finished.errors, HasSubstr(part));
  };
  expect({"-f", manifest_}, "behind '--'");
  expect({"-f", manifest_, "--"}, "behind '--'");
  expect({"--", "true"}, "--file");
  expect({"-f", manifest_, "--on-change", "restrat", "--", "true"}, "did you mean 'restart'");
  expect({"-f", manifest_, "--stop-timeout", "soon", "--", "true"}, "--stop-timeout 'soon'");
}

}  // namespace
}  // namespace secretfs::testing
