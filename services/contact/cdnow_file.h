// The purchase log of the CD shop CDNOW, in both of its published forms: the sample (id in the
// master file, id in the sample, day, pieces, dollars; no header) and the master file (id, day,
// pieces, dollars; one header line). Fields are separated and padded by blanks. No I/O.
#ifndef CLM_SERVICES_CONTACT_CDNOW_FILE_H_
#define CLM_SERVICES_CONTACT_CDNOW_FILE_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"

namespace clm::contact {

struct CdnowPurchase {
  int64_t line = 0;      // Of the file, from 1.
  absl::Status status;   // Why the line is refused; then nothing below is set.
  std::string customer;  // Id in the master file, as written: "00004".
  absl::CivilDay day;
  int64_t pieces = 0;
  int64_t amount_cents = 0;  // Exact; 0 occurs.
  // Which line of this customer it is, from 1. Customer and ordinal name a purchase for good: equal
  // purchases on one day occur.
  int32_t ordinal = 0;
};

using CdnowSink = absl::FunctionRef<void(const CdnowPurchase&)>;

// Takes the file by chunks of any size. The form is told by the first line. A malformed line is
// told with its number and never stops the rest. Not thread-safe.
class CdnowReader {
 public:
  enum class Form { kUnknown, kSample, kMaster };

  void Feed(absl::string_view bytes, CdnowSink sink);
  // The file has ended.
  void Finish(CdnowSink sink);

  Form form() const { return form_; }
  // Customers seen in good lines.
  size_t customers() const { return purchases_.size(); }

 private:
  void TakeLine(absl::string_view line, CdnowSink sink);
  absl::Status Read(absl::string_view line, CdnowPurchase& purchase);

  Form form_ = Form::kUnknown;
  int64_t line_number_ = 0;
  std::string pending_;
  bool cut_ = false;
  absl::flat_hash_map<std::string, int32_t> purchases_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CDNOW_FILE_H_
