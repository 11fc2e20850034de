// The main function of every server binary.
#ifndef CLM_LIBS_APP_RUN_H_
#define CLM_LIBS_APP_RUN_H_

#include <memory>
#include <vector>

#include "libs/app/module.h"

namespace clm::app {

// Reads flags and CLM_* environment variables, serves until SIGTERM or SIGINT, drains, and returns
// the exit code: 0 after a clean stop, 1 when the server could not start, 2 for bad usage.
//
//   int main(int argc, char** argv) {
//     std::vector<std::unique_ptr<clm::app::Module>> modules;
//     modules.push_back(clm::contact::NewModule());
//     return clm::app::Run("clm-contact", argc, argv, std::move(modules));
//   }
int Run(const char* name, int argc, char** argv, std::vector<std::unique_ptr<Module>> modules);

}  // namespace clm::app

#endif  // CLM_LIBS_APP_RUN_H_
