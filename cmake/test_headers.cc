// The precompiled headers of tests need a program to belong to: with the flags of one.
int main() { return 0; }
