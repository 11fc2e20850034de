#include "libs/rpc/bad_text.h"

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"

namespace clm::rpc {
namespace {

namespace pb = google::protobuf;

// As RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool IsUtf8(const std::string& text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    const uint8_t lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at < more) return false;
    if ((lead == 0xe0 && *at < 0xa0) || (lead == 0xed && *at > 0x9f) ||
        (lead == 0xf0 && *at < 0x90) || (lead == 0xf4 && *at > 0x8f)) {
      return false;
    }
    for (int i = 0; i < more; ++i) {
      if ((*at++ & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

std::string Find(const pb::Message& message, const std::string& prefix) {
  const pb::Reflection* reflection = message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  std::string scratch;
  for (const pb::FieldDescriptor* field : fields) {
    const bool text = field->type() == pb::FieldDescriptor::TYPE_STRING;
    if (!text && field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string path = field->is_repeated() ? absl::StrCat(prefix, field->name(), "[", i, "]")
                                              : absl::StrCat(prefix, field->name());
      if (text) {
        const std::string& value =
            field->is_repeated()
                ? reflection->GetRepeatedStringReference(message, field, i, &scratch)
                : reflection->GetStringReference(message, field, &scratch);
        if (!IsUtf8(value)) return path;
        continue;
      }
      std::string found =
          Find(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                    : reflection->GetMessage(message, field),
               path + ".");
      if (!found.empty()) return found;
    }
  }
  return "";
}

}  // namespace

std::string FindBadText(const pb::Message& message) { return Find(message, ""); }

}  // namespace clm::rpc
