#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "libs/filter/filter.h"
#include "libs/filter/sample_schema.h"

namespace clm::filter {
namespace {

// Every draw is rapidcheck's, so a failing text shrinks to a small one.
int Draw(int n) { return *rc::gen::inRange(0, n); }

RC_GTEST_PROP(FilterPropertyTest, WhatIsPrintedReadsTheSame, ()) {
  const std::string text = sample::RandomText(Draw, 4, true);
  RC_LOG() << text;
  const auto first = sample::Read(text);
  // A random text may have more terms than are allowed.
  if (!first.ok()) RC_DISCARD(std::string(first.status().message()));
  const std::string printed = ToString(*first);
  RC_LOG() << printed;
  const auto second = sample::Read(printed);
  RC_ASSERT(second.ok());
  RC_ASSERT(*first == *second);
  RC_ASSERT(ToString(*second) == printed);
}

RC_GTEST_PROP(FilterPropertyTest, ANegationIsTheOpposite, ()) {
  const std::string text = sample::RandomText(Draw, 3, true);
  const sample::Row row = sample::RandomRow(Draw);
  RC_LOG() << text;
  const auto plain = sample::Read(text);
  const auto negated = sample::Read("NOT (" + text + ")");
  if (!plain.ok() || !negated.ok()) RC_DISCARD("too large");
  RC_ASSERT(Evaluate(*plain, row, sample::Now()) != Evaluate(*negated, row, sample::Now()));
}

RC_GTEST_PROP(FilterPropertyTest, RequiredValuesAreRequired, ()) {
  const std::string text = sample::RandomText(Draw, 3, false);
  const sample::Row row = sample::RandomRow(Draw);
  RC_LOG() << text;
  const auto expression = sample::Read(text);
  if (!expression.ok()) RC_DISCARD("too large");
  if (!Evaluate(*expression, row, sample::Now())) return;
  const auto required = RequiredValues(*expression, "status");
  if (!required) return;
  RC_ASSERT(row.status.has_value());
  RC_ASSERT(std::count(required->begin(), required->end(), *row.status) == 1);
}

RC_GTEST_PROP(FilterPropertyTest, AnyTextIsReadOrRefused, (const std::string& text)) {
  const auto expression = sample::Read(text);
  if (!expression.ok()) return;
  RC_ASSERT(*sample::Read(ToString(*expression)) == *expression);
}

}  // namespace
}  // namespace clm::filter
