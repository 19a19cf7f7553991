#include "providers/selection/codec.h"

#include <array>
#include <cstdint>

namespace secretfs::providers {
namespace {

constexpr std::string_view kStandardCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr uint8_t kInvalid = 0xff;

constexpr std::array<uint8_t, 256> MakeTable(std::string_view characters) {
  std::array<uint8_t, 256> table{};
  table.fill(kInvalid);
  for (size_t i = 0; i < characters.size(); ++i) {
    table[static_cast<uint8_t>(characters[i])] = static_cast<uint8_t>(i);
  }
  return table;
}
constexpr std::array<uint8_t, 256> kStandardTable = MakeTable(kStandardCharacters);
constexpr std::array<uint8_t, 256> kUrlTable = MakeTable(kUrlCharacters);

bool IsLineBreak(char c) { return c == '\r' || c == '\n'; }

std::optional<unsigned> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// What a Base64 text consists of, apart from line breaks.
struct Shape {
  size_t digits = 0;
  size_t padding = 0;
};

std::optional<Shape> ShapeOf(std::string_view text, const std::array<uint8_t, 256>& table) {
  Shape shape;
  for (const char c : text) {
    if (IsLineBreak(c)) continue;
    if (c == '=') {
      ++shape.padding;
    } else if (shape.padding != 0 || table[static_cast<uint8_t>(c)] == kInvalid) {
      return std::nullopt;
    } else {
      ++shape.digits;
    }
  }
  return shape;
}

bool PaddingIsRight(const Shape& shape, Base64Form form) {
  const size_t rest = shape.digits % 4;
  if (rest == 1) return false;
  const size_t wanted = rest == 0 ? 0 : 4 - rest;
  return shape.padding == wanted || (form == Base64Form::kUrlPaddingOptional && shape.padding == 0);
}

}  // namespace

SecretBytes EncodeBase64(std::span<const std::byte> bytes) {
  SecretBytes result((bytes.size() + 2) / 3 * 4);
  std::byte* out = result.mutable_bytes().data();
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? std::to_integer<uint32_t>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      const char c = j <= count ? kStandardCharacters[group >> (18 - 6 * j) & 63] : '=';
      *out++ = static_cast<std::byte>(c);
    }
  }
  return result;
}

SecretBytes EncodeHex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  SecretBytes result(bytes.size() * 2);
  std::byte* out = result.mutable_bytes().data();
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    *out++ = static_cast<std::byte>(kDigits[value >> 4]);
    *out++ = static_cast<std::byte>(kDigits[value & 15]);
  }
  return result;
}

std::optional<SecretBytes> DecodeBase64(std::string_view text, Base64Form form) {
  const auto& table = form == Base64Form::kStandard ? kStandardTable : kUrlTable;
  const std::optional<Shape> shape = ShapeOf(text, table);
  if (!shape.has_value() || !PaddingIsRight(*shape, form)) return std::nullopt;
  SecretBytes result(shape->digits * 6 / 8);
  std::byte* out = result.mutable_bytes().data();
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (IsLineBreak(c) || c == '=') continue;
    bits = bits << 6 | table[static_cast<uint8_t>(c)];
    count += 6;
    if (count >= 8) {
      count -= 8;
      *out++ = static_cast<std::byte>(bits >> count & 0xff);
    }
  }
  return result;
}

std::optional<SecretBytes> DecodeHex(std::string_view text) {
  while (!text.empty() && IsLineBreak(text.back())) text.remove_suffix(1);
  if (text.size() % 2 != 0) return std::nullopt;
  SecretBytes result(text.size() / 2);
  std::byte* out = result.mutable_bytes().data();
  for (size_t i = 0; i < text.size(); i += 2) {
    const std::optional<unsigned> high = HexDigit(text[i]);
    const std::optional<unsigned> low = HexDigit(text[i + 1]);
    if (!high.has_value() || !low.has_value()) return std::nullopt;
    *out++ = static_cast<std::byte>(*high << 4 | *low);
  }
  return result;
}

}  // namespace secretfs::providers
