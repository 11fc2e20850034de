#include "libs/app/run.h"
#include "services/allinone/modules.h"

int main(int argc, char** argv) {
  return clm::app::Run("clm-allinone", argc, argv, clm::allinone::NewModules());
}
