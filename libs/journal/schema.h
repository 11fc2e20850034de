// The tables of the journal, which every service's database has: migration 1 of each, and those
// that only consumers need.
#ifndef CLM_LIBS_JOURNAL_SCHEMA_H_
#define CLM_LIBS_JOURNAL_SCHEMA_H_

#include <vector>

#include "libs/pg/migrate.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Number 1, so that a service's own migrations begin with 2.
pg::Migration JournalMigration();

// What a database needs besides whose service has a Consumer. It came later and takes the place
// among the service's own migrations that was free then.
pg::Migration ConsumerMigration(int number);

// Every statement of this library, for the test that prepares them against the schema.
std::vector<const pg::Statement*> Statements();

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_SCHEMA_H_
