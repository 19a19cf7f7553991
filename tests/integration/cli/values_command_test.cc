// `secretfs get` and `secretfs check`.

#include "tests/integration/cli/cli_fixture.h"

namespace secretfs::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ValuesCommandTest : public CliTest {};

TEST_F(ValuesCommandTest, GetPrintsAValueByteForByte) {
  const std::string value("a\0b\n\xff", 5);
  Put("db/password", value);
  const Finished get = Secretfs({"get", Url() + "#db/password"});
  EXPECT_EQ(get.exit_code, 0) << get.errors;
  EXPECT_EQ(get.output, value);
}

TEST_F(ValuesCommandTest, GetReadsOlderVersionsAndTheDefaultStore) {
  Put("a", "one");
  Put("a", "two");
  EXPECT_EQ(Secretfs({"get", Url() + "#a?version=1"}).output, "one");
  const Finished by_default =
      Secretfs({"get", "local#a"}, {.environment = {{"SECRETFS_STORE", store()}}, .input = {}});
  EXPECT_EQ(by_default.output, "two") << by_default.errors;
}

TEST_F(ValuesCommandTest, GetReadsAFileOfAManifest) {
  Put("app", R"({"user":"u1"})");
  const std::string manifest = Manifest(
      "files:\n  - path: user\n    key: app\n    property: user\n"
      "browse:\n  - path: all\n");
  EXPECT_EQ(Secretfs({"get", "-f", manifest, "user"}).output, "u1");
  EXPECT_EQ(Secretfs({"get", "-f", manifest, "all/app"}).output, R"({"user":"u1"})");
  const Finished missing = Secretfs({"get", "-f", manifest, "usr"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_EQ(missing.errors, "secretfs: the manifest has no file 'usr'; did you mean 'user'?\n");
}

TEST_F(ValuesCommandTest, GetSaysWhatIsMissing) {
  Put("db/password", "planted-value");
  const Finished missing = Secretfs({"get", Url() + "#db/pasword"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_EQ(missing.output, "");
  EXPECT_THAT(missing.errors, HasSubstr("did you mean 'db/password'"));
  const Finished no_version = Secretfs({"get", Url() + "#db/password?version=9"});
  EXPECT_EQ(no_version.exit_code, 3);
  EXPECT_THAT(no_version.errors, AllOf(HasSubstr("version 9"), Not(HasSubstr("did you mean"))));
  EXPECT_EQ(Secretfs({"get", "local:/nowhere#a"}).exit_code, 3);
  EXPECT_EQ(Secretfs({"get", Url()}).exit_code, 2);
  EXPECT_EQ(Secretfs({"get"}).exit_code, 2);
}

TEST_F(ValuesCommandTest, GetRefusesATerminal) {
  Put("a", "planted-value");
  // script(1) gives the command a terminal for its stdout.
  const auto on_terminal = [this](const std::string& flags) {
    return testing::Run(
        {"script", "-qec", SecretfsBinary() + " get " + flags + " '" + Url() + "#a'", "/dev/null"});
  };
  const Finished refused = on_terminal("");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("--force"), Not(HasSubstr("planted"))));
  const Finished forced = on_terminal("--force");
  EXPECT_EQ(forced.exit_code, 0) << forced.output;
  EXPECT_THAT(forced.output, HasSubstr("planted-value"));
}

TEST_F(ValuesCommandTest, GetOfADamagedStoreEndsWithFive) {
  Put("a", "planted-value");
  std::string bytes = ReadFile(store());
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(store(), std::ios::binary) << bytes;
  const Finished get = Secretfs({"get", Url() + "#a"});
  EXPECT_EQ(get.exit_code, 5) << get.errors;
  EXPECT_EQ(get.output, "");
}

TEST_F(ValuesCommandTest, GetIsDeniedWithoutTheKey) {
  Put("a", "x");
  WriteFile("store.sfs.key", std::string(32, 'k'));
  const Finished get = Secretfs({"get", Url() + "#a"});
  EXPECT_EQ(get.exit_code, 4) << get.errors;
}

TEST_F(ValuesCommandTest, CheckAcceptsAGoodManifest) {
  const std::string manifest = Manifest("files:\n  - path: a\n    key: x\n");
  const Finished check = Secretfs({"check", "-f", manifest});
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_EQ(check.output, "ok: 1 stores, 1 files, 0 browse trees, 0 expansions\n");
  const Finished json = Secretfs({"check", "--json", "-f", manifest});
  EXPECT_EQ(nlohmann::json::parse(json.output),
            (nlohmann::json{{"ok", true},
                            {"problems", nlohmann::json::array()},
                            {"warnings", nlohmann::json::array()}}));
}

TEST_F(ValuesCommandTest, ManifestsMayReferToEachOther) {
  Put("app", "value");
  const std::string stores = Manifest("");
  const std::string files =
      WriteFile("files.yaml", "files:\n  - path: a\n    store: dev\n    key: app\n");
  const Finished check = Secretfs({"check", "-f", stores, "-f", files});
  EXPECT_EQ(check.exit_code, 0) << check.errors;
  EXPECT_EQ(Secretfs({"get", "-f", stores, "-f", files, "a"}).output, "value");
}

TEST_F(ValuesCommandTest, CheckPrintsEveryProblemWithItsPlace) {
  const std::string manifest = Manifest(
      "fils: []\n"
      "files:\n"
      "  - path: /abs\n"
      "    key: x\n"
      "  - path: ok\n"
      "    key: x\n"
      "    mode: rw\n");
  const Finished check = Secretfs({"check", "-f", manifest});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_EQ(check.output, "");
  EXPECT_THAT(check.errors, AllOf(HasSubstr(manifest + ":5:1: fils: unknown field"),
                                  HasSubstr("did you mean 'files'?\n"), HasSubstr(manifest + ":7:"),
                                  HasSubstr("'/abs' is absolute"), HasSubstr(manifest + ":11:")));
  const auto json =
      nlohmann::json::parse(Secretfs({"check", "--json", "-f", manifest}).output, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["problems"].size(), 3u);
  EXPECT_NE(Secretfs({"check", "-f", folder() / "none.yaml"}).exit_code, 0);
  EXPECT_EQ(Secretfs({"check"}).exit_code, 2);
}

TEST_F(ValuesCommandTest, CheckOnlineShowsTheStoresAnswerForEveryFile) {
  Put("app", R"({"user":"planted-user"})");
  const std::string manifest = Manifest(
      "files:\n  - path: user\n    key: app\n    property: user\n"
      "  - path: gone\n    key: nowhere\n"
      "  - path: field\n    key: app\n    property: none\n");
  const Finished check = Secretfs({"check", "--online", "--json", "-f", manifest});
  EXPECT_EQ(check.exit_code, 3) << check.errors;
  const auto json = nlohmann::json::parse(check.output, nullptr, false);
  ASSERT_TRUE(json.is_object()) << check.output;
  std::map<std::string, std::string> results;
  for (const auto& item : json["results"]) results[item["path"]] = item["result"];
  EXPECT_EQ(results, (std::map<std::string, std::string>{
                         {"", "ok"}, {"user", "ok"}, {"gone", "missing"}, {"field", "missing"}}));
  EXPECT_THAT(check.output, Not(HasSubstr("planted")));

  const Finished text = Secretfs({"check", "--online", "-f", manifest});
  EXPECT_EQ(text.exit_code, 3);
  EXPECT_THAT(text.output, AllOf(HasSubstr("FILE"), HasSubstr("RESULT"), HasSubstr("missing")));
}

TEST_F(ValuesCommandTest, CheckOnlineSaysDeniedWhenTheKeyDoesNotFit) {
  Put("a", "x");
  WriteFile("store.sfs.key", std::string(32, 'k'));
  const Finished check =
      Secretfs({"check", "--online", "-f", Manifest("files:\n  - path: a\n    key: a\n")});
  EXPECT_EQ(check.exit_code, 4) << check.output;
  EXPECT_THAT(check.output, HasSubstr("denied"));
}

}  // namespace
}  // namespace secretfs::testing
