#include "k8s/manifest/value_selection.h"

#include <string>
#include <vector>

#include "base/text.h"
#include "providers/selection/jmespath/expression.h"

namespace secretfs::k8s {
namespace {

using providers::Decoding;
using providers::Encoding;
using providers::Language;
using providers::Selection;

void ReadOneOf(const Fields& fields, const std::vector<std::string_view>& names,
               Selection& selection) {
  const auto given = fields.FindOneOf(names, false);
  if (!given) return;
  const auto& [name, value] = *given;
  if (name == "jmesPath") return ReadJmesPath(value, selection);
  selection.property = value.AsNonEmptyString().value_or("");
  if (name == "extractJSONKey") selection.language = Language::kJsonKey;
  if (name == "extractYAMLKey") selection.language = Language::kYamlKey;
  if (selection.property.empty()) selection.language = Language::kPath;  // the whole value
}

}  // namespace

Decoding ReadDecodingStrategy(const Value& value) {
  return value
      .AsEnum<Decoding>({{"None", Decoding::kNone},
                         {"Base64", Decoding::kBase64},
                         {"Base64URL", Decoding::kBase64Url},
                         {"Auto", Decoding::kAuto}})
      .value_or(Decoding::kNone);
}

Decoding ReadDecoding(const Value& value) {
  return value
      .AsEnum<Decoding>({{"None", Decoding::kNone},
                         {"Base64", Decoding::kBase64},
                         {"Base64URL", Decoding::kBase64Url},
                         {"Hex", Decoding::kHex},
                         {"Auto", Decoding::kAuto}})
      .value_or(Decoding::kNone);
}

Decoding ReadStoredEncoding(const Value& value) {
  return value
      .AsEnum<Decoding>(
          {{"utf-8", Decoding::kNone}, {"base64", Decoding::kBase64}, {"hex", Decoding::kHex}})
      .value_or(Decoding::kNone);
}

Encoding ReadEncoding(const Value& value) {
  return value
      .AsEnum<Encoding>(
          {{"utf-8", Encoding::kUtf8}, {"base64", Encoding::kBase64}, {"hex", Encoding::kHex}})
      .value_or(Encoding::kUtf8);
}

void ReadPart(const Fields& fields, Selection& selection) {
  const std::vector<std::string_view> names{"property", "jmesPath", "extractJSONKey",
                                            "extractYAMLKey"};
  ReadOneOf(fields, names, selection);
  // A null is what an unset variable leaves of a part: not the wish for the whole value.
  for (const std::string_view name : names) {
    if (!fields.Find(name)) (void)fields.Selector(name, "none of them for the whole value");
  }
}

void ReadJmesPath(const Value& value, Selection& selection) {
  const auto text = value.AsNonEmptyString();
  if (!text) return;
  const auto expression = providers::jmespath::Expression::Parse(*text);
  if (!expression.ok()) value.Problem(Format("is {}", MessageOf(expression.status())));
  selection.property = *text;
  selection.language = Language::kJmesPath;
}

void ReadExtractKey(const Fields& fields, Selection& selection) {
  ReadOneOf(fields, {"extractJSONKey", "extractYAMLKey"}, selection);
}

}  // namespace secretfs::k8s
