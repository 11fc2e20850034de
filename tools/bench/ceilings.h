// What the machine shows that it can do at this moment, without the suite: pgbench and COPY.
#ifndef CLM_TOOLS_BENCH_CEILINGS_H_
#define CLM_TOOLS_BENCH_CEILINGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/bench/measure.h"
#include "tools/bench/stand.h"

namespace clm::bench {

// Makes pgbench's own tables, of 100,000 rows times `scale`, vacuumed.
absl::Status PreparePgbench(Stand& stand, int scale);
// pgbench's own select-only transaction on its own tables, prepared statements.
absl::StatusOr<Sample> PgbenchSelect(Stand& stand, int clients, int seconds);

// One transaction of a service as hand-written SQL that writes the same rows, one per transaction,
// prepared statements, `clients` sessions of the superuser (no row security).
struct Script {
  std::string database;
  std::string setup;  // Run once; may be run again.
  std::string
      sql;  // Uses :id (ascends, never used twice), :client_id and :customer (in [0, 4096)).
};
// A contact as CreateContact writes it: contact, identifier, journal and request rows.
// `event_bytes` and `answer_bytes`: how large its journal row's event and its stored answer are.
Script CreateContactScript(int64_t event_bytes, int64_t answer_bytes);
// A move as MoveCustomer writes it: fact, transition, stage, running totals, journal, request.
Script MoveCustomerScript(int64_t event_bytes, int64_t answer_bytes);
// Points as EarnPoints writes them, by the caller's request id: the look for an earlier answer,
// wallet, lot, posting, journal, request; in the tables that Points makes for it. `account`: the
// number of whose they are, an expression of pgbench.
Script EarnPointsScript(const std::string& account, int64_t event_bytes, int64_t answer_bytes);
absl::Status PrepareScript(Stand& stand, const Script& script);
absl::StatusOr<Sample> PgbenchScript(Stand& stand, const Script& script, int clients, int seconds);

// COPY of `rows` events as IngestEvents writes them, of random contacts out of `names`, into a
// table with the columns and indexes of the event table that grows from call to call. Making the
// rows is not measured.
absl::StatusOr<Sample> CopyEvents(Stand& stand, const std::vector<std::string>& names, int rows);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_CEILINGS_H_
