#include "libs/rpc/field_mask.h"

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clm/options/v1/options.pb.h"
#include "libs/base/error.h"

namespace clm::rpc {
namespace {

namespace pb = google::protobuf;
using options::v1::FieldRule;

bool Addresses(const std::string& name) { return name == "name" || name == "etag"; }

bool CallerMaySet(const pb::FieldDescriptor* field) {
  const auto behavior = field->options().GetExtension(options::v1::field).behavior();
  return behavior != FieldRule::BEHAVIOR_OUTPUT_ONLY && behavior != FieldRule::BEHAVIOR_IMMUTABLE;
}

bool HasTextKeys(const pb::FieldDescriptor* field) {
  return field->is_map() &&
         field->message_type()->map_key()->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING;
}

// Paths come from the caller and are shown back only when they look like one.
std::string Shown(absl::string_view path) {
  const bool plain = path.size() <= 100 && std::all_of(path.begin(), path.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '_' || c == '.';
                     });
  return plain ? absl::StrCat("\"", path, "\"") : "a path";
}

// nullptr when `path` may be updated, else what is wrong with it.
const char* Problem(const pb::Descriptor* type, absl::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const pb::FieldDescriptor* field = type == nullptr ? nullptr : type->FindFieldByName(parts[i]);
    if (field == nullptr) return "does not exist";
    if (!CallerMaySet(field)) return "cannot be changed by an update";
    if (i + 1 == parts.size()) return nullptr;
    if (HasTextKeys(field)) {
      // The rest is the key, dots included.
      return parts[i + 1].empty() ? "has an empty key" : nullptr;
    }
    if (field->is_repeated()) return "goes into a repeated field; name the whole field";
    type = field->message_type();
  }
  return "does not exist";
}

bool Populated(const pb::Message& message, const pb::FieldDescriptor* field) {
  return field->is_repeated() ? message.GetReflection()->FieldSize(message, field) > 0
                              : message.GetReflection()->HasField(message, field);
}

// Copies one field as a whole.
void CopyField(const pb::Message& source, pb::Message& target, const pb::FieldDescriptor* field) {
  const pb::Reflection& reflection = *target.GetReflection();
  if (!Populated(source, field)) return reflection.ClearField(&target, field);
  // SwapFields with a scratch copy moves any kind of field, maps included.
  const std::unique_ptr<pb::Message> scratch(source.New());
  scratch->CopyFrom(source);
  reflection.SwapFields(&target, scratch.get(), {field});
}

void SetEntry(const pb::Message& source, pb::Message& target, const pb::FieldDescriptor* field,
              const std::string& key) {
  const auto entry_key = [&](const pb::Message& entry) {
    return entry.GetReflection()->GetString(entry, field->message_type()->map_key());
  };
  const pb::Reflection& reflection = *target.GetReflection();
  for (int i = 0; i < reflection.FieldSize(target, field); ++i) {
    if (entry_key(reflection.GetRepeatedMessage(target, field, i)) != key) continue;
    reflection.SwapElements(&target, field, i, reflection.FieldSize(target, field) - 1);
    reflection.RemoveLast(&target, field);
    break;
  }
  for (int i = 0; i < reflection.FieldSize(source, field); ++i) {
    const pb::Message& entry = source.GetReflection()->GetRepeatedMessage(source, field, i);
    if (entry_key(entry) == key) reflection.AddMessage(&target, field)->CopyFrom(entry);
  }
}

void ApplyPath(absl::string_view path, const pb::Message& source, pb::Message& target) {
  const absl::string_view head = path.substr(0, path.find('.'));
  const pb::FieldDescriptor* field = target.GetDescriptor()->FindFieldByName(std::string(head));
  if (field == nullptr) return;
  if (head.size() == path.size()) return CopyField(source, target, field);
  const absl::string_view rest = path.substr(head.size() + 1);
  if (field->is_map()) return SetEntry(source, target, field, std::string(rest));
  ApplyPath(rest, source.GetReflection()->GetMessage(source, field),
            *target.GetReflection()->MutableMessage(&target, field));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> UpdatePaths(absl::string_view field,
                                                     const pb::FieldMask& mask,
                                                     const pb::Message& resource) {
  const pb::Descriptor* type = resource.GetDescriptor();
  std::vector<std::string> paths;
  const bool everything =
      std::find(mask.paths().begin(), mask.paths().end(), "*") != mask.paths().end();
  if (everything || mask.paths().empty()) {
    for (int i = 0; i < type->field_count(); ++i) {
      const pb::FieldDescriptor* member = type->field(i);
      if (Addresses(member->name()) || !CallerMaySet(member)) continue;
      if (everything || Populated(resource, member)) paths.push_back(member->name());
    }
    return paths;
  }
  error::FieldErrors errors;
  for (const std::string& path : mask.paths()) {
    if (Addresses(path)) continue;
    if (const char* problem = Problem(type, path)) {
      errors.Add(field, absl::StrCat(Shown(path), " ", problem));
    } else if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
      paths.push_back(path);
    }
  }
  if (!errors.empty()) return errors.ToStatus();
  return paths;
}

bool MaskContains(const std::vector<std::string>& paths, absl::string_view path) {
  return std::any_of(paths.begin(), paths.end(), [path](const std::string& named) {
    return path == named || (path.size() > named.size() && absl::StartsWith(path, named) &&
                             path[named.size()] == '.');
  });
}

void ApplyMask(const std::vector<std::string>& paths, const pb::Message& source,
               pb::Message& target) {
  for (const std::string& path : paths) ApplyPath(path, source, target);
}

}  // namespace clm::rpc
