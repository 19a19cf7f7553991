// The parts of `secretfs run` that need no program: names of variables, reactions, the environment.

#include <gmock/gmock.h>
#include <signal.h>

#include "base/text.h"
#include "cli/run/environment_block.h"
#include "cli/run/reaction.h"
#include "cli/run/variables.h"

namespace secretfs::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> EntriesOf(const EnvironmentBlock& block) {
  std::vector<std::string> entries;
  for (char* const* entry = block.entries(); *entry != nullptr; ++entry) entries.push_back(*entry);
  return entries;
}

class VariablesTest : public ::testing::Test {
 protected:
  // Contacts no store: making values asks only for the names of expansions.
  ManifestValues Values(const std::string& files) {
    const auto manifest = k8s::ParseManifests(
        {{"m.yaml", "stores:\n  dev:\n    local:\n      path: /nowhere/s.sfs\n" + files}});
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    auto values = ManifestValues::Make(*manifest, runtime_);
    EXPECT_TRUE(values.ok()) << values.status();
    return *std::move(values);
  }
  Runtime runtime_;
};

constexpr char kTwoFiles[] =
    "files:\n  - path: db/password\n    key: app/db\n    property: pass\n"
    "  - path: token\n    key: app/token\n";

TEST_F(VariablesTest, EveryFileIsAVariableUnlessSomeAreNamed) {
  const auto all = MapVariables({}, Values(kTwoFiles));
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "DB_PASSWORD");
  EXPECT_EQ((*all)[0].value.key.ref.key, "app/db");
  EXPECT_EQ((*all)[0].value.selection.property, "pass");
  EXPECT_EQ((*all)[1].name, "TOKEN");

  const auto one = MapVariables({"PW=db/password"}, Values(kTwoFiles));
  ASSERT_TRUE(one.ok());
  ASSERT_EQ(one->size(), 1u);
  EXPECT_EQ((*one)[0].name, "PW");
}

TEST_F(VariablesTest, RefusesWhatIsNoMapping) {
  const ManifestValues values = Values(kTwoFiles);
  const auto error_of = [&](std::vector<std::string> flags) {
    return std::string(MessageOf(MapVariables(flags, values).status()));
  };
  EXPECT_THAT(error_of({"PW"}), HasSubstr("expected NAME=path"));
  EXPECT_THAT(error_of({"PW="}), HasSubstr("expected NAME=path"));
  EXPECT_THAT(error_of({"=token"}), HasSubstr("no name of a variable"));
  EXPECT_THAT(error_of({"1X=token"}), HasSubstr("'1X' is no name"));
  EXPECT_THAT(error_of({"A-B=token"}), HasSubstr("'A-B' is no name"));
  EXPECT_THAT(error_of({"PW=tokn"}), HasSubstr("did you mean 'token'"));
  EXPECT_THAT(error_of({"PW=token", "PW=db/password"}), HasSubstr("would both be"));
  EXPECT_TRUE(absl::IsNotFound(MapVariables({"PW=tokn"}, values).status()));
}

TEST_F(VariablesTest, TwoFilesWithOneNameAreRefused) {
  const auto mapped =
      MapVariables({}, Values("files:\n  - path: a.b\n    key: x\n  - path: a/b\n    key: y\n"));
  EXPECT_THAT(std::string(MessageOf(mapped.status())), HasSubstr("both be the variable A_B"));
}

TEST_F(VariablesTest, AFileOfABrowseTreeIsFoundByItsPath) {
  const ManifestValues values = Values("browse:\n  - path: tree\n    prefix: app\n");
  const auto found = MapVariables({"PW=tree/db/password"}, values);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)[0].value.key.ref.key, "app/db/password");
  EXPECT_THAT(std::string(MessageOf(MapVariables({}, values).status())), HasSubstr("no files"));
}

TEST(VariableNameTest, MadeFromPaths) {
  EXPECT_EQ(VariableNameOf("db/password"), "DB_PASSWORD");
  EXPECT_EQ(VariableNameOf("tls.key"), "TLS_KEY");
  EXPECT_EQ(VariableNameOf("9lives"), "_9LIVES");
  EXPECT_EQ(VariableNameOf("größe"), "GR____E");
}

TEST(ReactionTest, ReadsEveryForm) {
  EXPECT_EQ(ParseReaction("restart")->kind, Reaction::Kind::kRestart);
  EXPECT_EQ(ParseReaction("signal:HUP")->signal, SIGHUP);
  EXPECT_EQ(ParseReaction("signal:SIGUSR1")->signal, SIGUSR1);
  EXPECT_EQ(ParseReaction("signal:12")->signal, 12);
  const auto command = ParseReaction("exec:kill -HUP 1:2");
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->kind, Reaction::Kind::kCommand);
  EXPECT_EQ(command->command, "kill -HUP 1:2");
}

TEST(ReactionTest, RefusesTheRest) {
  for (const char* text : {"", "restrat", "signal", "signal:", "signal:NOPE", "signal:0",
                           "signal:-1", "signal:999", "exec:", "exec", "restart:now"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseReaction(text).status())) << text;
  }
  EXPECT_THAT(std::string(MessageOf(ParseReaction("restrat").status())),
              HasSubstr("did you mean 'restart'"));
}

TEST(EnvironmentBlockTest, SecretsTakeTheirPlaceAmongTheInherited) {
  char path[] = "PATH=/bin";
  char old[] = "PASSWORD=old";
  char longer[] = "PASSWORD_FILE=/x";
  char* inherited[] = {path, old, longer, nullptr};
  const SecretBytes value = SecretBytes::CopyOf("a=b c");
  auto block = EnvironmentBlock::Make(inherited, {{"PASSWORD", &value}});
  ASSERT_TRUE(block.ok());
  block->Add("SECRETFS_PID", "7");
  EXPECT_THAT(EntriesOf(*block),
              ElementsAre("PATH=/bin", "PASSWORD_FILE=/x", "PASSWORD=a=b c", "SECRETFS_PID=7"));
}

TEST(EnvironmentBlockTest, EmptyValuesAreVariablesToo) {
  char* inherited[] = {nullptr};
  const SecretBytes value;
  const auto block = EnvironmentBlock::Make(inherited, {{"EMPTY", &value}});
  ASSERT_TRUE(block.ok());
  EXPECT_THAT(EntriesOf(*block), ElementsAre("EMPTY="));
}

TEST(EnvironmentBlockTest, AValueWithNulIsRefusedByName) {
  char* inherited[] = {nullptr};
  const SecretBytes value = SecretBytes::CopyOf(std::string_view("planted\0x", 9));
  const auto block = EnvironmentBlock::Make(inherited, {{"BINARY", &value}});
  const std::string message(MessageOf(block.status()));
  EXPECT_THAT(message, HasSubstr("BINARY"));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("planted")));
}

}  // namespace
}  // namespace secretfs::cli
