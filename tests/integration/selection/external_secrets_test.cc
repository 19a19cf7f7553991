// `property` selects what External Secrets' own library selects. Two differences are meant: numbers
// keep the text that they have in the secret (1.50 stays 1.50), and @keys or @values of what is not
// there are not there either.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/text.h"
#include "providers/selection/selection.h"
#include "tests/integration/selection/selection_fixture.h"

namespace secretfs::testing {
namespace {

struct Question {
  std::string document;
  std::string path;
};

const std::vector<std::string>& Documents() {
  static const std::vector<std::string> kDocuments = {
      R"({"name": {"first": "Ada", "last": "Byron"}, "age":37, "price": 1.50, "big": 12345678901234567890,
          "none": null, "yes": true, "no": false, "fruits": ["fig", "plum", "sloe"], "empty": [], "o": {}})",
      R"({"good.fruit": "fig", "good": {"fruit": "plum", "x.y": {"z": 1}}, "a*b": "star", "a?b": "mark",
          "@type": "at", "#": "hash", "": "nothing", "1": "one", "a b": "space", "é": "\u00e9\n\"q\"",
          "x|y": "pipe", "back\\slash": "b"})",
      R"({"users": [
          {"name": "bob",  "key": "B1", "age": 44, "groups": ["x", "y"], "admin": true},
          {"name": "eve",  "key": "E2", "age": 68, "groups": ["y"], "admin": false},
          {"name": "carl", "key": "C3", "age": 47, "groups": [], "extra": {"a.b": 1}},
          {"name": "bob",  "key": "B4", "age": 1.5e1, "admin": null}],
          "deep": [[1, [2, 3]], 4, [], {"a": [5]}]})",
      R"(["a", {"b": [1, 2, {"c": "d"}]}, null, [[]]])",
      R"("only text")",
      R"(42)",
  };
  return kDocuments;
}

const std::vector<std::string>& Paths() {
  static const std::vector<std::string> kPaths = {
      "name",
      "name.first",
      "name.last",
      "name.none",
      "age",
      "big",
      "none",
      "yes",
      "no",
      "fruits",
      "fruits.0",
      "fruits.2",
      "fruits.3",
      "fruits.#",
      "empty",
      "empty.#",
      "empty.0",
      "o",
      "good.fruit",
      "good\\.fruit",
      "good.x\\.y.z",
      "a\\*b",
      "a\\?b",
      "a*b",
      "@type",
      "1",
      "a b",
      "é",
      "x\\|y",
      "back\\\\slash",
      "na*.first",
      "?ge",
      "*zzz",
      "fr*ts.1",
      "users.#",
      "users.#.key",
      "users.#.age",
      "users.#.groups",
      "users.#.groups.#",
      "users.#.groups.0",
      "users.#.missing",
      "users.0",
      "users.1.key",
      "users.1.groups.0",
      "users|1|key",
      "users.1|key",
      "users|#",
      R"(users.#(name=="bob").key)",
      R"(users.#(name=="bob")#.key)",
      R"(users.#(name="bob")#)",
      R"(users.#(name=="eve"))",
      "users.#(name==eve).key",
      "users.#(age>45).name",
      "users.#(age>45)#.name",
      "users.#(age>=44)#.name",
      "users.#(age<46)#.name",
      "users.#(age<=44)#.name",
      "users.#(age!=44)#.name",
      "users.#(age==15).key",
      "users.#(age>45)#|0",
      "users.#(age>45)#|0.name",
      "users.#(age>45)#|#",
      "users.#(age>45)#.0",
      "users.#(age>99)#",
      "users.#(age>99)",
      R"(users.#(name%"*r*").key)",
      R"(users.#(name!%"b*")#.key)",
      "users.#(admin==true).name",
      "users.#(admin==false).name",
      "users.#(admin!=true)#.name",
      "users.#(extra)#.name",
      R"(users.#(groups.#(=="x"))#.name)",
      R"(users.#(name>"bob")#.name)",
      R"(users.#(name<"c")#.key)",
      "deep.0",
      "deep.0.1",
      "deep.0.1.1",
      "deep.#",
      "deep.3.a",
      "deep.3.a.0",
      "deep.@flatten",
      "deep.@reverse",
      "fruits.@reverse",
      "fruits.@reverse.0",
      "fruits.@this",
      "@this",
      "@this.name.first",
      R"(fruits.#(=="plum"))",
      R"(fruits.#(!="plum")#)",
      R"(fruits.#(%"*l*")#)",
      "0",
      "1.b",
      "1.b.2.c",
      "1.b.#",
      "2",
      "3.0",
      "3.0.#",
      "#",
      "#.b",
      "age.x",
      "none.x",
      "yes.x",
      "missing",
      "missing.x",
  };
  return kPaths;
}

std::vector<nlohmann::json> AnswersOf(const std::vector<Question>& questions) {
  char name[] = "/tmp/secretfs-selection.XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name);
  {
    std::ofstream input(folder / "questions");
    for (const Question& question : questions) {
      input << nlohmann::json{{"document", question.document}, {"path", question.path}}.dump()
            << "\n";
    }
  }
  const std::string command =
      Format("{}/gjson < {}/questions > {}/answers", SelectionPrograms().string(), folder.string(),
             folder.string());
  const int ended = std::system(command.c_str());
  std::vector<nlohmann::json> answers;
  std::ifstream output(folder / "answers");
  for (std::string line; std::getline(output, line);)
    answers.push_back(nlohmann::json::parse(line));
  std::filesystem::remove_all(folder);
  if (ended != 0 || answers.size() != questions.size()) throw std::runtime_error(command);
  return answers;
}

TEST(ExternalSecretsProperty, SelectsTheSame) {
  std::vector<Question> questions;
  for (const std::string& document : Documents()) {
    for (const std::string& path : Paths()) questions.push_back({document, path});
  }
  for (const char* path : {"name.@keys", "name.@values", "fruits.@values"}) {
    questions.push_back({Documents().front(), path});
  }
  const std::vector<nlohmann::json> answers = AnswersOf(questions);
  size_t found = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    SCOPED_TRACE(questions[i].path + " of " + questions[i].document);
    providers::Secret secret;
    secret.value = SecretBytes::CopyOf(questions[i].document);
    const auto ours = providers::Select(secret, {.property = questions[i].path});
    EXPECT_EQ(ours.ok(), answers[i]["found"].get<bool>()) << ours.status();
    if (!ours.ok()) continue;
    EXPECT_EQ(ours->ExposeAsText(), answers[i]["value"].get<std::string>());
    ++found;
  }
  EXPECT_GE(found, 100u);
}

}  // namespace
}  // namespace secretfs::testing
