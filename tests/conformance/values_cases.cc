// What stores hold: values of all kinds, versions, names, and how they change.

#include <map>

#include "base/text.h"
#include "tests/conformance/case_functions.h"

namespace secretfs::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void ReadsAsWritten(CaseRun& run, std::string_view value) {
  run.store().Put(run.Key(), value);
  run.ExpectValue(run.Read(run.Key()), value);
}

// Beginning with the marker, of `size` bytes that do not repeat soon.
std::string LongValue(size_t size) {
  std::string value(kMarker);
  for (size_t i = 0; value.size() < size; ++i) value += Format(" {:x}", i * 2654435761u);
  value.resize(size);
  return value;
}

// Adds the listed names of one page, counted.
void Count(const providers::ListPage& page, std::map<std::string, int>& names) {
  for (const providers::ListEntry& entry : page.entries) {
    if (entry.is_secret) ++names[entry.name];
  }
}

}  // namespace

void Found(CaseRun& run) { ReadsAsWritten(run, run.Value("läßt sich lesen\n")); }

void Missing(CaseRun& run) {
  const Outcome outcome = run.Read(run.Key());
  run.ExpectError(outcome);
  EXPECT_LT(outcome.took, seconds(10)) << "an answer is no outage";
}

void OneOfManyDenied(CaseRun& run) {
  const std::vector<std::string> keys = {run.Key("a"), run.Key("denied"), run.Key("c"),
                                         run.Key("d")};
  for (const std::string& key : keys) run.store().Put(key, run.Value(key));
  run.store().Deny(keys[1]);
  const std::vector<Outcome> outcomes = run.ReadTogether(keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    SCOPED_TRACE(keys[i]);
    if (i == 1) {
      run.ExpectError(outcomes[i]);
    } else {
      run.ExpectValue(outcomes[i], run.Value(keys[i]));
    }
  }
}

void BinaryValue(CaseRun& run) {
  std::string value = run.Value("");
  for (int byte = 255; byte >= 0; --byte) value += static_cast<char>(byte);
  ReadsAsWritten(run, value);
}

void EmptyValue(CaseRun& run) { ReadsAsWritten(run, ""); }

void Value64KiB(CaseRun& run) { ReadsAsWritten(run, LongValue(64 << 10)); }

void Value1MiB(CaseRun& run) { ReadsAsWritten(run, LongValue(1 << 20)); }

void VersionPinned(CaseRun& run) {
  const std::string first = run.store().Put(run.Key(), run.Value("first"));
  const std::string second = run.store().Put(run.Key(), run.Value("second"));
  run.ExpectValue(run.Read(run.Key(), first), run.Value("first"));
  run.ExpectValue(run.Read(run.Key()), run.Value("second"));
  run.store().Put(run.Key(), run.Value("third"));
  run.ExpectValue(run.Refresh(run.Key()), run.Value("third"));
  run.ExpectValue(run.Read(run.Key(), second), run.Value("second"));
}

void VersionMissing(CaseRun& run) {
  run.store().Put(run.Key(), run.Value("only"));
  const Outcome outcome = run.Read(run.Key(), run.store().UnknownVersion());
  run.ExpectError(outcome);
  EXPECT_LT(outcome.took, seconds(10)) << "an answer is no outage";
}

void ListedWhileAdded(CaseRun& run) {
  std::vector<std::string> names;
  for (size_t i = 0; i < run.store().secrets_to_list(); ++i) {
    names.push_back(Format("listed-{:04}", i));
    run.store().Put(run.store().Key(names.back()), run.Value("x"));
  }
  std::map<std::string, int> listed;
  size_t pages = 0;
  std::string next;
  do {
    const absl::StatusOr<providers::ListPage> page = run.List(next);
    ASSERT_TRUE(page.ok()) << page.status();
    Count(*page, listed);
    next = page->next_page;
    // One that sorts before the others, one among them and one behind.
    if (++pages == 1) {
      for (const char* name : {"early", "listed-0001-more", "zuletzt"}) {
        run.store().Put(run.store().Key(name), run.Value("y"));
      }
    }
    ASSERT_LT(pages, 100u) << "the listing does not end";
  } while (!next.empty());
  for (const std::string& name : names) {
    EXPECT_EQ(listed[run.store().ListedName(name)], 1) << name << ", of " << pages << " pages";
  }
}

void Rotation(CaseRun& run) {
  run.policy.ttl = milliseconds(300);
  run.store().Put(run.Key(), run.Value("old"));
  run.ExpectValue(run.Read(run.Key()), run.Value("old"));
  run.store().Put(run.Key(), run.Value("new"));
  const bool rotated = CaseRun::Eventually([&run] {
    const Outcome outcome = run.Read(run.Key());
    if (outcome.value != run.Value("old")) run.ExpectValue(outcome, run.Value("new"));
    return outcome.value == run.Value("new") || ::testing::Test::HasFailure();
  });
  EXPECT_TRUE(rotated) << "the new value is not read";
}

void DeletionAndGrace(CaseRun& run) {
  run.policy.ttl = milliseconds(300);
  run.policy.grace_on_delete = milliseconds(1500);
  run.store().Put(run.Key(), run.Value("last"));
  run.ExpectValue(run.Read(run.Key()), run.Value("last"));
  run.store().Remove(run.Key());
  const auto removed = std::chrono::steady_clock::now();
  Outcome outcome;
  const bool gone = CaseRun::Eventually([&run, &outcome] {
    outcome = run.Read(run.Key());
    if (outcome.status.ok()) run.ExpectValue(outcome, run.Value("last"));
    return !outcome.status.ok() || ::testing::Test::HasFailure();
  });
  ASSERT_TRUE(gone) << "the deleted secret is still read";
  run.ExpectError(outcome);
  EXPECT_GE(std::chrono::steady_clock::now() - removed, milliseconds(1500)) << "no grace";
}

}  // namespace secretfs::conformance
