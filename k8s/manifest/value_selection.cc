#include "k8s/manifest/value_selection.h"

namespace secretfs::k8s {

providers::Decoding ReadDecoding(const Value& value) {
  using providers::Decoding;
  return value
      .AsEnum<Decoding>({{"None", Decoding::kNone},
                         {"Base64", Decoding::kBase64},
                         {"Base64URL", Decoding::kBase64Url},
                         {"Auto", Decoding::kAuto}})
      .value_or(Decoding::kNone);
}

providers::Decoding ReadStoredEncoding(const Value& value) {
  using providers::Decoding;
  const std::optional<size_t> index = value.AsOneOf({"utf-8", "base64", "hex"});
  if (index == size_t{2}) {
    value.Problem(
        "values that are stored in hex are not built into this version; expected utf-8 or "
        "base64");
  }
  return index == size_t{1} ? Decoding::kBase64 : Decoding::kNone;
}

providers::Encoding ReadEncoding(const Value& value) {
  using providers::Encoding;
  return value
      .AsEnum<Encoding>(
          {{"utf-8", Encoding::kUtf8}, {"base64", Encoding::kBase64}, {"hex", Encoding::kHex}})
      .value_or(Encoding::kUtf8);
}

}  // namespace secretfs::k8s
