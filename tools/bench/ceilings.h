// What the machine shows that it can do at this moment, without the suite: pgbench and COPY.
#ifndef CLM_TOOLS_BENCH_CEILINGS_H_
#define CLM_TOOLS_BENCH_CEILINGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/stand.h"

namespace clm::bench {

// Transactions per second of a pgbench script, prepared statements, `clients` sessions of the
// superuser in `database`.
absl::StatusOr<double> PgbenchRate(Stand& stand, const std::string& database,
                                   const std::string& script, int clients, int seconds);

// pgbench's own select-only transaction on its own tables.
absl::StatusOr<double> PgbenchSelectRate(Stand& stand, int clients, int seconds);

// Rows per second of COPY FROM of `rows` rows that look like events into a table with the columns
// and indexes of contact's event table.
absl::StatusOr<double> CopyEventsRate(Stand& stand, int rows);

// One contact as CreateContact writes it: contact, identifier, journal and request rows.
std::string CreateContactScript();
// One move as MoveCustomer writes it: fact, transition, stage, running totals, journal, request.
std::string MoveCustomerScript();

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_CEILINGS_H_
