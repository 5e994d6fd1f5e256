#include "core/build_id.h"

#ifndef CEDANA_VERSION
#define CEDANA_VERSION "dev"
#endif
#ifndef CEDANA_BUILD_ID
#define CEDANA_BUILD_ID "dev"
#endif

namespace cedana {

const char* BuildVersion() { return CEDANA_VERSION; }
const char* BuildId() { return CEDANA_BUILD_ID; }

}  // namespace cedana
