#include "storage/cli/cli.h"

int main(int argc, char** argv) { return cedana::cli::Main(argc, argv); }
