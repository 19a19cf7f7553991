#include "providers/local/store_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "tests/unit/providers/local/store_fixture.h"

namespace secretfs::providers::local {
namespace {

using ::testing::HasSubstr;

constexpr ScryptCost kCheap{.log2_n = 10, .r = 1, .p = 1};

std::string Hex(char fill) { return std::string(64, fill); }

bool Accept(const SecretBytes&) { return true; }

class StoreKeyTest : public StoreTest {
 protected:
  // The key found for a store with a key, or the error.
  absl::Status FindKey(LocalKeySource config, std::string* key = nullptr) {
    KeySource source(std::move(config));
    const absl::StatusOr<SecretBytes> found = source.Find(KeyParameters{}, Accept);
    if (found.ok() && key != nullptr) *key = std::string(found->ExposeAsText());
    return found.status();
  }
};

TEST_F(StoreKeyTest, ReadsRawAndHexadecimalKeys) {
  std::string key;
  WriteFile(key_path(), std::string(32, 'r'));
  ASSERT_TRUE(FindKey(KeyFileConfig(), &key).ok());
  EXPECT_EQ(key, std::string(32, 'r'));
  for (const std::string end : {"", "\n", "\r\n"}) {
    WriteFile(key_path(), "0aFF" + std::string(60, '1') + end);
    ASSERT_TRUE(FindKey(KeyFileConfig(), &key).ok());
    EXPECT_EQ(key, "\x0a\xff" + std::string(30, '\x11'));
  }
}

TEST_F(StoreKeyTest, RefusesWhatIsNoKey) {
  for (const std::string& content :
       {std::string(), std::string(31, 'r'), std::string(33, 'r'), Hex('1') + "1",
        Hex('1') + "\nrubbish\n", std::string(63, '1') + "g"}) {
    WriteFile(key_path(), content);
    const absl::Status status = FindKey(KeyFileConfig());
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << content;
    EXPECT_THAT(MessageOf(status), HasSubstr("openssl rand -hex 32"));
    EXPECT_THAT(MessageOf(status), HasSubstr(key_path()));
    if (content.size() > 8) {
      EXPECT_THAT(MessageOf(status), Not(HasSubstr(content.substr(0, 8))));
    }
  }
}

TEST_F(StoreKeyTest, RefusesALooseKeyFileAndSaysWhatToRun) {
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0777}) {
    WriteFile(key_path(), Hex('1'), mode);
    const absl::Status status = FindKey(KeyFileConfig());
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << mode;
    EXPECT_THAT(MessageOf(status), HasSubstr("chmod 600 " + key_path()));
  }
  for (const mode_t mode : {0600, 0400}) {
    WriteFile(key_path(), Hex('1'), 0600);
    ASSERT_EQ(chmod(key_path().c_str(), mode), 0);
    EXPECT_TRUE(FindKey(KeyFileConfig()).ok()) << mode;
    ASSERT_EQ(chmod(key_path().c_str(), 0600), 0);
  }
}

TEST_F(StoreKeyTest, RefusesAKeyFileOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  WriteFile(key_path(), Hex('1'));
  ASSERT_EQ(chown(key_path().c_str(), 12345, 12345), 0);
  const absl::Status status = FindKey(KeyFileConfig());
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(MessageOf(status), HasSubstr("12345"));
}

TEST_F(StoreKeyTest, AMissingKeyFileIsNoMissingSecret) {
  const absl::Status status = FindKey(KeyFileConfig());
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << MessageOf(status);
  EXPECT_THAT(MessageOf(status), HasSubstr(key_path()));
}

TEST_F(StoreKeyTest, TriesEachKeyOfAFileInOrder) {
  WriteFile(key_path(), Hex('1') + "\n" + Hex('2') + "\n");
  KeySource source(KeyFileConfig());
  std::vector<std::string> tried;
  const absl::StatusOr<SecretBytes> found =
      source.Find(KeyParameters{}, [&](const SecretBytes& key) {
        tried.emplace_back(key.ExposeAsText());
        return tried.size() == 2;
      });
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->ExposeAsText(), std::string(32, '\x22'));
  EXPECT_EQ(tried, (std::vector<std::string>{std::string(32, '\x11'), std::string(32, '\x22')}));
  const absl::StatusOr<SecretBytes> none =
      source.Find(KeyParameters{}, [](const SecretBytes&) { return false; });
  EXPECT_TRUE(absl::IsUnauthenticated(none.status()));
}

TEST_F(StoreKeyTest, ReadsASystemdCredential) {
  const LocalKeySource config = SystemdCredential("store-key");
  unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_THAT(MessageOf(FindKey(config)), HasSubstr("LoadCredential=store-key"));
  setenv("CREDENTIALS_DIRECTORY", folder_.c_str(), 1);
  EXPECT_TRUE(absl::IsUnauthenticated(FindKey(config)));
  WriteFile(Path("store-key"), Hex('3'), 0440);  // systemd's own access list shows as group bits
  std::string key;
  const absl::Status found = FindKey(config, &key);
  EXPECT_TRUE(found.ok()) << MessageOf(found);
  EXPECT_EQ(key, std::string(32, '\x33'));
  EXPECT_FALSE(FindKey(SystemdCredential("../store-key")).ok());
  unsetenv("CREDENTIALS_DIRECTORY");
}

// The expected key is from another implementation: Python's hashlib.scrypt(b"pleaseletmein",
// salt=bytes([7] * 32), n=16384, r=8, p=1, dklen=32).
TEST_F(StoreKeyTest, ScryptIsTheStandardOne) {
  KeyParameters parameters{
      .kind = KeyKind::kPassphrase, .scrypt_log2_n = 14, .scrypt_r = 8, .scrypt_p = 1};
  parameters.scrypt_salt.fill(std::byte{7});
  const absl::StatusOr<SecretBytes> key =
      DeriveFromPassphrase(SecretBytes::CopyOf("pleaseletmein"), parameters);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(FormatKeys({&*key}).ExposeAsText(),
            "d798f00a253b1ec5c0ac07e5efb4f595a5c0ea9e38ca7ea127e2a7515fdb09c2\n");
}

TEST_F(StoreKeyTest, TakesPassphrasesFromFileEnvironmentAndManifest) {
  WriteFile(Path("phrase"), "open sesame\n");
  setenv("SECRETFS_TEST_PHRASE", "open sesame", 1);
  KeySource by_file(PassphraseInFile(Path("phrase")));
  const absl::StatusOr<MasterKey> made = by_file.ForNewStore(kCheap);
  ASSERT_TRUE(made.ok()) << MessageOf(made.status());
  EXPECT_EQ(made->parameters.kind, KeyKind::kPassphrase);
  const auto same = [&made](const SecretBytes& key) { return key.ConstantTimeEquals(made->key); };
  LocalKeySource of_manifest;
  of_manifest.passphrase.inline_value =
      std::make_shared<const SecretBytes>(SecretBytes::CopyOf("open sesame"));
  for (const LocalKeySource& config :
       {PassphraseInFile(Path("phrase")), PassphraseInEnvironment("SECRETFS_TEST_PHRASE"),
        of_manifest}) {
    KeySource other(config);
    EXPECT_TRUE(other.Find(made->parameters, same).ok()) << other.Describe();
  }
  KeySource by_prompt({}, [] { return SecretBytes::CopyOf("open sesame"); });
  EXPECT_TRUE(by_prompt.Find(made->parameters, same).ok());
  KeySource wrong({}, [] { return SecretBytes::CopyOf("open sesam"); });
  const absl::StatusOr<SecretBytes> refused = wrong.Find(made->parameters, same);
  EXPECT_TRUE(absl::IsUnauthenticated(refused.status()));
  EXPECT_THAT(MessageOf(refused.status()), Not(HasSubstr("sesam")));
  unsetenv("SECRETFS_TEST_PHRASE");
  KeySource unset(PassphraseInEnvironment("SECRETFS_TEST_PHRASE"));
  EXPECT_TRUE(absl::IsUnauthenticated(unset.Find(made->parameters, same).status()));
}

TEST_F(StoreKeyTest, AskedOnlyOnceForTheSameStore) {
  int asked = 0;
  KeySource source({}, [&asked] {
    ++asked;
    return SecretBytes::CopyOf("open sesame");
  });
  const absl::StatusOr<MasterKey> made = source.ForNewStore(kCheap);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(source.Find(made->parameters, Accept).ok());
  EXPECT_EQ(asked, 1);
  KeyParameters other = made->parameters;  // the passphrase was changed: a new salt
  other.scrypt_salt[0] ^= std::byte{1};
  ASSERT_TRUE(source.Find(other, Accept).ok());
  EXPECT_EQ(asked, 2);
}

TEST_F(StoreKeyTest, RefusesALoosePassphraseFileAndAnEmptyOne) {
  WriteFile(Path("phrase"), "open sesame\n", 0644);
  KeySource loose(PassphraseInFile(Path("phrase")));
  EXPECT_TRUE(absl::IsPermissionDenied(loose.ForNewStore(kCheap).status()));
  WriteFile(Path("phrase"), "\n");
  KeySource empty(PassphraseInFile(Path("phrase")));
  EXPECT_TRUE(absl::IsUnauthenticated(empty.ForNewStore(kCheap).status()));
}

TEST_F(StoreKeyTest, SaysWhichKindOfKeyIsWanted) {
  KeySource key_file(KeyFileConfig());
  KeyParameters passphrase{
      .kind = KeyKind::kPassphrase, .scrypt_log2_n = 10, .scrypt_r = 1, .scrypt_p = 1};
  const absl::Status needs_passphrase = key_file.Find(passphrase, Accept).status();
  EXPECT_TRUE(absl::IsUnauthenticated(needs_passphrase));
  EXPECT_THAT(MessageOf(needs_passphrase), HasSubstr("closed with a passphrase"));
  KeySource prompt({}, [] { return SecretBytes::CopyOf("x"); });
  EXPECT_THAT(MessageOf(prompt.Find(KeyParameters{}, Accept).status()),
              HasSubstr("closed with a key"));
}

TEST_F(StoreKeyTest, CreatesAPrivateKeyFileOnce) {
  ASSERT_TRUE(CreateKeyFile(key_path()).ok());
  struct stat status{};
  ASSERT_EQ(stat(key_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  const std::string before = ReadFile(key_path());
  EXPECT_EQ(before.size(), 65u);
  EXPECT_TRUE(absl::IsAlreadyExists(CreateKeyFile(key_path())));
  EXPECT_EQ(ReadFile(key_path()), before);
  EXPECT_TRUE(FindKey(KeyFileConfig()).ok());
}

}  // namespace
}  // namespace secretfs::providers::local
