#include "services/feedback/case_reader.h"

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/filter/filter.h"
#include "libs/filter/sql.h"

namespace clm::feedback {
namespace {

constexpr absl::Duration kBackground = absl::Seconds(30);

constexpr pg::Statement kGetCase{"case.get", "SELECT " CLM_CASE_COLUMNS R"sql(
  FROM feedback_case c WHERE c.tenant_id = $1::text AND c.id = $2::uuid)sql"};

constexpr pg::Statement kCaseNotes{"case.notes", R"sql(
  SELECT n.number, n.id, n.text, n.to_customer, n.author, n.create_time
  FROM case_note n WHERE n.tenant_id = $1::text AND n.case_id = $2::uuid AND n.number > $3::bigint
  ORDER BY n.number LIMIT $4::int)sql"};

constexpr pg::Statement kGetCalendar{"case.get_calendar", R"sql(
  SELECT b.body, b.version, b.update_time FROM business_calendar b WHERE b.tenant_id = $1::text)sql"};

constexpr pg::Statement kGetCasePolicy{"case.get_policy", R"sql(
  SELECT p.body, p.version, p.update_time FROM case_policy p WHERE p.tenant_id = $1::text)sql"};

constexpr pg::Statement kDueCases{"case.due", "SELECT " CLM_CASE_COLUMNS R"sql(
  FROM feedback_case c WHERE c.due_time < 'infinity' AND c.due_time <= $1::timestamptz
  ORDER BY c.due_time LIMIT $2::int)sql"};

constexpr pg::Statement kNextDueCase{"case.next_due", R"sql(
  SELECT c.due_time FROM feedback_case c WHERE c.due_time < 'infinity'
  ORDER BY c.due_time LIMIT 1)sql"};

enum CaseField {
  kCaseType,
  kCaseState,
  kCaseSeverity,
  kCaseOpen,
  kCaseBreached,
  kCaseOwner,
  kCaseChannel,
  kCaseCreated,
  kCaseReceived,
  kCaseUpdated,
  kCaseEnded,
  kCaseDue,
};

const filter::Schema& CaseSchema() {
  static const auto& kSchema = *[] {
    auto* schema = new filter::Schema;
    schema->AddEnum(kCaseType, "type", {"COMPLAINT", "PAYMENT_COMPLAINT", "DISPUTE", "INQUIRY"})
        .AddEnum(kCaseState, "state",
                 {"RECEIVED", "ACKNOWLEDGED", "INVESTIGATING", "AWAITING_CUSTOMER", "RESOLVED",
                  "CLOSED", "REOPENED", "ESCALATED", "WITHDRAWN"})
        .AddEnum(kCaseSeverity, "severity", {"LOW", "MEDIUM", "HIGH", "CRITICAL"})
        .Add(kCaseOpen, "open", filter::Type::kBool)
        .Add(kCaseBreached, "breached", filter::Type::kBool)
        .Add(kCaseOwner, "owner", filter::Type::kString)
        .Add(kCaseChannel, "channel", filter::Type::kString)
        .Add(kCaseCreated, "create_time", filter::Type::kTimestamp)
        .Add(kCaseReceived, "receive_time", filter::Type::kTimestamp)
        .Add(kCaseUpdated, "update_time", filter::Type::kTimestamp)
        .Add(kCaseEnded, "end_time", filter::Type::kTimestamp)
        .Add(kCaseDue, "due_time", filter::Type::kTimestamp);
    return schema;
  }();
  return kSchema;
}

const filter::Columns& CaseColumns() {
  static const auto& kColumns = *[] {
    auto* columns = new filter::Columns;
    columns->AddEnum("type", "c.type",
                     {{"COMPLAINT", 1}, {"PAYMENT_COMPLAINT", 2}, {"DISPUTE", 3}, {"INQUIRY", 4}});
    columns->AddEnum("state", "c.state",
                     {{"RECEIVED", 1},
                      {"ACKNOWLEDGED", 2},
                      {"INVESTIGATING", 3},
                      {"AWAITING_CUSTOMER", 4},
                      {"RESOLVED", 5},
                      {"CLOSED", 6},
                      {"REOPENED", 7},
                      {"ESCALATED", 8},
                      {"WITHDRAWN", 9}});
    columns->AddEnum("severity", "c.severity",
                     {{"LOW", 1}, {"MEDIUM", 2}, {"HIGH", 3}, {"CRITICAL", 4}});
    columns->Add("open", "(c.end_time IS NULL)").Add("breached", "c.breached");
    // What is empty is missing.
    columns->Add("owner", "nullif(c.owner, '')").Add("channel", "nullif(c.channel, '')");
    columns->Add("create_time", "c.create_time").Add("receive_time", "c.receive_time");
    columns->Add("update_time", "c.update_time").Add("end_time", "c.end_time");
    columns->Add("due_time", "nullif(c.due_time, 'infinity')");
    return columns;
  }();
  return kColumns;
}

absl::StatusOr<std::vector<Case>> ReadAll(const pg::Result& rows) {
  std::vector<Case> cases;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Case c, ReadCase(rows[i], 0));
    cases.push_back(std::move(c));
  }
  return cases;
}

pg::TxOptions OfTenant(const std::string& tenant, absl::Time deadline) {
  return {pg::Scope::Tenant(tenant), deadline};
}

}  // namespace

absl::StatusOr<Case> CaseReader::Get(const EntityKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(OfTenant(key.tenant, deadline), kGetCase, args));
  if (rows.empty()) return error::NotFound(NameOfCase(key));
  return ReadCase(rows[0], 0);
}

absl::StatusOr<std::vector<Case>> CaseReader::List(const Query& query, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const filter::Expression expression,
                       filter::Parse(query.filter, CaseSchema(), {}));
  pg::Args args;
  args.Add(query.tenant);
  std::string where = "c.tenant_id = $1::text";
  if (query.contact) {
    const int at = args.size() + 1;
    absl::StrAppend(&where, " AND c.contact_id = coalesce((SELECT x.merged_into FROM ",
                    "contact_change x WHERE x.tenant_id = $1::text AND x.contact_id = $", at,
                    "::uuid AND NOT x.pending), $", at, "::uuid)");
    args.Add(*query.contact);
  }
  if (!query.filter.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string condition,
                         filter::ToSql(expression, CaseColumns(), query.now, args));
    absl::StrAppend(&where, " AND ", condition);
  }
  if (query.before) {
    const int at = args.size();
    absl::StrAppend(&where, " AND (c.create_time, c.id) < ($", at + 1, "::timestamptz, $", at + 2,
                    "::uuid)");
    args.Add(query.before->first).Add(query.before->second);
  }
  const std::string sql =
      absl::StrCat("SELECT " CLM_CASE_COLUMNS " FROM feedback_case c WHERE ", where,
                   " ORDER BY c.create_time DESC, c.id DESC LIMIT ", query.limit);
  std::vector<Case> cases;
  CLM_RETURN_IF_ERROR(pool_.Read(OfTenant(query.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.ExecDynamic(sql, args));
    CLM_ASSIGN_OR_RETURN(cases, ReadAll(rows));
    return absl::OkStatus();
  }));
  return cases;
}

absl::StatusOr<std::vector<StoredNote>> CaseReader::Notes(const EntityKey& key, int64_t after,
                                                          int limit, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.id).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(OfTenant(key.tenant, deadline), kCaseNotes, args));
  std::vector<StoredNote> notes;
  for (int i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    notes.push_back({key, row.Int(0), row.Uuid(1), std::string(row.Text(2)), row.Bool(3),
                     std::string(row.Text(4)), row.Time(5)});
  }
  return notes;
}

absl::StatusOr<StoredCalendar> CaseReader::Calendar(const std::string& tenant,
                                                    absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(OfTenant(tenant, deadline), kGetCalendar, args));
  return rows.empty() ? StoredCalendar() : ReadCalendar(rows[0], 0);
}

absl::StatusOr<StoredCasePolicy> CaseReader::Policy(const std::string& tenant,
                                                    absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(OfTenant(tenant, deadline), kGetCasePolicy, args));
  return rows.empty() ? StoredCasePolicy() : ReadCasePolicy(rows[0], 0);
}

absl::StatusOr<std::vector<Case>> CaseReader::Due(absl::Time now, int limit) {
  pg::Args args;
  args.Add(now).Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + kBackground}, kDueCases, args));
  return ReadAll(rows);
}

absl::StatusOr<absl::Time> CaseReader::NextDue() {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Suite(), absl::Now() + kBackground}, kNextDueCase));
  return rows.empty() ? absl::InfiniteFuture() : rows[0].Time(0);
}

std::vector<const pg::Statement*> CaseReaderStatements() {
  return {&kGetCase, &kCaseNotes, &kGetCalendar, &kGetCasePolicy, &kDueCases, &kNextDueCase};
}

}  // namespace clm::feedback
