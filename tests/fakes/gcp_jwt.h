#pragma once

// RSA keys and signed tokens for the fake of Google Cloud: made and verified by OpenSSL without a
// line of the code under test. Not thread-safe while being made; const objects may be used
// anywhere.

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace secretfs::fakes {

// A token in its parts, not verified yet.
struct ParsedJwt {
  nlohmann::json header;
  nlohmann::json claims;
  std::string signed_text;
  std::string signature;
};
std::optional<ParsedJwt> ParseJwt(std::string_view token);

class RsaKey {
 public:
  RsaKey();  // new, 2048 bits
  ~RsaKey();
  RsaKey(const RsaKey&) = delete;
  RsaKey& operator=(const RsaKey&) = delete;

  std::string PrivatePem() const;
  // RS256, with `key_id` as kid.
  std::string Sign(const nlohmann::json& claims, const std::string& key_id) const;
  // Whether this key signed it with RS256.
  bool Verifies(const ParsedJwt& token) const;

 private:
  struct Key;
  std::unique_ptr<Key> key_;
};

std::string Base64(std::string_view bytes);
std::optional<std::string> FromBase64(std::string_view text);  // standard alphabet, with padding
std::string RandomText(size_t bytes);                          // in hexadecimal

}  // namespace secretfs::fakes
