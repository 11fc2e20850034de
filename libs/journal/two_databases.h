// A journal and who follows it, each with a database and lanes of its own. For tests.
#ifndef CLM_LIBS_JOURNAL_TWO_DATABASES_H_
#define CLM_LIBS_JOURNAL_TWO_DATABASES_H_

#include <gtest/gtest.h>

#include <memory>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/feed.h"
#include "libs/journal/heads.h"
#include "libs/journal/lanes.h"
#include "libs/journal/test_work.h"
#include "libs/pg/pg.h"
#include "libs/testing/servers.h"

namespace clm::journal {

class TwoDatabasesTest : public ::testing::Test {
 protected:
  TwoDatabasesTest()
      : source_db_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        own_db_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        source_pool_(pg::NewPool({.dsn = source_db_.app_dsn})),
        own_pool_(pg::NewPool({.dsn = own_db_.app_dsn})),
        source_lanes_(CounterLanes(source_pool_.get(), &clock_)),
        own_lanes_(CounterLanes(own_pool_.get(), &clock_)),
        feed_({source_pool_.get(), &heads_, absl::Milliseconds(5)}) {}

  SystemClock clock_;
  clm::testing::Database source_db_, own_db_;
  std::unique_ptr<pg::Pool> source_pool_, own_pool_;
  Lanes source_lanes_, own_lanes_;
  Heads heads_;
  Feed feed_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_TWO_DATABASES_H_
