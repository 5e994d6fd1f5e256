// A service account's key for tests, drawn once in a process: no private key lies in the
// repository.
#pragma once

#include "core/objstore/credentials.h"

namespace cedana::objstore {

const GcsCredentials& TestServiceAccount();
// Its public half, PEM: what the cloud knows.
const std::string& TestServiceAccountPublicKey();

}  // namespace cedana::objstore
