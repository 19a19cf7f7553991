#include "providers/selection/selection.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers {
namespace {

constexpr std::string_view kSelectionDocument = R"({
  "user": "alice",
  "port": 5432,
  "tls": true,
  "none": null,
  "nested": {"password": "nested-word", "list": [10, {"name": "second"}]},
  "with.dot": "whole",
  "with": {"dot": "parts", "only": "below"},
  "a.b": {"c.d": "deep", "e": "escaped"},
  "back\\slash": "slashed",
  "": "empty name"
})";

Secret Plain(std::string_view value) {
  Secret secret;
  secret.value = SecretBytes::CopyOf(value);
  secret.version = "1";
  return secret;
}

Secret Structured() {
  Secret secret = Plain(R"({"user":"alice","tls.crt":"PEM","settings":{"level":"high"}})");
  secret.fields["user"] = SecretBytes::CopyOf("alice");
  secret.fields["tls.crt"] = SecretBytes::CopyOf(std::string_view("PEM\0", 4));
  secret.fields["settings"] = SecretBytes::CopyOf(R"({"level":"high"})");
  return secret;
}

// The selected bytes, or the code's name.
std::string Selected(const Secret& secret, const Selection& selection) {
  const auto result = Select(secret, selection);
  if (!result.ok()) return absl::StatusCodeToString(result.status().code());
  return std::string(result->ExposeAsText());
}
std::string Property(std::string_view value, std::string property) {
  return Selected(Plain(value), {.property = std::move(property)});
}

TEST(SelectionTest, WithoutAPropertyTheWholeValue) {
  EXPECT_EQ(Selected(Plain("any \xff bytes"), {}), "any \xff bytes");
  EXPECT_EQ(Selected(Plain(""), {}), "");
}

TEST(SelectionTest, PropertiesOfAJsonValue) {
  const std::pair<const char*, const char*> table[] = {
      {"user", "alice"},
      {"port", "5432"},
      {"tls", "true"},
      {"none", ""},
      {"nested", R"({"password": "nested-word", "list": [10, {"name": "second"}]})"},
      {"nested.password", "nested-word"},
      {"nested.list", R"([10, {"name": "second"}])"},
      {"nested.list.0", "10"},
      {"nested.list.1.name", "second"},
      {"with.dot", "whole"},
      {"with\\.dot", "whole"},
      {"with.only", "below"},
      {"a\\.b.c\\.d", "deep"},
      {"a\\.b.c.d", "deep"},
      {"a\\.b.e", "escaped"},
      {"back\\\\slash", "slashed"},
      {"missing", "NOT_FOUND"},
      {"user.name", "NOT_FOUND"},
      {"nested.list.2", "NOT_FOUND"},
      {"nested.list.-1", "NOT_FOUND"},
      {"nested.list.x", "NOT_FOUND"},
      {"nested.list.0x", "NOT_FOUND"},
      {"nested.list.", "NOT_FOUND"},
      {"nested..list", "NOT_FOUND"},
      {".", "NOT_FOUND"},
      {"nested.", "NOT_FOUND"},
  };
  for (const auto& [property, value] : table) {
    EXPECT_EQ(Property(kSelectionDocument, property), value) << property;
  }
}

TEST(SelectionTest, APropertyOfSomethingElse) {
  EXPECT_EQ(Property("plain text", "user"), "INVALID_ARGUMENT");
  EXPECT_EQ(Property("", "user"), "INVALID_ARGUMENT");
  EXPECT_EQ(Property("\"text\"", "user"), "NOT_FOUND");
  EXPECT_EQ(Property("[1,2]", "1"), "2");
}

TEST(SelectionTest, TheOtherLanguages) {
  const auto selected = [](std::string_view value, std::string part, Language language) {
    return Selected(Plain(value), {.property = std::move(part), .language = language});
  };
  EXPECT_EQ(selected(kSelectionDocument, "nested.list[1].name", Language::kJmesPath), "second");
  EXPECT_EQ(selected(kSelectionDocument, "nested.list", Language::kJmesPath),
            R"([10,{"name":"second"}])");
  EXPECT_EQ(selected(kSelectionDocument, "none", Language::kJmesPath), "NOT_FOUND");
  EXPECT_EQ(selected(kSelectionDocument, "missing", Language::kJmesPath), "NOT_FOUND");
  EXPECT_EQ(selected(kSelectionDocument, "length(port)", Language::kJmesPath), "INVALID_ARGUMENT");
  EXPECT_EQ(selected(kSelectionDocument, "a..b", Language::kJmesPath), "INVALID_ARGUMENT");
  EXPECT_EQ(selected("plain", "a", Language::kJmesPath), "INVALID_ARGUMENT");
  EXPECT_EQ(selected(kSelectionDocument, "with.dot", Language::kJsonKey), "whole");
  EXPECT_EQ(selected(kSelectionDocument, "with.only", Language::kJsonKey), "NOT_FOUND");
  EXPECT_EQ(selected("with.dot: whole", "with.dot", Language::kYamlKey), "whole");
  const Secret structured = Structured();
  EXPECT_EQ(Selected(structured, {.property = "settings.level", .language = Language::kJmesPath}),
            "high");
}

TEST(SelectionTest, FieldsOfAStructuredStoreComeFirst) {
  const Secret secret = Structured();
  EXPECT_EQ(Selected(secret, {.property = "user"}), "alice");
  EXPECT_EQ(Selected(secret, {.property = "tls.crt"}), std::string("PEM\0", 4));
  EXPECT_EQ(Selected(secret, {.property = "settings"}), R"({"level":"high"})");
  EXPECT_EQ(Selected(secret, {.property = "settings.level"}), "high");
  EXPECT_EQ(Selected(secret, {.property = "settings.color"}), "NOT_FOUND");
}

TEST(SelectionTest, AMissingPropertyIsNamedWithTheNearestOnes) {
  const auto result = Select(Plain(R"({"password":"hunter2","user":"alice","port":1,"host":2,"a":3,
                                       "database":4})"),
                             {.property = "pasword"});
  EXPECT_EQ(
      MessageOf(result.status()),
      "property pasword does not exist: no pasword at the top; there is password, port, user, "
      "a, host and 1 more");
  const auto below = Select(Plain(R"({"db":{"user":"alice"}})"), {.property = "db.usr"});
  EXPECT_EQ(MessageOf(below.status()),
            "property db.usr does not exist: no usr in db; there is user");
}

TEST(SelectionTest, MessagesNeverQuoteValues) {
  for (const std::string_view value :
       {R"({"a":"hunter2"})", R"(["hunter2"])", R"("hunter2")", "hunter2", R"({"a": hunter2)"}) {
    for (const Decoding decoding : {Decoding::kBase64, Decoding::kBase64Url, Decoding::kHex}) {
      for (const char* property : {"", "x.y", "0.y", "a"}) {
        const auto result = Select(Plain(value), {.property = property, .decoding = decoding});
        if (result.ok()) continue;
        EXPECT_EQ(MessageOf(result.status()).find("hunter2"), std::string_view::npos);
      }
    }
  }
}

TEST(SelectionTest, NamesInMessagesAreCutAndOnOneLine) {
  const auto result =
      Select(Plain(Format(R"({{"a\nb":1,"{}":2}})", std::string(500, 'x'))), {.property = "c"});
  EXPECT_LT(MessageOf(result.status()).size(), 250u);
  EXPECT_EQ(MessageOf(result.status()).find('\n'), std::string_view::npos);
}

TEST(SelectionTest, Decodings) {
  const auto decoded = [](std::string_view value, Decoding decoding) {
    return Selected(Plain(value), {.property = "", .decoding = decoding});
  };
  EXPECT_EQ(decoded("Zm9v", Decoding::kNone), "Zm9v");
  EXPECT_EQ(decoded("Zm9vYg==", Decoding::kBase64), "foob");
  EXPECT_EQ(decoded("not base64", Decoding::kBase64), "INVALID_ARGUMENT");
  EXPECT_EQ(decoded("-__-AA", Decoding::kBase64Url), std::string("\xfb\xff\xfe\0", 4));
  EXPECT_EQ(decoded("+//+", Decoding::kBase64Url), "INVALID_ARGUMENT");
  EXPECT_EQ(decoded("Zm9vYg==", Decoding::kAuto), "foob");
  EXPECT_EQ(decoded("-__-AA==", Decoding::kAuto), std::string("\xfb\xff\xfe\0", 4));
  EXPECT_EQ(decoded("Zm9vYg", Decoding::kAuto), "Zm9vYg") << "no padding: not base64";
  EXPECT_EQ(decoded("pass word!", Decoding::kAuto), "pass word!");
  EXPECT_EQ(decoded("00fF41\n", Decoding::kHex), std::string("\0\xff"
                                                             "A",
                                                             3));
  EXPECT_EQ(decoded("0", Decoding::kHex), "INVALID_ARGUMENT");
  EXPECT_EQ(decoded("0x", Decoding::kHex), "INVALID_ARGUMENT");
}

TEST(SelectionTest, EncodingsComeAfterSelectingAndDecoding) {
  const Secret secret = Plain(R"({"k":"AP8="})");
  EXPECT_EQ(Selected(secret, {.property = "k", .encoding = Encoding::kHex}), "4150383d");
  EXPECT_EQ(Selected(secret,
                     {.property = "k", .decoding = Decoding::kBase64, .encoding = Encoding::kHex}),
            "00ff");
  EXPECT_EQ(
      Selected(secret,
               {.property = "k", .decoding = Decoding::kBase64, .encoding = Encoding::kBase64}),
      "AP8=");
}

}  // namespace
}  // namespace secretfs::providers
