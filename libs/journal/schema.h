// The tables of the journal, which every service's database has: migration 1 of each.
#ifndef CLM_LIBS_JOURNAL_SCHEMA_H_
#define CLM_LIBS_JOURNAL_SCHEMA_H_

#include <vector>

#include "libs/pg/migrate.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Number 1, so that a service's own migrations begin with 2.
pg::Migration JournalMigration();

// Every statement of this library, for the test that prepares them against the schema.
std::vector<const pg::Statement*> Statements();

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_SCHEMA_H_
