// Any bytes, in chunks of any size: the records of an NDJSON file do not depend on how it was cut,
// and every record maps to a valid event or to a reason.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/contact/import_file.h"
#include "services/contact/import_map.h"
#include "services/contact/timeline.h"

namespace {

using clm::contact::FileFormat;
using clm::contact::ImportRecord;

std::vector<std::string> Read(absl::string_view file, size_t chunk) {
  std::vector<std::string> records;
  clm::contact::ImportMapper mapper({.kind = clm::contact::ImportKind::kEvents}, {}, clm::Uuid());
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const auto sink = [&](const ImportRecord& record) {
    std::string text =
        absl::StrCat(record.number, "@", record.line, record.status.ok() ? "" : " refused");
    for (const auto& cell : record.cells) absl::StrAppend(&text, "|", cell.column, "=", cell.text);
    records.push_back(text);
    const auto row = mapper.MapEvent(record, now);
    if (row.ok() && !clm::contact::ValidateEvent(row->event, now).ok()) std::abort();
  };
  const auto reader = clm::contact::MakeImportReader({.format = FileFormat::kNdjson,
                                                      .max_field_bytes = 64,
                                                      .max_record_bytes = 512,
                                                      .max_columns = 8});
  absl::Status status;
  for (size_t at = 0; at < file.size() && status.ok(); at += chunk) {
    status = reader->Feed(file.substr(at, chunk), sink);
  }
  if (status.ok()) status = reader->Finish(sink);
  records.push_back(std::string(status.message()));
  return records;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const absl::string_view file(reinterpret_cast<const char*>(data + 1), size - 1);
  if (Read(file, 1 + data[0] % 16) != Read(file, size)) std::abort();
  return 0;
}
