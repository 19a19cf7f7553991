// Help, version and exit codes of every command.

#include <gmock/gmock.h>

#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

std::vector<std::vector<std::string>> EveryCommand() {
  std::vector<std::vector<std::string>> commands{{}};
  for (const char* name :
       {"mount", "umount", "status", "refresh", "get", "check", "run", "store"}) {
    commands.push_back({name});
  }
  for (const char* name :
       {"init", "put", "get", "list", "rm", "history", "rekey", "import", "export"}) {
    commands.push_back({"store", name});
  }
  return commands;
}

TEST(HelpTest, EveryCommandHasAnExampleAndExitCodes) {
  for (const std::vector<std::string>& command : EveryCommand()) {
    std::vector<std::string> line{SecretfsBinary()};
    line.insert(line.end(), command.begin(), command.end());
    line.push_back("--help");
    const Finished help = testing::Run(line);
    const std::string name = ::testing::PrintToString(command);
    std::string usage = "\nUsage: secretfs";
    for (const std::string& word : command) usage += " " + word;
    EXPECT_EQ(help.exit_code, 0) << name;
    EXPECT_EQ(help.errors, "") << name;
    EXPECT_THAT(help.output, AllOf(HasSubstr(usage + " ["), HasSubstr("Example:\n  "),
                                   HasSubstr("Exit codes: 0 done"), Not(HasSubstr("\033"))))
        << name;
  }
}

TEST(HelpTest, DataCommandsOfferJson) {
  for (const char* name : {"status", "check"}) {
    EXPECT_THAT(testing::Run({SecretfsBinary(), name, "--help"}).output, HasSubstr("--json"))
        << name;
  }
}

TEST(HelpTest, VersionIsOneLine) {
  const Finished version = testing::Run({SecretfsBinary(), "--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.output, MatchesRegex("secretfs [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace secretfs::testing
