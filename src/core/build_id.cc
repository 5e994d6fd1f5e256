#include "core/build_id.h"

#include "build_id_text.h"

namespace cedana {

const char* BuildVersion() { return CEDANA_VERSION; }
const char* BuildId() { return CEDANA_BUILD_ID; }

}  // namespace cedana
