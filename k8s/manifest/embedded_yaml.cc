#include "k8s/manifest/embedded_yaml.h"

#include "base/text.h"

namespace secretfs::k8s {

void ReadEmbeddedYaml(const Value& text, const std::function<void(const Value& root)>& read) {
  if (text.node().kind != YamlNode::Kind::kScalar) {
    const std::string name = text.field().substr(text.field().rfind('.') + 1);
    text.Problem(Format("is no text; expected a list as text, after '{}: |'", name));
    return;
  }
  const Source source(text.source(), text.node());
  const YamlStream stream = ParseYaml(text.node().scalar);
  for (const YamlProblem& problem : stream.problems) {
    const std::string_view dot = problem.field.empty() || problem.field.front() == '[' ? "" : ".";
    source.problems().Add({source.file(), source.Map(problem.position),
                           Format("{}{}{}", text.field(), dot, problem.field)},
                          problem.message);
  }
  if (!stream.problems.empty()) return;
  if (stream.documents.size() != 1) {
    text.Problem("is empty or more than one document; expected one list of objects");
    return;
  }
  read(Value(&source, stream.documents.front(), text.field()));
}

void ReadEmbeddedList(const Value& text, const std::function<void(const Value& item)>& read) {
  ReadEmbeddedYaml(text, [&](const Value& list) {
    const std::vector<Value> items = list.Items();
    if (items.empty() && list.node().kind == YamlNode::Kind::kSequence) {
      text.Problem("is an empty list; expected at least one object");
    }
    for (const Value& item : items) read(item);
  });
}

}  // namespace secretfs::k8s
