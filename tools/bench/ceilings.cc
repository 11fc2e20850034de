#include "tools/bench/ceilings.h"

#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/base/uuid.h"
#include "libs/stack/child_process.h"

namespace clm::bench {
namespace {

absl::StatusOr<double> Tps(const std::string& output) {
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    double tps = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() > 2 && words[0] == "tps" && absl::SimpleAtod(words[2], &tps)) return tps;
  }
  return error::Internal("pgbench told no rate");
}

stack::Command Pgbench(Stand& stand, const std::string& database, std::vector<std::string> more) {
  stack::Command command;
  command.argv = {stand.postgres().binaries().folder + "/pgbench", "-h",
                  stand.postgres().socket_folder(), "-U", "clm"};
  // The superuser's name is in the DSN.
  for (const absl::string_view part : absl::StrSplit(stand.postgres().Dsn(), ' ')) {
    if (part.substr(0, 5) == "user=") command.argv[4] = std::string(part.substr(5));
  }
  for (auto& word : more) command.argv.push_back(std::move(word));
  command.argv.push_back(database);
  return command;
}

}  // namespace

absl::StatusOr<double> PgbenchRate(Stand& stand, const std::string& database,
                                   const std::string& script, int clients, int seconds) {
  const std::string file = stand.folder() + "/script.sql";
  std::ofstream(file) << script;
  CLM_ASSIGN_OR_RETURN(
      const std::string output,
      stack::Output(Pgbench(stand, database,
                            {"-n", "-M", "prepared", "-f", file, "-c", absl::StrCat(clients), "-j",
                             "2", "-T", absl::StrCat(seconds)}),
                    absl::Seconds(seconds + 60)));
  return Tps(output);
}

absl::StatusOr<double> PgbenchSelectRate(Stand& stand, int clients, int seconds) {
  static bool initialised = false;
  if (!initialised) {
    CLM_RETURN_IF_ERROR(
        stack::Output(Pgbench(stand, "postgres", {"-i", "-q", "-s", "10"}), absl::Minutes(2))
            .status());
    initialised = true;
  }
  CLM_ASSIGN_OR_RETURN(
      const std::string output,
      stack::Output(Pgbench(stand, "postgres",
                            {"-n", "-M", "prepared", "-S", "-c", absl::StrCat(clients), "-j", "2",
                             "-T", absl::StrCat(seconds)}),
                    absl::Seconds(seconds + 60)));
  return Tps(output);
}

absl::StatusOr<double> CopyEventsRate(Stand& stand, int rows) {
  const std::string file = stand.folder() + "/events.csv";
  {
    std::ofstream out(file);
    const absl::Time now = absl::Now();
    for (int i = 0; i < rows; ++i) {
      const std::string time = clm::FormatTime(now - absl::Seconds(i));
      out << "bench," << Uuid::V7(now).ToString() << ',' << time << ',' << Uuid::V7(now).ToString()
          << ",purchase," << time << ",1999,EUR,1,web,api,{}\n";
    }
  }
  const auto psql = [&](const std::string& sql) {
    stack::Command command = Pgbench(stand, "clm_contact", {});
    const std::string user = command.argv[4];
    command.argv = {stand.postgres().binaries().folder + "/psql",
                    "-h",
                    stand.postgres().socket_folder(),
                    "-U",
                    user,
                    "-q",
                    "-d",
                    "clm_contact",
                    "-c",
                    sql};
    return stack::Output(std::move(command), absl::Minutes(5));
  };
  CLM_RETURN_IF_ERROR(psql("DROP TABLE IF EXISTS bench_event").status());
  CLM_RETURN_IF_ERROR(psql("CREATE TABLE bench_event (LIKE event INCLUDING ALL)").status());
  const absl::Time started = absl::Now();
  CLM_RETURN_IF_ERROR(
      psql(absl::StrCat("\\copy bench_event FROM '", file, "' WITH (FORMAT csv)")).status());
  const double seconds = absl::ToDoubleSeconds(absl::Now() - started);
  CLM_RETURN_IF_ERROR(psql("DROP TABLE bench_event").status());
  return rows / seconds;
}

std::string CreateContactScript() {
  return R"sql(
BEGIN;
INSERT INTO contact (tenant_id, id, status, email, given_name, family_name, source, create_time, update_time, version)
VALUES ('k3', gen_random_uuid(), 1, gen_random_uuid()::text || '@example.com', 'Given', 'Family', 'bench', now(), now(), 1);
INSERT INTO contact_identifier (tenant_id, type, value, contact_id, first_seen)
VALUES ('k3', 'email', gen_random_uuid()::text || '@example.com', gen_random_uuid(), now());
INSERT INTO journal (shard, off, tenant_id, event_id, subject, type, event, record_time)
VALUES (1000 + :client_id, nextval('bench_offset'), 'k3', gen_random_uuid(), 'tenants/k3/contacts/x', 'clm.contact.v1.ContactChanged', decode(repeat('00', 260), 'hex'), now());
INSERT INTO request (tenant_id, request_id, fingerprint, response, aggregate_id, create_time)
VALUES ('k3', gen_random_uuid(), decode(repeat('00', 32), 'hex'), decode(repeat('00', 240), 'hex'), gen_random_uuid(), now());
COMMIT;
)sql";
}

std::string MoveCustomerScript() {
  return R"sql(
BEGIN;
INSERT INTO customer_stage (tenant_id, contact_id, model_id, state, stage, enter_time, episode, overdue, version)
VALUES ('k3', gen_random_uuid(), 'bench', decode(repeat('00', 60), 'hex'), 'a', now(), 1, false, 1);
INSERT INTO fact (tenant_id, contact_id, occur_time, event_id, kind, type)
VALUES ('k3', gen_random_uuid(), now(), gen_random_uuid(), 2, 'bench');
INSERT INTO transition (tenant_id, contact_id, model_id, sequence, from_stage, to_stage, effective_time, record_time, cause, direction, rule_id, fact_type, actor, reason, skipped, synthetic, model_version, episode)
VALUES ('k3', gen_random_uuid(), 'bench', 1, '', 'a', now(), now(), 1, 1, '', '', 'bench', '', '{}', false, 1, 1);
INSERT INTO journal (shard, off, tenant_id, event_id, subject, type, event, record_time)
VALUES (1000 + :client_id, nextval('bench_offset'), 'k3', gen_random_uuid(), 'tenants/k3/contacts/x', 'clm.lifecycle.v1.StageChanged', decode(repeat('00', 300), 'hex'), now());
INSERT INTO request (tenant_id, request_id, fingerprint, response, aggregate_id, create_time)
VALUES ('k3', gen_random_uuid(), decode(repeat('00', 32), 'hex'), decode(repeat('00', 200), 'hex'), gen_random_uuid(), now());
COMMIT;
)sql";
}

}  // namespace clm::bench
