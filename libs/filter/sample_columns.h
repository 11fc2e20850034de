// Where the rows of sample_schema.h are kept in PostgreSQL. For the tests of libs/filter.
#ifndef CLM_LIBS_FILTER_SAMPLE_COLUMNS_H_
#define CLM_LIBS_FILTER_SAMPLE_COLUMNS_H_

#include "libs/filter/sql.h"

namespace clm::filter::sample {

// Creates filter_row and filter_event. The collation of name orders otherwise than by bytes.
extern const char kSampleTables[];

const Columns& SampleColumns();

}  // namespace clm::filter::sample

#endif  // CLM_LIBS_FILTER_SAMPLE_COLUMNS_H_
