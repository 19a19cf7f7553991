#pragma once

// The conformance suite: one table of what can happen between a program that reads a file and its
// store, and what the reader gets. Every provider passes all of it, or says why a case cannot apply
// to its store. docs/conformance.md shows the table and is checked against it. Values without
// state.

#include <string>
#include <vector>

namespace secretfs::conformance {

class CaseRun;

struct Case {
  std::string name;
  std::string situation;  // as documented
  std::string outcome;    // what the reader gets, as documented, besides the errno
  int error = 0;          // the errno that the reader gets; 0: the value
  void (*run)(CaseRun& run) = nullptr;
};

// In the order of the document.
const std::vector<Case>& Cases();

}  // namespace secretfs::conformance
