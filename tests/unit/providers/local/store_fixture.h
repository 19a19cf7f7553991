#pragma once

// What the local store's tests share: a folder that is removed again, and shorthands around
// LocalStore that make each test read as a table of facts. Not thread-safe.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "providers/local/local_store.h"
#include "tests/fakes/manual_clock.h"

namespace secretfs::providers::local {

inline LocalKeySource KeyFile(std::string path) {
  LocalKeySource source;
  source.key_file = std::move(path);
  return source;
}
inline LocalKeySource SystemdCredential(std::string name) {
  LocalKeySource source;
  source.systemd_credential = std::move(name);
  return source;
}
inline LocalKeySource PassphraseInFile(std::string path) {
  LocalKeySource source;
  source.passphrase.file = std::move(path);
  return source;
}
inline LocalKeySource PassphraseInEnvironment(std::string name) {
  LocalKeySource source;
  source.passphrase.environment = std::move(name);
  return source;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string pattern = std::filesystem::canonical(std::filesystem::temp_directory_path()) /
                          "secretfs-local-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~StoreTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(std::string_view name) const { return folder_ + "/" + std::string(name); }
  std::string store_path() const { return Path("store.sfs"); }
  std::string key_path() const { return Path("store.sfs.key"); }

  void WriteFile(const std::string& path, std::string_view content, mode_t mode = 0600) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  LocalKeySource KeyFileConfig() const { return KeyFile(key_path()); }

  // A store with a key file and nothing in it.
  void Init(uint32_t versions = 10) {
    ASSERT_TRUE(CreateKeyFile(key_path()).ok());
    KeySource source(KeyFileConfig());
    const absl::StatusOr<MasterKey> key = source.ForNewStore();
    ASSERT_TRUE(key.ok()) << MessageOf(key.status());
    const absl::Status created = LocalStore::Create(store_path(), *key, versions);
    ASSERT_TRUE(created.ok()) << MessageOf(created);
  }

  LocalStore Store() { return Store(KeyFileConfig()); }
  LocalStore Store(LocalKeySource key) {
    return LocalStore(store_path(), KeySource(std::move(key)), clock_);
  }

  void Put(std::string_view name, std::string_view value) {
    const absl::Status put = Store().Update([&](StoreTransaction& transaction) {
      return transaction.Put(name, SecretBytes::CopyOf(value));
    });
    ASSERT_TRUE(put.ok()) << MessageOf(put);
  }
  absl::Status Remove(std::string_view name) {
    return Store().Update([&](StoreTransaction& transaction) { return transaction.Remove(name); });
  }
  absl::Status Purge(std::string_view name) {
    return Store().Update(
        [&](StoreTransaction& transaction) { return transaction.Purge(name).status(); });
  }
  // The numbers of the versions that came back.
  absl::StatusOr<std::vector<uint64_t>> Restore(std::string_view name) {
    std::vector<uint64_t> versions;
    const absl::Status restored = Store().Update([&](StoreTransaction& transaction) {
      absl::StatusOr<std::vector<uint64_t>> back = transaction.Restore(name);
      if (back.ok()) versions = *back;
      return back.status();
    });
    if (!restored.ok()) return restored;
    return versions;
  }

  // The value, or the error's text in angle brackets.
  static std::string ValueIn(const StoreSnapshot& snapshot, std::string_view name,
                             std::string_view version = "") {
    const SecretEntry* entry = snapshot.Find(name);
    if (entry == nullptr) return "<no secret>";
    const VersionEntry* selected = SelectVersion(*entry, version);
    if (selected == nullptr) return "<no version>";
    const absl::StatusOr<SecretBytes> value = snapshot.ReadValue(name, *selected);
    if (!value.ok()) return Format("<{}>", MessageOf(value.status()));
    return std::string(value->ExposeAsText());
  }
  std::string Get(std::string_view name, std::string_view version = "") {
    const absl::StatusOr<SnapshotPtr> snapshot = Store().Read();
    if (!snapshot.ok()) return Format("<{}>", MessageOf(snapshot.status()));
    return ValueIn(**snapshot, name, version);
  }

  std::vector<std::string> FolderContent() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  fakes::ManualClock clock_;
  std::string folder_;
};

}  // namespace secretfs::providers::local
