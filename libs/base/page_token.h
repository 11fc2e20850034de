// Keyset page tokens: the last key of a page, bound to the list it belongs to and signed, so that a
// token can neither be forged nor used with another tenant, filter or order (AIP-158).
#ifndef CLM_LIBS_BASE_PAGE_TOKEN_H_
#define CLM_LIBS_BASE_PAGE_TOKEN_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace clm {

// Sizes of a page: 0 means the default of 50, more than 1000 is coerced to 1000 (AIP-158).
// INVALID_ARGUMENT when negative.
absl::StatusOr<int> PageSize(int32_t requested);

// Immutable, thread-safe.
class PageTokens {
 public:
  // `secret` is the suite's key; every replica must have the same one.
  explicit PageTokens(absl::string_view secret);

  // `list` names everything that determines the list: method, parent, filter, order. `key` holds
  // the sort key of the last row given out.
  std::string Encode(const std::vector<std::string>& list,
                     const std::vector<std::string>& key) const;

  // The key; empty for an empty token. INVALID_ARGUMENT on `page_token` when the token was not made
  // for this list or by this suite.
  absl::StatusOr<std::vector<std::string>> Decode(const std::vector<std::string>& list,
                                                  absl::string_view token) const;

 private:
  std::string Sign(const std::vector<std::string>& list, absl::string_view body) const;
  std::string key_;
};

// Where a page begins and how long it is.
struct PageOf {
  const PageTokens& tokens;
  std::vector<std::string> list;  // As in PageTokens::Encode.
  int32_t page_size = 0;          // As asked for.
  absl::string_view page_token;
};

// A page of a list that is in memory as a whole: calls `add` with its items. `place(item)` is a
// std::vector<std::string>, and `items` are in the strict order of their places. The token of the
// next page; empty at the end.
template <class Items, class Place, class Add>
absl::StatusOr<std::string> AddPage(const PageOf& page, const Items& items, Place place, Add add) {
  absl::StatusOr<int> size = PageSize(page.page_size);
  if (!size.ok()) return size.status();
  const auto last = page.tokens.Decode(page.list, page.page_token);
  if (!last.ok()) return last.status();
  std::vector<std::string> end;
  for (const auto& item : items) {
    std::vector<std::string> at = place(item);
    if (!last->empty() && at <= *last) continue;
    if ((*size)-- == 0) return page.tokens.Encode(page.list, end);
    add(item);
    end = std::move(at);
  }
  return std::string();
}

}  // namespace clm

#endif  // CLM_LIBS_BASE_PAGE_TOKEN_H_
