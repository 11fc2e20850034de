// The cells of a query's answer, flat, as Result and Row read them.
#ifndef CLM_LIBS_PG_ROWS_H_
#define CLM_LIBS_PG_ROWS_H_

#include <cstdint>
#include <memory>
#include <pqxx/pqxx>
#include <utility>
#include <variant>
#include <vector>

#include "libs/pg/libpq.h"
#include "libs/pg/pg.h"

namespace clm::pg {

// Immutable once made. libpqxx copies its result handle for every cell access; this pays that once.
struct Rows {
  struct Cell {
    const char* data;  // Null for NULL; owned by the result.
    uint32_t size;
  };
  std::variant<pqxx::result, PgResult> owner;
  std::vector<Cell> cells;  // Row by row.
  // Of the columns, when the cells are in binary; empty when they are text.
  std::vector<Oid> types;
  int rows = 0;
  int columns = 0;
  int64_t affected = 0;
};

std::shared_ptr<const Rows> MakeRows(pqxx::result result);
std::shared_ptr<const Rows> MakeRows(PgResult result);

class ResultMaker {
 public:
  static Result Make(std::shared_ptr<const Rows> rows) { return Result(std::move(rows)); }
};

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_ROWS_H_
