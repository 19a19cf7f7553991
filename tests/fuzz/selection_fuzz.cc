// Selecting inside values: the first line is what a manifest says, the rest is what the store
// holds. Whatever stands there, nothing may crash or take long, and errors may not quote the value.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "providers/secret_json.h"
#include "providers/selection/jmespath/expression.h"
#include "providers/selection/selection.h"

namespace secretfs::providers {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void SelectWith(const Secret& secret, const std::string& property, Language language) {
  for (const Decoding decoding : {Decoding::kNone, Decoding::kBase64, Decoding::kBase64Url,
                                  Decoding::kAuto, Decoding::kHex}) {
    const auto selected =
        Select(secret, {.property = property, .decoding = decoding, .language = language});
    if (selected.ok() && decoding == Decoding::kNone && language == Language::kPath) {
      // What it gives is never more than what there was, apart from the brackets of new arrays.
      Require(selected->size() <= 2 * secret.value.size() + 32);
    }
    if (!selected.ok()) Require(MessageOf(selected.status()).size() < 2000);
  }
}

// What an expression gives is JSON again.
void SearchAgain(const std::string& expression, std::string_view value) {
  const auto parsed = jmespath::Expression::Parse(expression);
  const auto json = ParseSecretJson(value);
  if (!parsed.ok() || !json.ok()) return;
  const auto result = parsed->Search(*json);
  if (!result.ok()) return;
  const SecretBytes text = DumpSecretJson(*result);
  const auto again = ParseSecretJson(text.ExposeAsText());
  // It may be deeper than what is read.
  Require(again.ok() || MessageOf(again.status()).find("deeper") != std::string_view::npos);
}

}  // namespace
}  // namespace secretfs::providers

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using secretfs::providers::Language;
  using secretfs::providers::Secret;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  const std::string property(input.substr(0, line));
  const std::string_view value =
      line == std::string_view::npos ? std::string_view() : input.substr(line + 1);
  Secret secret;
  secret.value = secretfs::SecretBytes::CopyOf(value);
  for (const Language language :
       {Language::kPath, Language::kJmesPath, Language::kJsonKey, Language::kYamlKey}) {
    secretfs::providers::SelectWith(secret, property, language);
  }
  secretfs::providers::SearchAgain(property, value);
  return 0;
}
