// Between the wire, the rows and the rules: cases, calendars, procedures. Thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_CASE_PROTO_H_
#define CLM_SERVICES_FEEDBACK_CASE_PROTO_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/feedback/v1/case.pb.h"
#include "libs/base/error.h"
#include "libs/pg/pg.h"
#include "services/feedback/business_calendar.h"
#include "services/feedback/cases.h"

// The columns of ReadCase, of a row `c`.
#define CLM_CASE_COLUMNS \
  "c.tenant_id, c.id, c.shard, c.contact_id, c.contact_erased, c.body, c.version"

namespace clm::feedback {

inline constexpr char kCases[] = "cases";
inline constexpr char kCalendarPattern[] = "tenants/*/businessCalendar";
inline constexpr char kPolicyPattern[] = "tenants/*/casePolicy";

std::string NameOfCase(const EntityKey& key);

// What callers set of a new case. INVALID_ARGUMENT with every bad field, with paths below "case".
absl::StatusOr<Case> NewCaseFrom(const v1::Case& wire, const EntityKey& key, absl::Time now);
// What UpdatePaths of a request say.
absl::StatusOr<CasePatch> CasePatchFrom(const std::vector<std::string>& paths,
                                        const v1::Case& wire);
v1::Case ToProto(const Case& c, const BusinessCalendar& calendar);
v1::CaseCompensation ToProto(const std::string& tenant, const Compensation& compensation);

std::string BodyOfCase(const Case& c);
// The first column is at `column`. INTERNAL for a row that no version of this program wrote.
absl::StatusOr<Case> ReadCase(const pg::Row& row, int column);

struct StoredCalendar {
  BusinessCalendar calendar = DefaultCalendar();
  int64_t version = 1;  // 1: the tenant has said nothing.
  absl::Time update_time;
};
v1::BusinessCalendar ToProto(const std::string& tenant, const StoredCalendar& stored);
// `prefix` goes before the paths of what is wrong.
BusinessCalendar CalendarFrom(absl::string_view prefix, const v1::BusinessCalendar& wire,
                              error::FieldErrors& errors);

// Which answers to surveys open a case.
struct CaseTriggers {
  bool on_detractor = false;
  bool on_unsatisfied = false;
  std::string owner;
  Severity severity = Severity::kMedium;
  friend bool operator==(const CaseTriggers&, const CaseTriggers&) = default;
};
struct CasePolicy {
  std::vector<CaseProcedure> procedures;
  CaseTriggers triggers;
  bool has_triggers = false;
  friend bool operator==(const CasePolicy&, const CasePolicy&) = default;
};
struct StoredCasePolicy {
  CasePolicy policy;
  int64_t version = 1;  // As above.
  absl::Time update_time;
};
// Columns body, version and update_time, the first at `column`; NULL: the tenant has said nothing.
// INTERNAL for what no version of this program wrote.
absl::StatusOr<StoredCalendar> ReadCalendar(const pg::Row& row, int column);
absl::StatusOr<StoredCasePolicy> ReadCasePolicy(const pg::Row& row, int column);

// What the policy says of a type, or else the default.
CaseProcedure ProcedureOf(const CasePolicy& policy, CaseType type);
v1::CasePolicy ToProto(const std::string& tenant, const StoredCasePolicy& stored);
CasePolicy CasePolicyFrom(absl::string_view prefix, const v1::CasePolicy& wire,
                          error::FieldErrors& errors);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_PROTO_H_
