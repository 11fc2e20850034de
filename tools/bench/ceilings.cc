#include "tools/bench/ceilings.h"

#include <fstream>
#include <functional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/base/uuid.h"
#include "libs/pg/admin.h"
#include "libs/stack/child_process.h"

namespace clm::bench {
namespace {

constexpr char kPgbenchThreads[] = "2";

// A client program of PostgreSQL, as the superuser.
stack::Command Program(Stand& stand, const std::string& name, std::vector<std::string> arguments) {
  std::string user;
  for (const absl::string_view part : absl::StrSplit(stand.postgres().Dsn(), ' ')) {
    absl::string_view rest = part;
    if (absl::ConsumePrefix(&rest, "user=")) user = std::string(rest);
  }
  stack::Command command;
  // By keys whatever the planner believes, as the services do.
  command.env["PGOPTIONS"] = "-c enable_seqscan=off -c enable_bitmapscan=off";
  command.argv = {absl::StrCat(stand.postgres().binaries().folder, "/", name), "-h",
                  stand.postgres().socket_folder(), "-U", user};
  for (auto& argument : arguments) command.argv.push_back(std::move(argument));
  return command;
}

struct PgbenchReport {
  double tps = 0;
  double latency_us = 0;  // Mean.
  int64_t transactions = 0;
};

absl::StatusOr<PgbenchReport> ParsePgbench(const std::string& output) {
  PgbenchReport report;
  // "latency average = 0.123 ms", "tps = 1234.5 (without initial connection time)",
  // "number of transactions actually processed: 123"
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    double number = 0;
    if (words.size() > 2 && words[0] == "tps" && absl::SimpleAtod(words[2], &number)) {
      report.tps = number;
    } else if (words.size() > 3 && words[0] == "latency" && words[1] == "average" &&
               absl::SimpleAtod(words[3], &number)) {
      report.latency_us = number * 1e3;
    } else if (words.size() > 5 && words[0] == "number" && words[3] == "actually") {
      const absl::string_view count = words[5].substr(0, words[5].find('/'));
      if (!absl::SimpleAtoi(count, &report.transactions)) report.transactions = 0;
    }
  }
  if (report.tps <= 0 || report.transactions <= 0) return error::Internal("pgbench told no rate");
  return report;
}

absl::StatusOr<Sample> Pgbench(Stand& stand, std::vector<std::string> arguments, int seconds) {
  const CpuTimes before = stand.Cpu();
  CLM_ASSIGN_OR_RETURN(
      const std::string output,
      stack::Output(Program(stand, "pgbench", std::move(arguments)), absl::Seconds(seconds + 60)));
  const CpuTimes used = stand.Cpu() - before;
  CLM_ASSIGN_OR_RETURN(const PgbenchReport report, ParsePgbench(output));
  Sample sample;
  sample.rate = report.tps;
  sample.cpu_us = used * (1e6 / static_cast<double>(report.transactions));
  sample.p50_us = report.latency_us;
  return sample;
}

}  // namespace

absl::Status PreparePgbench(Stand& stand, int scale) {
  return stack::Output(
             Program(stand, "pgbench", {"-i", "-q", "-s", absl::StrCat(scale), "postgres"}),
             absl::Minutes(2))
      .status();
}

absl::StatusOr<Sample> PgbenchSelect(Stand& stand, int clients, int seconds) {
  return Pgbench(stand,
                 {"-n", "-M", "prepared", "-S", "-c", absl::StrCat(clients), "-j", kPgbenchThreads,
                  "-T", absl::StrCat(seconds), "postgres"},
                 seconds);
}

absl::Status PrepareScript(Stand& stand, const Script& script) {
  const std::string dsn = stand.postgres().Dsn(script.database);
  CLM_RETURN_IF_ERROR(pg::AdminExec(dsn, script.setup));
  return pg::AdminExec(dsn, "VACUUM ANALYZE");
}

absl::StatusOr<Sample> PgbenchScript(Stand& stand, const Script& script, int clients, int seconds) {
  const std::string file = stand.folder() + "/script.sql";
  // Ids ascend as those of the suite do: random ones would make the ceiling write more pages. They
  // go on from one run to the next by the clock, and have 48 bits.
  constexpr int64_t kEpoch = 1'700'000'000;
  std::ofstream(file) << "\\set n :n + 1\n\\set id :base + :n * 64 + :client_id\n"
                         "\\set customer (:n % 64) * 64 + :client_id\n"
                      << script.sql;
  return Pgbench(
      stand,
      {"-n", "-M", "prepared", "-f", file, "-c", absl::StrCat(clients), "-j", kPgbenchThreads, "-T",
       absl::StrCat(seconds), "-D", "n=0", "-D",
       absl::StrCat("base=", (absl::ToUnixSeconds(absl::Now()) - kEpoch) << 20), script.database},
      seconds);
}

absl::StatusOr<Sample> CopyEvents(Stand& stand, const std::vector<std::string>& names, int rows) {
  const std::string file = stand.folder() + "/events.tsv";
  {
    absl::BitGen random;
    std::ofstream out(file);
    const absl::Time now = absl::Now();
    const std::string received = clm::FormatTime(now);
    for (int i = 0; i < rows; ++i) {
      const std::string& name = names[absl::Uniform<size_t>(random, 0, names.size())];
      out << "copied\t" << name.substr(name.rfind('/') + 1) << '\t'
          << clm::FormatTime(now - absl::Seconds(i % 100)) << '\t' << Uuid::V7(now).ToString()
          << "\tvisit\t" << received << "\t\\N\t\t\\N\tweb\t\t{}\n";
    }
  }
  const std::string database = "clm_contact";
  CLM_RETURN_IF_ERROR(
      pg::AdminExec(stand.postgres().Dsn(database),
                    "CREATE TABLE IF NOT EXISTS bench_event (LIKE event INCLUDING ALL)"));
  const CpuTimes before = stand.Cpu();
  const absl::Time started = absl::Now();
  CLM_RETURN_IF_ERROR(stack::Output(Program(stand, "psql",
                                            {"-q", "-d", database, "-c",
                                             absl::StrCat("\\copy bench_event FROM '", file, "'")}),
                                    absl::Minutes(5))
                          .status());
  Sample sample;
  sample.rate = rows / absl::ToDoubleSeconds(absl::Now() - started);
  sample.cpu_us = (stand.Cpu() - before) * (1e6 / rows);
  return sample;
}

namespace {

std::string FillIn(const char* sql, int64_t event_bytes, int64_t answer_bytes) {
  return absl::StrReplaceAll(
      sql, {{"$EVENT", absl::StrCat("decode(repeat('00', ", event_bytes, "), 'hex')")},
            {"$ANSWER", absl::StrCat("decode(repeat('00', ", answer_bytes, "), 'hex')")},
            {"$UUID", "('00000000-0000-7000-8000-' || lpad(to_hex(:id::bigint), 12, '0'))::uuid"},
            {"$OFFSET", "nextval('bench_offset')"}});
}

}  // namespace

Script CreateContactScript(int64_t event_bytes, int64_t answer_bytes) {
  Script script;
  script.database = "clm_contact";
  script.setup = "CREATE SEQUENCE IF NOT EXISTS bench_offset CACHE 100";
  script.sql = FillIn(R"sql(
BEGIN;
INSERT INTO contact (tenant_id, id, status, email, given_name, family_name, locale, timezone, source, create_time, update_time, version)
VALUES ('k3', $UUID, 1, gen_random_uuid()::text || '@example.com', 'Somebody', 'Withaname', 'de-CH', 'Europe/Zurich', 'bench', now(), now(), 1);
INSERT INTO contact_identifier (tenant_id, type, value, contact_id, first_seen)
VALUES ('k3', 'email', gen_random_uuid()::text || '@example.com', $UUID, now());
INSERT INTO journal (shard, off, tenant_id, event_id, subject, type, event, record_time)
VALUES (1000 + :client_id, $OFFSET, 'k3', $UUID, 'tenants/k3/contacts/0190163d-8694-739b-aea5-966c26f8ad91', 'clm.contact.v1.ContactChanged', $EVENT, now());
INSERT INTO request (tenant_id, request_id, fingerprint, response, aggregate_id, create_time)
VALUES ('k3', $UUID, decode(repeat('00', 32), 'hex'), $ANSWER, $UUID, now());
COMMIT;
)sql",
                      event_bytes, answer_bytes);
  return script;
}

Script MoveCustomerScript(int64_t event_bytes, int64_t answer_bytes) {
  Script script;
  script.database = "clm_lifecycle";
  // Customers of each session, who move to and fro: many, as dead rows of few would slow it down.
  script.setup = R"sql(
CREATE SEQUENCE IF NOT EXISTS bench_offset CACHE 100;
INSERT INTO customer_stage (tenant_id, contact_id, model_id, state, stage, enter_time, episode, overdue, version)
SELECT 'k3', ('00000000-0000-7000-8000-' || lpad(to_hex(client), 12, '0'))::uuid, 'bench', decode(repeat('00', 60), 'hex'), 'a', now(), 1, false, 1
FROM generate_series(0, 4095) AS client ON CONFLICT DO NOTHING;
INSERT INTO stage_day (tenant_id, model_id, stage, day, shard, entered, "left")
SELECT 'k3', 'bench', stage, DATE '2000-01-01', client, 0, 0
FROM generate_series(0, 63) AS client, unnest(ARRAY['a', 'b']) AS stage ON CONFLICT DO NOTHING;
)sql";
  script.sql =
      absl::StrReplaceAll(FillIn(R"sql(
BEGIN;
UPDATE customer_stage SET (state, stage, enter_time, episode, overdue, version) = (decode(repeat('00', 60), 'hex'), CASE stage WHEN 'a' THEN 'b' ELSE 'a' END, now(), 1, false, version + 1)
WHERE tenant_id = 'k3' AND contact_id = $CLIENT AND model_id = 'bench';
INSERT INTO fact (tenant_id, contact_id, occur_time, event_id, kind, type)
VALUES ('k3', $CLIENT, now(), $UUID, 2, 'bench');
INSERT INTO transition (tenant_id, contact_id, model_id, sequence, from_stage, to_stage, effective_time, record_time, cause, direction, rule_id, fact_id, fact_type, actor, reason, skipped, synthetic, model_version, episode)
VALUES ('k3', $CLIENT, 'bench', :id, 'b', 'a', now(), now(), 1, 1, '', $UUID, '', 'bench', '', '{}', false, 1, 1);
UPDATE stage_day SET entered = entered + 1 WHERE tenant_id = 'k3' AND model_id = 'bench' AND stage = 'a' AND day = DATE '2000-01-01' AND shard = :client_id;
UPDATE stage_day SET "left" = "left" + 1 WHERE tenant_id = 'k3' AND model_id = 'bench' AND stage = 'b' AND day = DATE '2000-01-01' AND shard = :client_id;
INSERT INTO journal (shard, off, tenant_id, event_id, subject, type, event, record_time)
VALUES (1000 + :client_id, $OFFSET, 'k3', $UUID, 'tenants/k3/contacts/0190163d-8694-739b-aea5-966c26f8ad91', 'clm.lifecycle.v1.StageChanged', $EVENT, now());
INSERT INTO request (tenant_id, request_id, fingerprint, response, aggregate_id, create_time)
VALUES ('k3', $UUID, decode(repeat('00', 32), 'hex'), $ANSWER, $CLIENT, now());
COMMIT;
)sql",
                                 event_bytes, answer_bytes),
                          {{"$CLIENT",
                            "('00000000-0000-7000-8000-' || lpad(to_hex(:customer::bigint), 12, "
                            "'0'))::uuid"}});
  return script;
}

Script EarnPointsScript(const std::string& account, int64_t event_bytes, int64_t answer_bytes) {
  Script script;
  script.database = "clm_loyalty";
  script.setup = "CREATE SEQUENCE IF NOT EXISTS k3.bench_offset CACHE 100";
  script.sql = absl::StrCat(
      "\\set account ", account,
      absl::StrReplaceAll(FillIn(R"sql(
BEGIN;
SELECT fingerprint, response FROM k3.request WHERE tenant_id = 'bench' AND request_id = $UUID;
UPDATE k3.wallet SET active = active + 100, earned = earned + 100, postings = postings + 1
WHERE tenant_id = 'bench' AND contact_id = $CONTACT AND program_id = 'bench' AND wallet_id = 'points'
RETURNING postings AS number, active + pending + held - debt AS balance \gset
INSERT INTO k3.lot (tenant_id, contact_id, program_id, wallet_id, id, posting_id, earned, remaining, held, expired, returned, pending, earn_time, activate_time, expire_time, due_time)
VALUES ('bench', $CONTACT, 'bench', 'points', $UUID, $UUID, 100, 100, 0, 0, 0, false, now(), now(), now() + interval '1 year', now() + interval '1 year');
INSERT INTO k3.posting (tenant_id, contact_id, program_id, wallet_id, number, id, kind, amount, balance, accounts, lots, amounts, post_time)
VALUES ('bench', $CONTACT, 'bench', 'points', :number, $UUID, 1, 100, :balance, '{1,5}', ARRAY[$UUID, $UUID], '{100,-100}', now());
INSERT INTO k3.journal (shard, off, tenant_id, event_id, subject, type, event, record_time)
VALUES (1000 + :client_id, $OFFSET, 'bench', $UUID, 'tenants/bench/programs/bench/members/01900000-0000-7000-8000-000000000001', 'clm.loyalty.v1.PointsPosted', $EVENT, now());
INSERT INTO k3.request (tenant_id, request_id, fingerprint, response, aggregate_id, create_time)
VALUES ('bench', $UUID, decode(repeat('00', 32), 'hex'), $ANSWER, $CONTACT, now());
COMMIT;
)sql",
                                 event_bytes, answer_bytes),
                          {{"$CONTACT",
                            "('01900000-0000-7000-8000-' || lpad(to_hex(:account::bigint), 12, "
                            "'0'))::uuid"},
                           {"bench_offset", "k3.bench_offset"}}));
  return script;
}

}  // namespace clm::bench
