// Any text as a resource name, an id and an etag: what is accepted is written back as it was read.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"

namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

void CheckNamesField(const absl::Status& status) {
  const auto violations = clm::error::FieldViolations(status);
  Check(violations.size() == 1 && violations[0].first == "name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);

  const auto model = clm::ParseResourceName("name", "tenants/*/stageModels/*", text);
  if (model.ok()) {
    Check(model->size() == 2 && clm::ValidTenantId((*model)[0]));
    Check(absl::StrCat("tenants/", (*model)[0], "/stageModels/", (*model)[1]) == text);
  } else {
    CheckNamesField(model.status());
  }

  const auto contact = clm::ParseEntityName("name", "contacts", text);
  if (contact.ok()) {
    Check(absl::EqualsIgnoreCase(clm::EntityName("contacts", *contact), text));
  } else {
    CheckNamesField(contact.status());
  }

  const auto tenant = clm::ParseTenantName("name", text);
  if (tenant.ok()) {
    Check(absl::StrCat("tenants/", *tenant) == text);
  } else {
    CheckNamesField(tenant.status());
  }
  // An id that is valid makes a name that is.
  if (clm::ValidTenantId(text)) {
    Check(clm::ParseTenantName("name", absl::StrCat("tenants/", text)).ok());
  }
  if (clm::ValidResourceId(text)) {
    Check(clm::ParseResourceName("name", "tenants/*/topics/*",
                                 absl::StrCat("tenants/acme/topics/", text))
              .ok());
  }

  const auto version = clm::ParseEtag("name", text);
  if (version.ok()) {
    Check(text.empty() ? *version == 0 : clm::Etag(*version) == text);
  } else {
    CheckNamesField(version.status());
  }
  return 0;
}
