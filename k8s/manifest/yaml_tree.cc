#include "k8s/manifest/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <map>
#include <streambuf>
#include <unordered_set>
#include <utility>

#include "base/locked_memory.h"
#include "base/text.h"

namespace secretfs::k8s {
namespace {

constexpr int kDeepestNesting = 64;
constexpr size_t kMostNodes = 1'000'000;

// Thrown by the handler below through yaml-cpp's parser, caught in ParseYaml.
struct Refused {
  Position position;
  std::string message;
};

Position ToPosition(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

// A stream over text that stays where it is.
class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

// Where the text of the literal block whose "|" stands at `mark` begins: one line below, at the
// indentation of the first line that is not blank.
std::optional<Position> LiteralStart(const std::vector<std::string_view>& lines,
                                     const YAML::Mark& mark) {
  const auto line = static_cast<size_t>(mark.line);
  const auto column = static_cast<size_t>(mark.column);
  if (line >= lines.size() || column >= lines[line].size() || lines[line][column] != '|') {
    return std::nullopt;
  }
  // An indentation indicator ("|2") makes the first line's own spaces part of the text.
  const std::string_view header = lines[line].substr(column + 1);
  if (header.find_first_of("123456789") < header.find('#')) return std::nullopt;
  for (size_t i = line + 1; i < lines.size(); ++i) {
    const size_t indentation = lines[i].find_first_not_of(' ');
    if (indentation == std::string_view::npos || lines[i][indentation] == '\r') continue;
    return Position{static_cast<int>(line) + 2, static_cast<int>(indentation) + 1};
  }
  return std::nullopt;
}

// Builds one document. A node under construction is shared with `anchors_` from its start, so that
// an alias to a node that is still open is seen to be a cycle.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::vector<std::string_view>& lines, std::vector<YamlProblem>& problems)
      : lines_(lines), problems_(problems) {}

  Position start() const { return start_; }
  YamlNodePtr TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = ToPosition(mark); }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Finished(Make(YamlNode::Kind::kNull, mark, anchor), anchor, 1, 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    std::shared_ptr<YamlNode> node = Make(YamlNode::Kind::kScalar, mark, anchor);
    node->scalar = value;
    node->is_text = !tag.empty() && tag != "?";
    if (node->is_text) node->literal_start = LiteralStart(lines_, mark);
    Finished(std::move(node), anchor, 1, 0);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end() || !found->second.finished) {
      throw Refused{ToPosition(mark), "an alias must not stand inside what it refers to"};
    }
    position_ = ToPosition(mark);
    Finished(found->second.node, 0, found->second.size, found->second.height);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kSequence, mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMapping, mark, anchor);
  }
  void OnMapEnd() override {
    ResolveMergeKeys();
    Close();
  }

 private:
  struct Anchored {
    std::shared_ptr<YamlNode> node;
    bool finished = false;
    size_t size = 1;  // nodes, aliases expanded
    int height = 0;   // levels below
  };
  struct Frame {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor;
    size_t size = 1;
    int height = 0;
    bool has_key = false;
    bool skip_value = false;  // the value of a duplicate key
    std::string key{};
    Position key_position{};
    std::unordered_set<std::string> keys{};
    std::vector<YamlNodePtr> merged{};
  };

  std::shared_ptr<YamlNode> Make(YamlNode::Kind kind, const YAML::Mark& mark,
                                 YAML::anchor_t anchor) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    position_ = node->position = ToPosition(mark);
    if (anchor != 0) anchors_[anchor] = {node};
    return node;
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (static_cast<int>(frames_.size()) >= kDeepestNesting) {
      throw Refused{ToPosition(mark),
                    Format("nested too deeply; expected at most {} levels", kDeepestNesting)};
    }
    frames_.push_back({Make(kind, mark, anchor), anchor});
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    Finished(std::move(frame.node), frame.anchor, frame.size, frame.height + 1);
  }

  // Hands a complete node to what it stands in. `anchor` is 0 for none.
  void Finished(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor, size_t size, int height) {
    if (anchor != 0) anchors_[anchor] = {node, true, size, height};
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    frame.size += size;
    frame.height = std::max(frame.height, height);
    if (frame.size > kMostNodes) {
      throw Refused{position_, Format("too many values (aliases count as what they stand for); "
                                      "expected at most {}",
                                      kMostNodes)};
    }
    if (static_cast<int>(frames_.size()) + height > kDeepestNesting) {
      throw Refused{position_,
                    Format("nested too deeply; expected at most {} levels", kDeepestNesting)};
    }
    if (frame.node->kind == YamlNode::Kind::kSequence) {
      frame.node->items.push_back(std::move(node));
    } else if (frame.has_key) {
      AddEntry(frame, std::move(node));
    } else {
      BeginEntry(frame, *node);
    }
  }

  void BeginEntry(Frame& frame, const YamlNode& key) {
    if (key.kind != YamlNode::Kind::kScalar) {
      throw Refused{position_, "this name is not plain text; expected a field name"};
    }
    frame.has_key = true;
    frame.key = key.scalar;
    frame.key_position = position_;
    const bool is_merge = key.scalar == "<<" && !key.is_text;
    frame.skip_value = !is_merge && !frame.keys.insert(key.scalar).second;
    if (frame.skip_value) {
      problems_.push_back({position_, FieldPath(), "stands twice; expected each field once"});
    }
    if (is_merge) frame.key_position.line = 0;  // marks it for AddEntry
  }

  void AddEntry(Frame& frame, YamlNodePtr value) {
    frame.has_key = false;
    if (frame.skip_value) return;
    if (frame.key_position.line > 0) {
      frame.node->entries.push_back({std::move(frame.key), frame.key_position, std::move(value)});
      return;
    }
    if (value->kind == YamlNode::Kind::kSequence) {
      for (const YamlNodePtr& item : value->items) AddMerged(frame, item);
    } else {
      AddMerged(frame, std::move(value));
    }
  }

  void AddMerged(Frame& frame, YamlNodePtr source) {
    if (source->kind != YamlNode::Kind::kMapping) {
      throw Refused{position_, "'<<' takes the fields of a mapping; expected an alias to one"};
    }
    frame.merged.push_back(std::move(source));
  }

  // A field that stands in the mapping itself wins over merged ones, earlier merges over later
  // ones.
  void ResolveMergeKeys() {
    Frame& frame = frames_.back();
    for (const YamlNodePtr& source : frame.merged) {
      for (const YamlEntry& entry : source->entries) {
        if (frame.keys.insert(entry.key).second) frame.node->entries.push_back(entry);
      }
    }
  }

  std::string FieldPath() const {
    std::string path;
    for (const Frame& frame : frames_) {
      if (frame.node->kind == YamlNode::Kind::kSequence) {
        path += Format("[{}]", frame.node->items.size());
      } else {
        path += (path.empty() ? "" : ".") + frame.key;
      }
    }
    return path;
  }

  const std::vector<std::string_view>& lines_;
  std::vector<YamlProblem>& problems_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  Position start_;     // of the document
  Position position_;  // of the event being handled
  YamlNodePtr root_;
};

// The length of the UTF-8 character at the front of `text`, or 0 if it is none or a control
// character. yaml-cpp takes byte 4 as the end of the text, guesses other encodings from the first
// bytes, and passes malformed ones on: neither gets that far.
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) {
    const bool is_space = first == '\n' || first == '\r' || first == '\t';
    return (first >= 0x20 && first != 0x7f) || is_space ? 1 : 0;
  }
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool too_high = first == 0xf4 && second >= 0x90;
  return overlong || surrogate || too_high ? 0 : length;
}

std::optional<YamlProblem> CheckText(std::string_view text) {
  if (text.size() > kLargestManifest) {
    return YamlProblem{
        {}, "", Format("is {} bytes long; expected at most {}", text.size(), kLargestManifest)};
  }
  Position position;
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text.substr(i));
    if (length == 0) {
      return YamlProblem{position, "",
                         Format("byte 0x{:02x} is not text; expected UTF-8 without control "
                                "characters",
                                static_cast<unsigned char>(text[i]))};
    }
    if (text[i] == '\n') {
      ++position.line;
      position.column = 1;
    } else {
      position.column += static_cast<int>(length);
    }
    i += length;
  }
  return std::nullopt;
}

// yaml-cpp's words, without the part that quotes the text (names of anchors and tags).
std::string SyntaxMessage(const std::string& words) {
  return "not valid YAML: " + words.substr(0, words.find(": "));
}

}  // namespace

YamlNode::~YamlNode() { Wipe(scalar.data(), scalar.size()); }

const YamlEntry* FindEntry(const YamlNode& mapping, std::string_view key) {
  const auto found = std::find_if(mapping.entries.begin(), mapping.entries.end(),
                                  [key](const YamlEntry& entry) { return entry.key == key; });
  return found == mapping.entries.end() ? nullptr : &*found;
}

YamlStream ParseYaml(std::string_view text) {
  YamlStream stream;
  if (std::optional<YamlProblem> problem = CheckText(text)) {
    stream.problems.push_back(*std::move(problem));
    return stream;
  }
  const std::vector<std::string_view> lines = SplitLines(text);
  TextBuffer buffer(text);
  std::istream input(&buffer);
  try {
    YAML::Parser parser(input);
    Position last_start{0, 0};
    while (true) {
      TreeBuilder builder(lines, stream.problems);
      if (!parser.HandleNextDocument(builder)) break;
      // yaml-cpp finds empty documents for ever in front of some text that it cannot take (" &a
      // ,").
      if (builder.start() <= last_start) {
        throw Refused{builder.start(), "not valid YAML: expected a value here"};
      }
      last_start = builder.start();
      YamlNodePtr root = builder.TakeRoot();
      if (root != nullptr && root->kind != YamlNode::Kind::kNull) {
        stream.documents.push_back(std::move(root));
      }
    }
  } catch (const Refused& refused) {
    stream.problems.push_back({refused.position, "", refused.message});
  } catch (const YAML::Exception& error) {
    stream.problems.push_back({ToPosition(error.mark), "", SyntaxMessage(error.msg)});
  } catch (const std::exception&) {
    stream.problems.push_back({{}, "", "not valid YAML"});
  }
  return stream;
}

}  // namespace secretfs::k8s
