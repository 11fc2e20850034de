// The cells of a query's answer, flat, as Result and Row read them.
#ifndef CLM_LIBS_PG_ROWS_H_
#define CLM_LIBS_PG_ROWS_H_

#include <cstdint>
#include <memory>
#include <pqxx/pqxx>
#include <vector>

#include "libs/pg/pg.h"

namespace clm::pg {

// Immutable once made. libpqxx copies its result handle for every cell access; this pays that once.
struct Rows {
  struct Cell {
    const char* text;  // Null for NULL; owned by `owner`.
    uint32_t size;
  };
  pqxx::result owner;
  std::vector<Cell> cells;  // Row by row.
  int rows = 0;
  int columns = 0;
  int64_t affected = 0;
};

std::shared_ptr<const Rows> MakeRows(pqxx::result result);

class ResultMaker {
 public:
  static Result Make(pqxx::result result) { return Result(MakeRows(std::move(result))); }
};

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_ROWS_H_
