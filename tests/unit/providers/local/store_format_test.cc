#include "providers/local/store_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace secretfs::providers::local {
namespace {

using ::testing::HasSubstr;

std::string TextOf(const absl::Status& status) { return std::string(MessageOf(status)); }

SecretBytes MasterKeyOf(char fill) { return SecretBytes::CopyOf(std::string(kKeyBytes, fill)); }

RecordCipher CipherFor(const StoreHeader& header, const SecretBytes& master_key) {
  return *RecordCipher::Make(*FileKeyFor(header, master_key));
}

StoreHeader ExampleHeader() {
  StoreHeader header;
  header.key.kind = KeyKind::kPassphrase;
  header.key.scrypt_log2_n = 15;
  header.key.scrypt_r = 8;
  header.key.scrypt_p = 2;
  header.key.scrypt_salt.fill(std::byte{7});
  header.store_id.fill(std::byte{3});
  header.generation = 0x0102030405060708;
  header.file_salt.fill(std::byte{9});
  header.record_count = 5;
  header.index_bytes = 80;
  header.record_bytes = 400;
  return header;
}

StoreIndex ExampleIndex() {
  StoreIndex index;
  index.maximum_versions = 3;
  index.secrets["a"] = {
      .next_number = 4,
      .versions = {{.number = 1, .mark = 11, .size = 0}, {.number = 3, .mark = 13, .size = 64}}};
  index.secrets["a/b"] = {
      .next_number = 2,
      .versions = {{.number = 1, .mark = 21, .created_nanoseconds = -5, .size = 100}}};
  return index;
}

TEST(StoreHeader, RoundTrips) {
  const StoreHeader header = ExampleHeader();
  RecordCipher cipher = CipherFor(header, MasterKeyOf('k'));
  const auto bytes = *EncodeHeader(header, cipher);
  const absl::StatusOr<StoreHeader> decoded = DecodeHeader(bytes);
  ASSERT_TRUE(decoded.ok()) << TextOf(decoded.status());
  EXPECT_EQ(decoded->key, header.key);
  EXPECT_EQ(decoded->store_id, header.store_id);
  EXPECT_EQ(decoded->generation, header.generation);
  EXPECT_EQ(decoded->file_salt, header.file_salt);
  EXPECT_EQ(decoded->record_count, header.record_count);
  EXPECT_EQ(decoded->index_bytes, header.index_bytes);
  EXPECT_EQ(decoded->record_bytes, header.record_bytes);
  EXPECT_TRUE(HeaderIsAuthentic(bytes, cipher));
}

TEST(StoreHeader, HasTheLayoutThatTheDocumentShows) {
  RecordCipher cipher = CipherFor(ExampleHeader(), MasterKeyOf('k'));
  const auto bytes = *EncodeHeader(ExampleHeader(), cipher);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_EQ(text.size(), 180u);
  EXPECT_EQ(text.substr(0, 8), "SECRETFS");
  EXPECT_EQ(text.substr(8, 4), std::string("\x01\x00\xb4\x00", 4));
  EXPECT_EQ(text.substr(12, 12),
            std::string("\x02\x0f\x00\x00\x08\x00\x00\x00\x02\x00\x00\x00", 12));
  EXPECT_EQ(text.substr(24, 32), std::string(32, '\x07'));
  EXPECT_EQ(text.substr(56, 16), std::string(16, '\x03'));
  EXPECT_EQ(text.substr(72, 8), "\x08\x07\x06\x05\x04\x03\x02\x01");
  EXPECT_EQ(text.substr(80, 32), std::string(32, '\x09'));
  EXPECT_EQ(text.substr(112, 4), std::string("\x05\x00\x00\x00", 4));
  EXPECT_EQ(text.substr(116, 8), std::string("\x50\x00\x00\x00\x00\x00\x00\x00", 8));
  EXPECT_EQ(text.substr(124, 8), std::string("\x90\x01\x00\x00\x00\x00\x00\x00", 8));
}

TEST(StoreHeader, TellsAWrongKeyFromDamage) {
  const StoreHeader header = ExampleHeader();
  RecordCipher cipher = CipherFor(header, MasterKeyOf('k'));
  auto bytes = *EncodeHeader(header, cipher);
  RecordCipher other = CipherFor(header, MasterKeyOf('x'));
  EXPECT_FALSE(HeaderIsAuthentic(bytes, other));
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= std::byte{0x40};
    const absl::StatusOr<StoreHeader> decoded = DecodeHeader(bytes);
    EXPECT_TRUE(absl::IsDataLoss(decoded.status())) << "byte " << i;
    EXPECT_THAT(TextOf(decoded.status()), HasSubstr("the header is damaged")) << "byte " << i;
    bytes[i] ^= std::byte{0x40};
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeHeader(std::span(bytes).first(size)).status())) << size;
  }
}

// Somebody who may write the file can compute the digest, but not the tag.
TEST(StoreHeader, AlterationOnPurposeIsNotAuthentic) {
  const StoreHeader header = ExampleHeader();
  RecordCipher cipher = CipherFor(header, MasterKeyOf('k'));
  auto bytes = *EncodeHeader(header, cipher);
  bytes[112] ^= std::byte{1};  // the number of records
  const Digest digest = *Sha256(std::span(bytes).first(148));
  std::copy(digest.begin(), digest.end(), bytes.begin() + 148);
  ASSERT_TRUE(DecodeHeader(bytes).ok());
  EXPECT_FALSE(HeaderIsAuthentic(bytes, cipher));
}

TEST(StoreHeader, RefusesAScryptCostThatWouldHurt) {
  KeyParameters parameters = ExampleHeader().key;
  EXPECT_TRUE(CheckKeyParameters(parameters).ok());
  parameters.scrypt_log2_n = 40;
  EXPECT_FALSE(CheckKeyParameters(parameters).ok());
  parameters = ExampleHeader().key;
  parameters.scrypt_r = 1 << 20;
  EXPECT_FALSE(CheckKeyParameters(parameters).ok());
  parameters = ExampleHeader().key;
  parameters.scrypt_p = 0;
  EXPECT_FALSE(CheckKeyParameters(parameters).ok());
}

TEST(StoreIndex, RoundTripsAndPlacesTheValues) {
  const StoreIndex index = ExampleIndex();
  EXPECT_EQ(index.format(), 1);
  const SecretBytes bytes = EncodeIndex(index);
  const absl::StatusOr<StoreIndex> decoded = DecodeIndex(bytes.bytes(), 1);
  ASSERT_TRUE(decoded.ok()) << TextOf(decoded.status());
  EXPECT_EQ(decoded->maximum_versions, 3u);
  ASSERT_EQ(decoded->secrets.size(), 2u);
  const SecretEntry& a = decoded->secrets.at("a");
  EXPECT_EQ(a.next_number, 4u);
  ASSERT_EQ(a.versions.size(), 2u);
  EXPECT_EQ(a.versions[1].number, 3u);
  EXPECT_EQ(a.versions[1].mark, 13u);
  EXPECT_EQ(a.versions[1].record, 1u);
  EXPECT_EQ(a.versions[1].offset, 16u);  // after an empty value: nothing but its tag
  const VersionEntry& b = decoded->secrets.at("a/b").versions[0];
  EXPECT_EQ(b.record, 2u);
  EXPECT_EQ(b.offset, 16u + 64 + 16);
  EXPECT_EQ(b.created_nanoseconds, -5);
  EXPECT_EQ(b.size, 100u);
  EXPECT_EQ(decoded->record_count(), 3u);
}

TEST(StoreIndex, RefusesEveryCutAndWhatFollows) {
  const SecretBytes bytes = EncodeIndex(ExampleIndex());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeIndex(bytes.bytes().first(size), 1).status())) << size;
  }
  std::string longer(bytes.ExposeAsText());
  longer.append(kPaddingBytes - 1, '\0');
  EXPECT_TRUE(DecodeIndex(std::as_bytes(std::span(longer)), 1).ok());
  longer.push_back('\0');
  EXPECT_FALSE(DecodeIndex(std::as_bytes(std::span(longer)), 1).ok());
  longer.pop_back();
  longer.back() = 'x';
  EXPECT_FALSE(DecodeIndex(std::as_bytes(std::span(longer)), 1).ok());
}

StoreIndex IndexWithRemovals() {
  StoreIndex index = ExampleIndex();
  index.removed["a"] = {
      .next_number = 4,
      .versions = {{.version = {.number = 2, .mark = 12, .size = 70}, .removed_nanoseconds = 77}}};
  index.removed["gone"] = {
      .next_number = 3,
      .versions = {{.version = {.number = 1, .mark = 31, .size = 1}, .removed_nanoseconds = 5},
                   {.version = {.number = 2, .mark = 32, .size = 2}, .removed_nanoseconds = 6}}};
  KeyMark mark;
  mark.fill(std::byte{9});
  index.replaced_keys.push_back(mark);
  return index;
}

TEST(StoreIndex, OfFormat2KeepsWhatWasRemovedBehindTheSecrets) {
  const StoreIndex index = IndexWithRemovals();
  EXPECT_EQ(index.format(), 2);
  const SecretBytes bytes = EncodeIndex(index);
  const absl::StatusOr<StoreIndex> decoded = DecodeIndex(bytes.bytes(), 2);
  ASSERT_TRUE(decoded.ok()) << TextOf(decoded.status());
  EXPECT_EQ(decoded->secrets.size(), 2u) << "what was removed is no secret";
  ASSERT_EQ(decoded->removed.size(), 2u);
  const RemovedVersion& removed = decoded->removed.at("a").versions.at(0);
  EXPECT_EQ(removed.version.number, 2u);
  EXPECT_EQ(removed.version.mark, 12u);
  EXPECT_EQ(removed.removed_nanoseconds, 77);
  EXPECT_EQ(removed.version.record, 3u);
  EXPECT_EQ(removed.version.offset, 16u + 80 + 144);
  EXPECT_EQ(decoded->removed.at("gone").next_number, 3u);
  EXPECT_EQ(decoded->replaced_keys, index.replaced_keys);
  EXPECT_EQ(decoded->record_count(), 6u);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeIndex(bytes.bytes().first(size), 2).status())) << size;
  }
  EXPECT_FALSE(DecodeIndex(bytes.bytes(), 1).ok());
  EXPECT_FALSE(DecodeIndex(EncodeIndex(ExampleIndex()).bytes(), 2).ok());
}

TEST(StoreIndex, OfFormat2RefusesWhatAWriterNeverMakes) {
  const auto is_refused = [](auto change) {
    StoreIndex index = IndexWithRemovals();
    change(index);
    return absl::IsDataLoss(DecodeIndex(EncodeIndex(index).bytes(), 2).status());
  };
  EXPECT_FALSE(is_refused([](StoreIndex&) {}));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.removed["a"].versions.clear(); }));
  EXPECT_TRUE(
      is_refused([](StoreIndex& index) { index.removed["a"].versions[0].version.number = 3; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.removed["a"].next_number = 5; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.removed["gone"].next_number = 2; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.removed["/"] = index.removed["a"]; }));
  EXPECT_TRUE(
      is_refused([](StoreIndex& index) { index.replaced_keys.resize(kMaximumReplacedKeys + 1); }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) {
    index.removed.clear();
    index.replaced_keys.clear();
  }));
}

TEST(StoreIndex, RefusesWhatAWriterNeverMakes) {
  const auto is_refused = [](auto change) {
    StoreIndex index = ExampleIndex();
    change(index);
    return absl::IsDataLoss(DecodeIndex(EncodeIndex(index).bytes(), 1).status());
  };
  EXPECT_FALSE(is_refused([](StoreIndex&) {}));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.maximum_versions = 0; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.secrets["a"].versions.clear(); }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.secrets["a"].next_number = 3; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.secrets["a"].versions[1].number = 1; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.secrets["a"].versions[0].number = 0; }));
  EXPECT_TRUE(is_refused(
      [](StoreIndex& index) { index.secrets["a"].versions[0].size = kMaximumValueBytes + 1; }));
  EXPECT_TRUE(is_refused([](StoreIndex& index) { index.secrets["../a"] = index.secrets["a"]; }));
}

TEST(SecretName, IsAPathWithoutTricks) {
  for (const std::string name :
       {"a", "db/password", ".hidden", "a b", "ä/\xff\x01", "a=b", "..a"}) {
    EXPECT_TRUE(CheckSecretName(name).ok()) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"), std::string("."),
        std::string("a/../b"), std::string("a/."), std::string("a\0b", 3), std::string(256, 'x'),
        std::string(600, 'a') + "/" + std::string(600, 'b')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckSecretName(name))) << name;
  }
  EXPECT_TRUE(CheckSecretName(std::string(255, 'x')).ok());
}

TEST(RecordCipher, OpensOnlyWhatWasSealedInThatPlace) {
  RecordCipher cipher = CipherFor(ExampleHeader(), MasterKeyOf('k'));
  const std::string plaintext = "attack at dawn";
  const auto bytes = std::as_bytes(std::span(plaintext));
  const Digest digest{};
  const RecordId id{RecordKind::kValue, 7};
  std::vector<std::byte> sealed(SealedSize(bytes.size()));
  ASSERT_EQ(sealed.size(), 64u + 16);
  ASSERT_TRUE(
      cipher.Seal(id, BoundTo(digest, id, sealed.size()), bytes, PaddingFor(bytes.size()), sealed)
          .ok());
  std::vector<std::byte> opened(64);
  ASSERT_TRUE(cipher.Open(id, BoundTo(digest, id, sealed.size()), sealed, opened));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(opened.data()), 64),
            plaintext + std::string(50, '\0'));

  const RecordId next{RecordKind::kValue, 8};
  const RecordId as_index{RecordKind::kIndex, 7};
  Digest other_file{};
  other_file[0] = std::byte{1};
  EXPECT_FALSE(cipher.Open(next, BoundTo(digest, next, sealed.size()), sealed, opened));
  EXPECT_FALSE(cipher.Open(as_index, BoundTo(digest, as_index, sealed.size()), sealed, opened));
  EXPECT_FALSE(cipher.Open(id, BoundTo(other_file, id, sealed.size()), sealed, opened));
  EXPECT_TRUE(
      std::all_of(opened.begin(), opened.end(), [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_TRUE(cipher.Open(id, BoundTo(digest, id, sealed.size()), sealed, opened));
}

}  // namespace
}  // namespace secretfs::providers::local
