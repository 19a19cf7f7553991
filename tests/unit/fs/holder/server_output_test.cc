// What of a server's output becomes lines of the holder's log.

#include "fs/holder/server_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

namespace secretfs::fs {
namespace {

class ServerOutputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2], log[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ASSERT_EQ(pipe2(log, O_CLOEXEC | O_NONBLOCK), 0);
    output_ = std::make_unique<ServerOutput>(UniqueFd(ends[0]));
    server_ = UniqueFd(ends[1]);
    log_ = UniqueFd(log[0]);
    stderr_before_ = UniqueFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    dup2(log[1], STDERR_FILENO);
    close(log[1]);
  }
  void TearDown() override { dup2(stderr_before_.get(), STDERR_FILENO); }

  void Say(const std::string& text) {
    ASSERT_EQ(write(server_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string Logged() const {
    std::string text;
    char buffer[65536];
    ssize_t count;
    while ((count = read(log_.get(), buffer, sizeof(buffer))) > 0) {
      text.append(buffer, static_cast<size_t>(count));
    }
    return text;
  }

  std::unique_ptr<ServerOutput> output_;
  UniqueFd server_, log_, stderr_before_;
};

TEST_F(ServerOutputTest, WholeLines) {
  Say("one\ntw");
  EXPECT_TRUE(output_->PassOn());
  EXPECT_EQ(Logged(), "one\n");
  Say("o\n");
  EXPECT_TRUE(output_->PassOn());
  EXPECT_EQ(Logged(), "two\n");
}

TEST_F(ServerOutputTest, LastWords) {
  Say("one\nthe end");
  server_.Reset();
  EXPECT_FALSE(output_->PassOn());
  EXPECT_EQ(Logged(), "one\nthe end\n");
}

// A child of the server's may still have the pipe.
TEST_F(ServerOutputTest, LastWordsWhileThePipeIsOpen) {
  Say("one\nthe end");
  output_->PassOnRest();
  EXPECT_EQ(Logged(), "one\nthe end\n");
}

TEST_F(ServerOutputTest, SteersNoTerminal) {
  Say("\x1b]0;title\a\tumlaut \xc3\xa4\r\x7f\n");
  EXPECT_TRUE(output_->PassOn());
  EXPECT_EQ(Logged(), "?]0;title?\tumlaut \xc3\xa4??\n");
}

TEST_F(ServerOutputTest, LinesWithoutEnd) {
  Say(std::string(40'000, 'x'));
  EXPECT_TRUE(output_->PassOn());
  const std::string logged = Logged();
  EXPECT_GE(logged.size(), 32'000u);
  EXPECT_EQ(logged.back(), '\n');
}

// A stopped terminal.
TEST_F(ServerOutputTest, NobodyTakesTheLog) {
  const std::string line = std::string(4095, 'x') + "\n";
  for (int i = 0; i < 40; ++i) {
    Say(line);
    EXPECT_TRUE(output_->PassOn());
  }
  EXPECT_LE(Logged().size(), size_t{64} << 10);
  Say("afterwards\n");
  EXPECT_TRUE(output_->PassOn());
  EXPECT_EQ(Logged(), "afterwards\n");
}

}  // namespace
}  // namespace secretfs::fs
