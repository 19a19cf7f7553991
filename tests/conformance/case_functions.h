#pragma once

// What each case of the table does; cases.cc gives them their names and outcomes.

#include "tests/conformance/case_run.h"

namespace secretfs::conformance {

// --- values_cases.cc
void Found(CaseRun& run);
void Missing(CaseRun& run);
void OneOfManyDenied(CaseRun& run);
void BinaryValue(CaseRun& run);
void EmptyValue(CaseRun& run);
void Value64KiB(CaseRun& run);
void Value1MiB(CaseRun& run);
void VersionPinned(CaseRun& run);
void VersionMissing(CaseRun& run);
void ListedWhileAdded(CaseRun& run);
void Rotation(CaseRun& run);
void DeletionAndGrace(CaseRun& run);

// --- network_cases.cc
void ThrottledRetryAfter(CaseRun& run);
void Throttled(CaseRun& run);
void ThrottledForEver(CaseRun& run);
void SlowFirstByte(CaseRun& run);
void SlowBody(CaseRun& run);
void CutMidBody(CaseRun& run);
void CutEveryTime(CaseRun& run);
void BodyOverLimit(CaseRun& run);
void WrongContentType(CaseRun& run);
void InvalidUtf8(CaseRun& run);
void RedirectElsewhere(CaseRun& run);
void EnvironmentProxy(CaseRun& run);

// --- trust_cases.cc
void TlsExpired(CaseRun& run);
void TlsSelfSigned(CaseRun& run);
void CredentialsExpire(CaseRun& run);
void CredentialFileReplaced(CaseRun& run);
void ClockAhead(CaseRun& run);
void ClockBehind(CaseRun& run);

}  // namespace secretfs::conformance
