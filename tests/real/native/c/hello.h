#define GREETING "hello from C"
