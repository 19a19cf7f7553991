// `secretfs store …` as a person or a script uses it: the real program, its output and exit codes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/local/terminal_session.h"
#include "tests/integration/support/child_process.h"
#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StoreCommandTest : public ::testing::Test {
 protected:
  StoreCommandTest() {
    std::string pattern = std::filesystem::canonical(std::filesystem::temp_directory_path()) /
                          "secretfs-store-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    store_ = folder_ + "/sub/store.sfs";
    for (const char* name :
         {"SECRETFS_KEY_FILE", "SECRETFS_PASSPHRASE_FILE", "SECRETFS_PASSPHRASE"}) {
      unsetenv(name);
    }
    setenv("SECRETFS_STORE", store_.c_str(), 1);
  }
  ~StoreCommandTest() override {
    unsetenv("SECRETFS_STORE");
    std::filesystem::remove_all(folder_);
  }

  static std::vector<std::string> Command(std::vector<std::string> arguments) {
    std::vector<std::string> command{SecretfsBinary(), "store"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }
  static Finished Store(std::vector<std::string> arguments, std::string input = "") {
    return testing::Run(Command(std::move(arguments)),
                        {.environment = {}, .input = std::move(input), .without_terminal = true});
  }
  void Init() { ASSERT_EQ(Store({"init"}).exit_code, 0); }
  static void Put(const std::string& name, const std::string& value) {
    const Finished put = Store({"put", name}, value);
    ASSERT_EQ(put.exit_code, 0) << put.errors;
  }
  std::string WriteFile(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  static std::string Content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_, store_;
};

TEST_F(StoreCommandTest, FromNothingToAValue) {
  const Finished init = Store({"init"});
  EXPECT_EQ(init.exit_code, 0) << init.errors;
  EXPECT_THAT(init.output, HasSubstr(store_ + ".key"));
  struct stat status{};
  ASSERT_EQ(stat((store_ + ".key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(stat((folder_ + "/sub").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  Put("db/password", "first\n");
  Put("db/password", "second");
  EXPECT_EQ(Store({"get", "db/password"}).output, "second");
  EXPECT_EQ(Store({"get", "db/password", "--version", "1"}).output, "first\n")
      << "nothing is stripped";
  EXPECT_EQ(Store({"init"}).exit_code, 1);
  EXPECT_EQ(Store({"get", "db/password"}).output, "second");
}

TEST_F(StoreCommandTest, ExitCodesSayWhatHappened) {
  EXPECT_EQ(Store({"list"}).exit_code, 1) << "no store";
  Init();
  Put("a", "value");
  EXPECT_EQ(Store({"get", "b"}).exit_code, 3);
  EXPECT_EQ(Store({"get", "a", "--version", "7"}).exit_code, 3);
  EXPECT_EQ(Store({"history", "b"}).exit_code, 3);
  EXPECT_EQ(Store({"rm", "b"}).exit_code, 3);
  EXPECT_EQ(Store({"list", "b"}).exit_code, 3);
  EXPECT_EQ(Store({"get"}).exit_code, 2);
  EXPECT_EQ(Store({"put", "../a"}, "x").exit_code, 2);
  EXPECT_EQ(Store({"list", "--key-file", "x", "--passphrase-file", "y"}).exit_code, 2);
  EXPECT_THAT(Store({"get", "aa"}).errors, HasSubstr("did you mean 'a'?"));
  ASSERT_EQ(chmod((store_ + ".key").c_str(), 0640), 0);
  const Finished loose = Store({"get", "a"});
  EXPECT_EQ(loose.exit_code, 4);
  EXPECT_EQ(loose.output, "");
  EXPECT_THAT(loose.errors, HasSubstr("chmod 600 " + store_ + ".key"));
  ASSERT_EQ(chmod((store_ + ".key").c_str(), 0600), 0);
  const std::string other = WriteFile("other.key", std::string(64, '1'));
  EXPECT_EQ(Store({"get", "a", "--key-file", other}).exit_code, 4);
  EXPECT_EQ(Store({"get", "a"}).exit_code, 0);
}

TEST_F(StoreCommandTest, DamageIsNamedAndHasItsExitCode) {
  Init();
  Put("a", "value of a");
  Put("b", "value of b");
  const std::string whole = Content(store_);
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    WriteFile("sub/store.sfs", damaged);
    const Finished list = Store({"list"});
    EXPECT_EQ(list.exit_code, 5) << "byte " << i;
    EXPECT_THAT(list.errors, HasSubstr("damaged")) << "byte " << i;
    const Finished get = Store({"get", "a"});
    if (get.exit_code == 0) {
      EXPECT_EQ(get.output, "value of a");
      EXPECT_THAT(get.errors, HasSubstr("record 2 of 2 is damaged: b, version 1"));
    } else {
      EXPECT_EQ(get.exit_code, 5);
      EXPECT_EQ(get.output, "");
    }
  }
  std::string damaged = whole;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  WriteFile("sub/store.sfs", damaged);
  EXPECT_EQ(Store({"put", "c"}, "x").exit_code, 5);
  EXPECT_EQ(Store({"rm", "b"}).exit_code, 0);
  EXPECT_EQ(Store({"put", "c"}, "x").exit_code, 0);
  EXPECT_EQ(Store({"list"}).output, "a\nc\n");
}

TEST_F(StoreCommandTest, AValueOnTheCommandLineIsRefusedAndNotRepeated) {
  Init();
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"put", "a", "geheim"},
                                                    {"put", "a", "--value=geheim"},
                                                    {"put", "a", "--value", "geheim"},
                                                    {"put", "a", "--geheim=geheim"}}) {
    const Finished put = Store(arguments, "from stdin");
    EXPECT_EQ(put.exit_code, 2);
    EXPECT_THAT(put.output + put.errors, Not(HasSubstr("=geheim")));
    if (arguments[2] != "--geheim=geheim") {
      EXPECT_THAT(put.output + put.errors, Not(HasSubstr("geheim")));
      EXPECT_THAT(put.errors, HasSubstr("| secretfs store put"));
    }
  }
  EXPECT_EQ(Store({"list"}).output, "");
}

TEST_F(StoreCommandTest, PutTakesFilesAndTrimsOnlyWhenAsked) {
  Init();
  const std::string file = WriteFile("value", std::string("\0bin\xff\n\n", 7));
  EXPECT_EQ(Store({"put", "a", "--file", file}).exit_code, 0);
  EXPECT_EQ(Store({"get", "a"}).output, std::string("\0bin\xff\n\n", 7));
  EXPECT_EQ(Store({"put", "a", "--trim-newline"}, "x\n\n").exit_code, 0);
  EXPECT_EQ(Store({"get", "a"}).output, "x\n");
  EXPECT_EQ(Store({"put", "a", "--file", folder_ + "/missing"}).exit_code, 1);
  EXPECT_EQ(Store({"put", "a"}).exit_code, 1) << "an empty value is refused";
  EXPECT_EQ(Store({"put", "a", "--allow-empty"}).exit_code, 0);
  EXPECT_EQ(Store({"get", "a"}).output, "");
}

TEST_F(StoreCommandTest, PrintsJsonOfEverythingButValues) {
  Init();
  Put("db/password", "geheim");
  Put("db/password", "geheim2");
  const auto list = nlohmann::json::parse(Store({"list", "--json"}).output);
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["name"], "db/password");
  EXPECT_EQ(list[0]["version"], 2);
  EXPECT_EQ(list[0]["versions"], 2);
  EXPECT_EQ(list[0]["bytes"], 7);
  const auto history = nlohmann::json::parse(Store({"history", "db/password", "--json"}).output);
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0]["version"], 2);
  EXPECT_THAT(history[1]["created"].get<std::string>(), ::testing::MatchesRegex("20.*T.*Z"));
  EXPECT_THAT(history.dump() + list.dump(), Not(HasSubstr("geheim")));
  const auto value = nlohmann::json::parse(Store({"get", "db/password", "--json"}).output);
  EXPECT_EQ(value["value"], "geheim2");
  EXPECT_THAT(Store({"list", "--long"}).output, HasSubstr("VERSION"));
}

TEST_F(StoreCommandTest, ImportIsAllOrNothing) {
  Init();
  Put("a", "old");
  const std::string before = Content(store_);
  const std::string bad = WriteFile("bad.json", R"({"a": "new", "b": "new", "c": ["no"]})");
  const Finished refused = Store({"import", bad});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors, HasSubstr("member c"));
  const std::string bad_name = WriteFile("name.json", R"({"a": "new", "x/../y": "new"})");
  EXPECT_EQ(Store({"import", bad_name}).exit_code, 1);
  EXPECT_EQ(Content(store_), before);
  const std::string good = WriteFile("good.json", R"({"a": "new", "b": {"base64": "AP8="}})");
  EXPECT_THAT(Store({"import", good}).output, HasSubstr("1 new, 1 changed, 0 unchanged"));
  EXPECT_EQ(Store({"get", "b"}).output, std::string("\0\xff", 2));
  const auto again = nlohmann::json::parse(Store({"import", good, "--json"}).output);
  EXPECT_EQ(again["unchanged"], 2);
}

TEST_F(StoreCommandTest, ImportsDotenvAndFolders) {
  Init();
  const std::string dotenv = WriteFile(".env",
                                       "# comment\n\nexport A=plain # comment\nB='it is $HOME'\n"
                                       "C=\"two\nlines \\\"q\\\" \\n\"\nD=\nE=a#b\n");
  EXPECT_EQ(Store({"import", dotenv, "--prefix", "app"}).exit_code, 0);
  EXPECT_EQ(Store({"get", "app/A"}).output, "plain");
  EXPECT_EQ(Store({"get", "app/B"}).output, "it is $HOME");
  EXPECT_EQ(Store({"get", "app/C"}).output, "two\nlines \"q\" \n");
  EXPECT_EQ(Store({"get", "app/D"}).output, "");
  EXPECT_EQ(Store({"get", "app/E"}).output, "a#b");
  const Finished broken = Store({"import", "-", "--format", "dotenv"}, "A=1\nB=\"geheim\n\n");
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.errors, HasSubstr("stdin: line 2"));
  EXPECT_THAT(broken.errors, Not(HasSubstr("geheim")));

  std::filesystem::create_directories(folder_ + "/tree/..2026/inner");
  std::filesystem::create_directories(folder_ + "/tree/tls");
  WriteFile("tree/tls/key", "KEY");
  WriteFile("tree/..2026/token", "TOKEN");
  std::filesystem::create_symlink("..2026/token", folder_ + "/tree/token");
  EXPECT_EQ(Store({"import", folder_ + "/tree"}).exit_code, 0);
  EXPECT_EQ(Store({"get", "tls/key"}).output, "KEY");
  EXPECT_EQ(Store({"get", "token"}).output, "TOKEN");
  EXPECT_THAT(Store({"list"}).output, Not(HasSubstr("2026")));
}

TEST_F(StoreCommandTest, ExportsWhatImportReads) {
  Init();
  Put("db/password", "geheim \"quoted\"\n");
  Put("binary", std::string("\0\xff\xfe", 3));
  const std::string out = folder_ + "/out";
  EXPECT_EQ(Store({"export", out}).exit_code, 0);
  EXPECT_EQ(Content(out + "/binary"), std::string("\0\xff\xfe", 3));
  struct stat status{};
  ASSERT_EQ(stat((out + "/db/password").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(Store({"export", out}).exit_code, 1) << "not into a folder with files";
  const std::string json = Store({"export", "--json"}).output;
  const std::string copy = folder_ + "/copy.sfs";
  ASSERT_EQ(Store({"init", "--store", copy}).exit_code, 0);
  EXPECT_EQ(Store({"import", "--store", copy, "-"}, json).exit_code, 0);
  EXPECT_EQ(Store({"export", "--store", copy, "--json"}).output, json);
  Put("db", "both");
  const Finished clash = Store({"export", folder_ + "/out2"});
  EXPECT_EQ(clash.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/out2"));
  EXPECT_EQ(Store({"export"}).exit_code, 2);
}

TEST_F(StoreCommandTest, RemovesSecretsVersionsAndWhatIsBelow) {
  Init();
  for (const char* name : {"a", "b/c", "b/d", "bb"}) Put(name, "1");
  Put("a", "2");
  EXPECT_EQ(Store({"rm", "a", "--version", "2"}).exit_code, 0);
  EXPECT_EQ(Store({"get", "a"}).output, "1");
  EXPECT_EQ(Store({"rm", "bb", "nothing"}).exit_code, 3);
  EXPECT_EQ(Store({"get", "bb"}).exit_code, 0) << "all or nothing";
  EXPECT_EQ(Store({"rm", "b"}).exit_code, 3);
  EXPECT_EQ(Store({"rm", "--recursive", "--yes", "b", "a"}).exit_code, 0);
  EXPECT_EQ(Store({"list"}).output, "bb\n");
}

TEST_F(StoreCommandTest, AnEmptyNameIsNotEverything) {
  Init();
  for (const char* name : {"a", "b/c", "d"}) Put(name, "1");
  for (const char* name : {"", "/", "b/", "//", "."}) {
    for (const char* command : {"rm", "restore", "purge"}) {
      const Finished refused = Store({command, "--recursive", name});
      EXPECT_EQ(refused.exit_code, 2) << command << " " << name;
      EXPECT_THAT(refused.errors, HasSubstr("the secret's name")) << name;
    }
    EXPECT_EQ(Store({"rm", "--recursive", "--yes", name}).exit_code, 2) << name;
  }
  EXPECT_EQ(Store({"list"}).output, "a\nb/c\nd\n");
  EXPECT_EQ(Store({"list", ""}).exit_code, 2);
  EXPECT_EQ(Store({"export", "--json", "--prefix", ""}).exit_code, 2);
  const Finished everything = Store({"export", "--prefix", "/", folder_ + "/out"});
  EXPECT_EQ(everything.exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/out"));
}

TEST_F(StoreCommandTest, WhereNobodyCanBeAskedManySecretsNeedYes) {
  Init();
  for (const char* name : {"a/b", "a/c", "d"}) Put(name, "1");
  for (const std::vector<std::string>& many :
       {std::vector<std::string>{"rm", "-r", "a"}, {"rm", "a/b", "d"}}) {
    const Finished refused = Store(many, "y\n");
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, HasSubstr("--yes"));
    EXPECT_THAT(refused.errors, HasSubstr("2 secrets"));
  }
  EXPECT_EQ(Store({"list"}).output, "a/b\na/c\nd\n");
  const Finished one = Store({"rm", "d"});
  EXPECT_EQ(one.exit_code, 0) << one.errors;
  EXPECT_THAT(one.output, HasSubstr("removed: d\n"));
  const Finished many = Store({"rm", "-r", "--yes", "a"});
  EXPECT_THAT(many.output, HasSubstr("removed: a/b\nremoved: a/c\n"));
  EXPECT_EQ(Store({"purge", "d"}).exit_code, 2) << "that is for good, so it must be said";
  EXPECT_EQ(Store({"restore", "d"}).exit_code, 0);
}

TEST_F(StoreCommandTest, WhatWasRemovedComesBackUntilItIsPurged) {
  Init();
  Put("a", "one");
  Put("a", "two");
  Put("b/c", "planted-value");
  EXPECT_EQ(Store({"rm", "-r", "--yes", "a", "b"}).exit_code, 0);
  EXPECT_EQ(Store({"list"}).output, "");
  EXPECT_EQ(Store({"export", "--json"}).output, "{}\n");
  const Finished get = Store({"get", "a"});
  EXPECT_EQ(get.exit_code, 3);
  EXPECT_THAT(get.errors, HasSubstr("secretfs store restore a"));
  const auto removed = nlohmann::json::parse(Store({"list", "--removed", "--json"}).output);
  ASSERT_EQ(removed.size(), 2u);
  EXPECT_EQ(removed[0]["name"], "a");
  EXPECT_EQ(removed[0]["versions"].size(), 2u);
  EXPECT_LT(removed[0]["removed"], removed[0]["keptUntil"]);
  EXPECT_EQ(Store({"restore", "-r", "b"}).output, "restored: b/c (1 version)\n");
  EXPECT_EQ(Store({"get", "b/c"}).output, "planted-value");
  Put("a", "three");
  EXPECT_THAT(Store({"restore", "a"}).output, HasSubstr("version 3 stays the newest"));
  EXPECT_EQ(Store({"get", "a"}).output, "three");
  EXPECT_EQ(Store({"get", "a", "--version", "1"}).output, "one");
  EXPECT_EQ(Store({"restore", "a"}).exit_code, 3);

  EXPECT_EQ(Store({"rm", "a"}).exit_code, 0);
  EXPECT_EQ(Store({"purge"}).exit_code, 2);
  EXPECT_EQ(Store({"purge", "--all", "--older-than", "1h", "--yes"}).exit_code, 2);
  EXPECT_EQ(Store({"purge", "--older-than", "soon", "--yes"}).exit_code, 2);
  EXPECT_THAT(Store({"purge", "--older-than", "1h", "--yes"}).output, HasSubstr("0 versions"));
  EXPECT_THAT(Store({"purge", "a", "--yes"}).output, HasSubstr("3 versions"));
  EXPECT_EQ(Store({"restore", "a"}).exit_code, 3);
  EXPECT_EQ(Store({"rm", "b/c"}).exit_code, 0);
  EXPECT_THAT(Store({"purge", "--all", "--yes"}).output, HasSubstr("1 version."));
  EXPECT_THAT(Store({"list", "--removed"}).output, Not(HasSubstr("b/c")));
}

TEST_F(StoreCommandTest, PutSaysWhatItDrops) {
  ASSERT_EQ(Store({"init", "--versions", "1"}).exit_code, 0);
  EXPECT_EQ(Store({"put", "a"}, "1").output, "a: version 1\n");
  EXPECT_THAT(Store({"put", "a"}, "2").output, HasSubstr("the oldest version is dropped"));
}

TEST_F(StoreCommandTest, RekeysBetweenAllKindsOfKeys) {
  Init();
  Put("a", "value");
  const std::string old_key = Content(store_ + ".key");
  EXPECT_EQ(Store({"rekey"}).exit_code, 0);
  EXPECT_NE(Content(store_ + ".key"), old_key);
  EXPECT_EQ(Store({"get", "a"}).output, "value");
  const std::string phrase = WriteFile("phrase", "open sesame\n");
  EXPECT_EQ(Store({"rekey", "--new-passphrase-file", phrase}).exit_code, 0);
  EXPECT_EQ(Store({"get", "a"}).exit_code, 4);
  EXPECT_EQ(Store({"get", "a", "--passphrase-file", phrase}).output, "value");
  EXPECT_EQ(Store({"get", "a", "--passphrase-file", WriteFile("wrong", "open simsim")}).exit_code,
            4);
  const Finished by_environment = testing::Run(
      Command({"get", "a"}), {.environment = {{"SECRETFS_PASSPHRASE_FILE", phrase}}, .input = {}});
  EXPECT_EQ(by_environment.output, "value");
  const std::string other = folder_ + "/other.key";
  EXPECT_EQ(Store({"rekey", "--passphrase-file", phrase, "--new-key-file", other}).exit_code, 0);
  EXPECT_EQ(Store({"get", "a", "--key-file", other}).output, "value");
  EXPECT_EQ(Store({"rekey", "--key-file", other}).exit_code, 2) << "others may use that key";
  EXPECT_EQ(Store({"rekey", "--key-file", other, "--new-key-file", other}).exit_code, 0);
  EXPECT_EQ(Store({"get", "a", "--key-file", other}).output, "value");
  EXPECT_EQ(Content(other).size(), 130u) << "the old key stays beside the new one";
  WriteFile("credential", std::string(64, 'c'));
  const std::map<std::string, std::string> systemd{{"CREDENTIALS_DIRECTORY", folder_}};
  EXPECT_EQ(testing::Run(
                Command({"rekey", "--key-file", other, "--new-systemd-credential", "credential"}),
                {.environment = systemd, .input = {}})
                .exit_code,
            0);
  EXPECT_EQ(testing::Run(Command({"get", "a", "--systemd-credential", "credential"}),
                         {.environment = systemd, .input = {}})
                .output,
            "value");
}

// The report: rekey of one store locked another one for ever.
TEST_F(StoreCommandTest, ANewKeyLocksNoOtherStoreOut) {
  Init();
  Put("a", "value");
  const std::string key_file = store_ + ".key";
  const std::string second = folder_ + "/sub/b.sfs";
  ASSERT_EQ(Store({"init", "--store", second, "--key-file", key_file}).exit_code, 0);
  const std::vector<std::string> list_second{"list", "--store", second, "--key-file", key_file};
  const Finished rekey = Store({"rekey"});
  EXPECT_EQ(rekey.exit_code, 0) << rekey.errors;
  EXPECT_THAT(rekey.errors, HasSubstr("also opens " + second));
  EXPECT_EQ(Store({"get", "a"}).output, "value");
  EXPECT_EQ(Store(list_second).exit_code, 0);

  EXPECT_EQ(Store({"rekey", "--drop-old-keys"}).exit_code, 2) << "nobody said yes";
  const Finished needed = Store({"rekey", "--drop-old-keys", "--yes"});
  EXPECT_EQ(needed.exit_code, 1);
  EXPECT_THAT(needed.errors, HasSubstr(second));
  EXPECT_EQ(Store(list_second).exit_code, 0);
  EXPECT_EQ(
      Store({"rekey", "--store", second, "--key-file", key_file, "--new-key-file", second + ".key"})
          .exit_code,
      0);
  EXPECT_EQ(Store({"rekey", "--drop-old-keys", "--yes"}).output, "Dropped 1 old key.\n");
  EXPECT_EQ(Content(key_file).size(), 65u);
  EXPECT_EQ(Store({"get", "a"}).output, "value");
  EXPECT_EQ(Store({"list", "--store", second}).exit_code, 0);
}

TEST_F(StoreCommandTest, AKeyFileThatIsThereIsNeverOverwritten) {
  Init();
  const std::string existing = WriteFile("other.key", std::string(64, '1') + "\n");
  const Finished rekey = Store({"rekey", "--new-key-file", existing});
  EXPECT_EQ(rekey.exit_code, 0) << rekey.errors;
  EXPECT_THAT(rekey.output, HasSubstr("has held already"));
  EXPECT_EQ(Content(existing), std::string(64, '1') + "\n");
  EXPECT_EQ(Store({"list", "--key-file", existing}).exit_code, 0);
  const std::string same = WriteFile("same.key", std::string(64, '1') + "\n");
  EXPECT_EQ(Store({"rekey", "--key-file", existing, "--new-key-file", same}).exit_code, 1);
  EXPECT_EQ(Content(same), std::string(64, '1') + "\n");
}

TEST_F(StoreCommandTest, OnATerminalValuesAreNotShown) {
  Init();
  TerminalSession put(Command({"put", "a"}));
  ASSERT_TRUE(put.WaitFor("Value of a")) << put.screen();
  put.Type("typed value\n");
  EXPECT_EQ(put.Wait(), 0) << put.screen();
  EXPECT_THAT(put.screen(), Not(HasSubstr("typed value")));
  EXPECT_EQ(Store({"get", "a"}).output, "typed value");

  TerminalSession get(Command({"get", "a"}));
  EXPECT_EQ(get.Wait(), 2);
  EXPECT_THAT(get.screen(), Not(HasSubstr("typed value")));
  EXPECT_THAT(get.screen(), HasSubstr("--force"));
  TerminalSession forced(Command({"get", "a", "--force"}));
  EXPECT_EQ(forced.Wait(), 0);
  EXPECT_THAT(forced.screen(), HasSubstr("typed value"));
  TerminalSession exported(Command({"export", "--json"}));
  EXPECT_EQ(exported.Wait(), 2);
  EXPECT_THAT(exported.screen(), Not(HasSubstr("typed value")));
}

TEST_F(StoreCommandTest, OnATerminalRmAsks) {
  Init();
  Put("a", "1");
  TerminalSession no(Command({"rm", "a"}));
  ASSERT_TRUE(no.WaitFor("[y/N]")) << no.screen();
  no.Type("\n");
  EXPECT_EQ(no.Wait(), 1);
  EXPECT_EQ(Store({"get", "a"}).exit_code, 0);
  TerminalSession yes(Command({"rm", "a"}));
  ASSERT_TRUE(yes.WaitFor("[y/N]"));
  yes.Type("y\n");
  EXPECT_EQ(yes.Wait(), 0);
  EXPECT_EQ(Store({"get", "a"}).exit_code, 3);
}

TEST_F(StoreCommandTest, APasteIsStoredWhole) {
  Init();
  std::string pem = "-----BEGIN X-----\n";
  for (int i = 0; i < 200; ++i) pem += std::string(64, static_cast<char>('A' + i % 26)) + "\n";
  pem += "-----END X-----\n";
  const std::string line(6000, 'x');
  struct Case {
    std::string name, typed, stored;
  };
  for (const Case& one :
       std::vector<Case>{{"pem", pem + "\n", pem},
                         {"marked", "\x1b[200~" + pem + "\x1b[201~\n", pem},
                         {"no-end", "\x1b[200~a\nb\x1b[201~\n\n", "a\nb\n"},
                         {"line", line + "\n", line},
                         {"line-with-end", "\x1b[200~" + line + "\n\x1b[201~\n", line},
                         {"erased",
                          "ab\x7f\xc3\xa4\x7f"
                          "c\n",
                          "ac"},
                         {"line-erased",
                          "abc\x15"
                          "d\n",
                          "d"},
                         {"control-d", "a\nb\x04", "a\nb\n"}}) {
    TerminalSession put(Command({"put", one.name}));
    ASSERT_TRUE(put.WaitFor("(not shown): ")) << put.screen();
    put.Type(one.typed);
    EXPECT_EQ(put.Wait(), 0) << one.name << ": " << put.screen();
    EXPECT_EQ(Store({"get", one.name}).output, one.stored) << one.name;
    EXPECT_THAT(put.screen(), Not(HasSubstr("AAAA")));
    EXPECT_THAT(put.screen(), Not(HasSubstr("xxxx")));
  }
}

TEST_F(StoreCommandTest, AStoppedPromptIsHiddenAgain) {
  Init();
  TerminalSession shell({"bash", "--norc", "--noprofile", "-i"});
  shell.Type("PS1='ready> '\n");
  ASSERT_TRUE(shell.WaitFor("\nready> ") || shell.WaitFor("ready> "));
  shell.Type(SecretfsBinary() + " store put a\n");
  ASSERT_TRUE(shell.WaitFor("(not shown): ")) << shell.screen();
  shell.Type("planted-half");
  shell.Type("\x1a");
  ASSERT_TRUE(shell.WaitFor("Stopped")) << shell.screen();
  const size_t before = shell.screen().size();
  shell.Type("fg\n");
  ASSERT_TRUE(shell.WaitFor("(not shown): ", before)) << shell.screen();
  shell.Type("planted-whole\n");
  ASSERT_TRUE(shell.WaitFor("a: version 1")) << shell.screen();
  EXPECT_THAT(shell.screen(), Not(HasSubstr("planted")));
  EXPECT_EQ(Store({"get", "a"}).output, "planted-whole");
  // Interrupted: the shell's terminal is as it was.
  const size_t end = shell.screen().size();
  shell.Type(SecretfsBinary() + " store put b\n");
  ASSERT_TRUE(shell.WaitFor("Value of b (not shown): ", end)) << shell.screen();
  const size_t prompt = shell.screen().size();
  shell.Type("\x03");
  ASSERT_TRUE(shell.WaitFor("ready> ", prompt)) << shell.screen();
  shell.Type("stty -a | tr ';' '\\n'; exit\n");
  EXPECT_TRUE(shell.Wait().has_value());
  EXPECT_THAT(shell.screen().substr(end), HasSubstr(" icanon"));
  EXPECT_THAT(shell.screen().substr(end), HasSubstr(" echo "));
}

// Who redirects the errors is still there to be asked.
TEST_F(StoreCommandTest, RmAsksAtTheTerminalWhereverItsOutputGoes) {
  Init();
  Put("a", "1");
  Put("b", "1");
  const std::string command =
      SecretfsBinary() + " store rm a b >" + folder_ + "/out 2>&1 </dev/null";
  TerminalSession no({"sh", "-c", command});
  ASSERT_TRUE(no.WaitFor("[y/N]")) << no.screen();
  no.Type("n\n");
  EXPECT_EQ(no.Wait(), 1);
  EXPECT_EQ(Store({"list"}).output, "a\nb\n");
}

TEST_F(StoreCommandTest, OnATerminalPassphrasesAreAskedFor) {
  TerminalSession differ(Command({"init", "--passphrase"}));
  ASSERT_TRUE(differ.WaitFor("New passphrase: ")) << differ.screen();
  differ.Type("one\n");
  ASSERT_TRUE(differ.WaitFor("again: "));
  differ.Type("two\n");
  EXPECT_EQ(differ.Wait(), 1);
  EXPECT_FALSE(std::filesystem::exists(store_));

  TerminalSession init(Command({"init", "--passphrase"}));
  ASSERT_TRUE(init.WaitFor("New passphrase: "));
  init.Type("open sesame\n");
  ASSERT_TRUE(init.WaitFor("again: "));
  init.Type("open sesame\n");
  EXPECT_EQ(init.Wait(), 0) << init.screen();
  EXPECT_FALSE(std::filesystem::exists(store_ + ".key"));
  EXPECT_THAT(init.screen(), Not(HasSubstr("sesame")));

  TerminalSession list(Command({"list"}));
  ASSERT_TRUE(list.WaitFor("Passphrase: ")) << list.screen();
  list.Type("open sesame\n");
  EXPECT_EQ(list.Wait(), 0) << list.screen();
  TerminalSession wrong(Command({"list"}));
  ASSERT_TRUE(wrong.WaitFor("Passphrase: "));
  wrong.Type("open simsim\n");
  EXPECT_EQ(wrong.Wait(), 4);
}

TEST_F(StoreCommandTest, EveryCommandHasHelpWithAnExample) {
  for (const char* command : {"init", "put", "get", "list", "rm", "restore", "purge", "history",
                              "rekey", "import", "export"}) {
    const Finished help = Store({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.output, HasSubstr("Example")) << command;
    EXPECT_THAT(help.output, HasSubstr(std::string("secretfs store ") + command)) << command;
    EXPECT_THAT(help.output, HasSubstr("Exit codes: 0")) << command;
    EXPECT_THAT(help.output, HasSubstr("--store")) << command;
  }
}

}  // namespace
}  // namespace secretfs::testing
